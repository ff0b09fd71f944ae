import { ApiError, apiErrorOf, invalid, json, tooLarge } from './api-error.ts'
import type { Caller } from './auth.ts'
import { mergeBatchFaults, type BatchFault } from './batch-fault.ts'
import { showBatch, type Batch } from './batches.ts'
import { RequestSplitter } from './create-body.ts'
import type { Service } from './service.ts'
import type { SpoolFile, SpoolWriter } from './spool.ts'
import { CreateCheck } from './validate.ts'
import { ConnectionReset, type Reply, type RequestBody, type WireRequest } from './wire.ts'

/** The body of a create may be this large. The docs say 256 MB; this is the smaller reading of it. */
const MAX_BYTES = 256_000_000

/** A create whose body is here, checked and on disk. Nothing is created yet. */
export interface Upload {
  readonly requests: number
  readonly bytes: number
  readonly spool: SpoolFile
}

/**
 * Reads the body of a create, request by request, into the spool. Throws an ApiError for a body that is refused: a body
 * that is too large at once, any other when it has arrived. When the connection breaks before the end, nothing is left.
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
    // A bad request is answered when the body is here; until then the rest of it is only counted.
    if (!wrong) wrong = await takeChunk(chunk, splitter, check, writer, fault)
    // With a known length the batch exists as soon as the last byte is in, whatever the connection does then.
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

/** Refuses what can be refused by the headers alone. Infinity stands for a body of unknown length. */
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

/** Makes the batch: from here on it exists, is worked on and is billed. */
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

/** The answer to a create: the new batch, in progress however short its time. */
export function createdReply(service: Service, batch: Batch): Reply {
  return json(200, showBatch(batch, batch.createdAt - 1, undefined, service.origin))
}
