import { ApiError, apiErrorOf, invalid, json, tooLarge } from './api-error.ts'
import type { Caller } from './auth.ts'
import { mergeBatchFaults, type BatchFault } from './batch-fault.ts'
import { showBatch, type Batch } from './batches.ts'
import { RequestSplitter } from './create-body.ts'
import type { Service } from './service.ts'
import type { SpoolFile, SpoolWriter } from './spool.ts'
import { CreateCheck } from './validate.ts'
import { ConnectionReset, type Reply, type RequestBody, type WireRequest } from './wire.ts'

/** Maximum size of a create's body. The docs say 256 MB; this is the smaller reading. */
const MAX_BYTES = 256_000_000

/** A create whose body is checked and on disk. The batch does not exist yet. */
export interface Upload {
  readonly requests: number
  readonly bytes: number
  readonly spool: SpoolFile
}

/**
 * Reads the body of a create into the spool, request by request. A body that is too large is rejected at once, an invalid
 * one after it has arrived. If the connection breaks before the end, nothing is kept.
 * @throws ApiError
 */
export async function readUpload(
  service: Service,
  request: WireRequest,
  body: RequestBody,
  faults: readonly BatchFault[],
): Promise<Upload> {
  const declared = declaredLength(request)
  const writer = await service.spool.create()
  const check = new CreateCheck()
  try {
    const bytes = await take(body, declared, check, writer, mergeBatchFaults(faults))
    return { requests: check.count, bytes, spool: await writer.end() }
  } catch (error) {
    await writer.discard()
    throw error
  }
}

async function take(
  body: RequestBody,
  declared: number,
  check: CreateCheck,
  writer: SpoolWriter,
  fault: BatchFault,
): Promise<number> {
  const splitter = new RequestSplitter()
  let bytes = 0
  let wrong: ApiError | undefined
  for await (const part of body) {
    const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw tooLarge()
    // An invalid request is reported after the whole body; until then the rest is only counted.
    if (!wrong) wrong = await takeChunk(chunk, splitter, check, writer, fault)
    // With a known length the batch exists once the last byte has arrived, whatever happens to the connection.
    if (bytes >= declared) break
  }
  if (bytes < declared && declared !== Infinity) throw new ConnectionReset()
  if (wrong) throw wrong
  splitter.end()
  check.end()
  return bytes
}

async function takeChunk(
  chunk: Buffer,
  splitter: RequestSplitter,
  check: CreateCheck,
  writer: SpoolWriter,
  { rejectRequest, refuseContaining }: BatchFault,
): Promise<ApiError | undefined> {
  try {
    for (const bytes of splitter.push(chunk)) {
      check.take(bytes)
      if (rejectRequest !== undefined && bytes.includes(rejectRequest))
        throw invalid(`requests.${check.count - 1}.params.messages: this request is not accepted`)
      if (refuseContaining !== undefined && bytes.includes(refuseContaining))
        throw invalid('a request in this batch is not accepted')
      const wait = writer.add(bytes)
      if (wait) await wait
    }
    return undefined
  } catch (error) {
    return apiErrorOf(error)
  }
}

/** Rejects what the headers alone rule out. Returns Infinity for a body of unknown length. */
function declaredLength(request: WireRequest): number {
  const length = request.header('content-length')
  if (length !== null && Number(length) > MAX_BYTES) throw tooLarge()
  const type = request.header('content-type') ?? ''
  if (!/^application\/json\b/i.test(type)) throw invalid('content-type: must be application/json')
  if ((request.header('content-encoding') ?? 'identity') !== 'identity') {
    const message = 'content-encoding: the body of a batch must not be compressed'
    throw new ApiError(400, 'invalid_request_error', message, 'request_body_encoding_unsupported')
  }
  return length === null ? Infinity : Number(length)
}

/** Creates the batch: from here on it exists, runs and is billed. */
export function createBatch(
  service: Service,
  upload: Upload,
  caller: Caller,
  faults: readonly BatchFault[],
): Batch {
  const { requests, bytes } = upload
  const { batchTimeMs, cancelTimeMs, queueLimit } = service.settings
  const queued = service.queued()
  if (queued + requests > queueLimit) {
    const message = `This request would exceed your organization's limit of ${queueLimit} batch requests in the processing queue (${queued} are in it)`
    throw new ApiError(429, 'rate_limit_error', message)
  }
  const number = ++service.accepted
  const batch: Batch = {
    ...caller,
    id: service.ids.make('msgbatch'),
    number,
    requests,
    bytes,
    createdAt: service.now(),
    batchTimeMs:
      typeof batchTimeMs === 'number' ? batchTimeMs : batchTimeMs({ number, requests, bytes }),
    cancelTimeMs,
    fault: mergeBatchFaults(faults),
    spool: upload.spool,
    cancelAt: null,
    deletedAt: null,
    settled: undefined,
  }
  service.batches.push(batch)
  return batch
}

/** The reply to a create: the new batch, in progress even if it takes no time. */
export function createdReply(service: Service, batch: Batch): Reply {
  const shown = showBatch(batch, batch.createdAt - 1, undefined, service.origin)
  return json(200, { ...shown, id: batch.fault.replyId ?? batch.id })
}
