import { SourceRecord, type BatchRequest, type TemplateOutput } from '../../core/flow.ts'
import { wellFormedJson } from '../../core/json/well-formed.ts'
import { keyOf } from '../../core/request-key.ts'

/** The JSON of a request's params, and the key of the request. */
export interface SerializedRequest {
  readonly params: string
  readonly key: Buffer | undefined
}

/** Serializes the params of an item; undefined if it has none. */
export function serializeRequest(
  item: TemplateOutput,
  isKeyed: boolean,
): SerializedRequest | undefined {
  if (!('params' in item)) return undefined
  const params = wellFormedJson(item.params)
  return params === undefined ? undefined : { params, key: isKeyed ? keyOf(params) : undefined }
}

/** A request as it is written in a body. */
export function requestJson(customId: string, params: string): Buffer {
  return Buffer.from(`{"custom_id":${JSON.stringify(customId)},"params":${params}}`)
}

/** The record of an item; a request that a user's stage created is its own record. */
export function recordOf(item: TemplateOutput, line: number): SourceRecord {
  // A rejected record always has one; only a request can lack it.
  const { custom_id, params } = item as BatchRequest
  return new SourceRecord(Buffer.from(JSON.stringify({ custom_id, params })), { line })
}
