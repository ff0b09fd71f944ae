import { wrapError } from '../../core/errors.ts'
import { SourceRecord, type BatchRequest, type TemplateOutput } from '../../core/flow.ts'
import { wellFormedJson } from '../../core/json/well-formed.ts'
import { keyOf } from '../../core/request-key.ts'

/** What an item asks: the JSON of its params, which is most of what is sent, and the key of the request. */
export interface SerializedRequest {
  readonly params: string
  readonly key: Buffer | undefined
}

/** Writes what an item asks; undefined where it asks nothing. */
export function serializeRequest(
  item: TemplateOutput,
  isKeyed: boolean,
): SerializedRequest | undefined {
  if (!('params' in item)) return undefined
  let params: string | undefined
  try {
    params = wellFormedJson(item.params)
  } catch (cause) {
    throw wrapError('CBS_STAGE', 'a request cannot be written as JSON', cause)
  }
  return params === undefined ? undefined : { params, key: isKeyed ? keyOf(params) : undefined }
}

/** A request as it stands in a body. */
export function requestJson(customId: string, params: string): Buffer {
  return Buffer.from(`{"custom_id":${JSON.stringify(customId)},"params":${params}}`)
}

/** A request that a user's own stage made is its own record. */
export function recordOf(item: TemplateOutput, line: number): SourceRecord {
  // What was rejected has its record already; only a request can lack one.
  const { custom_id, params } = item as BatchRequest
  return new SourceRecord(Buffer.from(JSON.stringify({ custom_id, params })), { line })
}
