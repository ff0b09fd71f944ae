import { createHash } from 'node:crypto'
import type { Api, CreateReply } from '../../api/api.ts'
import { failureOf } from '../../api/failure.ts'
import { hasApiForm } from '../../api/sdk-error.ts'
import { withIdleTimeout, type IdleTimer } from '../../api/idle-timeout.ts'
import { createdId, understood } from '../../api/remote-batch.ts'
import { observeFailure } from '../../api/retry-policy.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { shorten } from '../../core/without-keys.ts'
import { ownedIds } from '../../store/sendable.ts'
import type { DiskFile } from '../../store/disk.ts'
import type { StoredJob } from '../../store/job.ts'
import { openStored } from '../../store/sums.ts'
import { IDLE_TIMEOUT_MS } from '../../core/limits.ts'
import { countOf } from '../../core/job/event.ts'
import {
  isListedAnyway,
  isOlderThanSent,
  ownedByOthers,
  type OwnedElsewhere,
} from '../search/search.ts'
import { outcomeOf, type CreateOutcome } from './outcome.ts'

/** How long the API may take to reply once it has the whole body, which may be hundreds of MB. */
const REPLY_MS = 5 * IDLE_TIMEOUT_MS

/** How long a stop waits for the reply to a create whose last byte was sent. Containers get 10 s from SIGTERM to SIGKILL. */
export const STOP_GRACE_MS = 8000

/** Bytes read and sent at a time. */
const PART = 256 * 1024

const EARLY = 'the reply to the create came before the API had all of it'

/** The state of an upload. */
export interface UploadProgress {
  /** The last byte was passed on: from here on the API may have the batch. */
  complete: boolean
  /** The call has ended: nothing more is sent or armed. */
  ended: boolean
  /** Why the last byte was held back: another process may own the job. */
  disowned?: unknown
}

/** What must happen before the last byte of a body is sent. */
export interface LastByte {
  /** Journals that the batch is armed. */
  readonly arm: () => Promise<void>
  /** Throws if another process may own the job by now. */
  readonly assertOwned: () => void
}

/**
 * Sends a sealed batch once and interprets the reply. `armed` is journaled before the last byte is sent. When `stop` aborts, an
 * incomplete upload ends at once; a complete one waits up to `STOP_GRACE_MS` for its reply.
 */
export async function uploadBatch(
  job: StoredJob,
  api: Api,
  number: number,
  stop: AbortSignal,
  ownedElsewhere?: OwnedElsewhere,
): Promise<CreateOutcome> {
  const { bytes, hash } = job.batch(number)
  const file = await openStored(job.store.disk, job.store.path(number, 'body'))
  const progress: UploadProgress = { complete: false, ended: false }
  let arming: Promise<void> = Promise.resolve()
  const arm = (): Promise<void> => {
    const serverAt = job.session.serverTime.sure()
    const at = job.clock.now()
    arming = job.note({ type: 'armed', number, at, serverAt, by: api.caller }, true)
    return arming
  }
  const send = async ({ signal, moved }: IdleTimer): Promise<CreateOutcome> => {
    const onPart = (): void => moved(progress.complete ? REPLY_MS : IDLE_TIMEOUT_MS)
    const lastByte = { arm, assertOwned: job.assertOwned }
    const body = (reuses: boolean): AsyncIterable<Uint8Array> =>
      bodyParts(file, { size: bytes, hash, reuses }, progress, lastByte, onPart)
    const reply = await api.create(body, bytes, signal)
    // Without the last byte, the API cannot have the batch that a reply names.
    const isEarly = !progress.complete
    // Set before anything is awaited, so that the last byte is not sent after this.
    if (isEarly) progress.ended = true
    // A reply that arrives early must not be judged before the batch is armed.
    await arming.catch(() => {})
    if (isEarly) return outcomeOf(failureOf(new Error(EARLY), 0), false)
    return await readReply(job, number, reply, progress, ownedElsewhere)
  }
  const failed = async (cause: unknown): Promise<CreateOutcome> => {
    // Set before anything is awaited, so that the last byte is not sent after this.
    progress.ended = true
    // The last byte was held back, so the batch can be sent again as long as this process owns the job.
    if (progress.disowned !== undefined && !job.lost.aborted)
      return { kind: 'again', failure: failureOf(progress.disowned, 0) }
    throwOwnError(cause)
    const failure = await observeFailure(cause, api.session)
    const outcome = outcomeOf(failure, progress.complete)
    if (!progress.complete || outcome.kind === 'unknown' || outcome.kind === 'created')
      return outcome
    // While the queue is full, other machines create batches of the same size all the time, and nothing that sends a create twice is
    // known to be in between.
    if (failure.kind === 'busy' && !api.isThroughGateway) return outcome
    // A filter may block the reply of the API to a create that it has accepted.
    if (!hasApiForm(cause)) return { kind: 'unknown', failure, refusal: outcome }
    const isListed = await isListedAnyway(job, api, number, ownedElsewhere)
    return isListed ? { kind: 'unknown', failure, isRefused: true } : outcome
  }
  const call = callUntil(job, stop, progress)
  const timeout = { clock: job.clock, signal: call.signal, limitMs: IDLE_TIMEOUT_MS }
  try {
    return await withIdleTimeout(timeout, send).catch(failed)
  } finally {
    progress.ended = true
    call.release()
    // A reply that arrives while the batch is being armed must not take effect before `armed` is journaled.
    await arming.catch(() => {})
    await file.close()
  }
}

/** The signal of the call itself, which outlasts `stop` while a reply may still arrive. */
function callUntil(
  job: StoredJob,
  stop: AbortSignal,
  progress: UploadProgress,
): { signal: AbortSignal; release: () => void } {
  const call = new AbortController()
  const released = new AbortController()
  const onStop = (): void => {
    if (!progress.complete) {
      progress.ended = true
      return call.abort(stop.reason)
    }
    // `release` cancels the sleep; an abort after the call has no effect.
    const abort = (): void => call.abort(stop.reason)
    job.clock.sleep(STOP_GRACE_MS, released.signal).then(abort, abort)
  }
  if (stop.aborted) onStop()
  else stop.addEventListener('abort', onStop)
  const release = (): void => {
    stop.removeEventListener('abort', onStop)
    released.abort()
  }
  return { signal: call.signal, release }
}

async function readReply(
  job: StoredJob,
  number: number,
  { answer, cachedBy, foreign }: CreateReply,
  progress: UploadProgress,
  ownedElsewhere: OwnedElsewhere | undefined,
): Promise<CreateOutcome> {
  const id = createdId(answer)
  const wrong =
    id === undefined
      ? 'not a batch'
      : cachedBy !== undefined
        ? `batch ${id} from a cache (${shorten(cachedBy)})`
        : await whyNotOurs(job, number, id, answer, ownedElsewhere)
  if (id !== undefined && wrong === undefined) {
    const batch = understood(answer)
    return { kind: 'created', id, createdAt: batch && Date.parse(batch.created_at), foreign }
  }
  const message = `the reply to the create is ${wrong}`
  return outcomeOf(failureOf(new Error(message), 0), progress.complete)
}

/**
 * Why the batch of a reply is not the one that was sent: a gateway may repeat the reply to another create, which says nothing
 * about this one. Undefined if nothing shows that.
 */
async function whyNotOurs(
  job: StoredJob,
  number: number,
  id: string,
  answer: unknown,
  ownedElsewhere: OwnedElsewhere | undefined,
): Promise<string | undefined> {
  if (ownedIds(job.state).has(id)) return `batch ${id}, which an earlier create returned`
  const batch = understood(answer)
  const count = batch === undefined ? 0 : countOf(batch.request_counts)
  // A count of 0 means that the API has not counted the requests yet.
  if (count !== 0 && count !== job.batch(number).requests) {
    // A gateway may have removed a request, or changed the counts, so the search must not rule this batch out by its count.
    await job.note({ type: 'candidate', number, id }, true)
    return `batch ${id}, which has ${count} requests`
  }
  const { armed } = job.batch(number)
  const isFresh =
    batch !== undefined && armed?.serverAt != null && Date.parse(batch.created_at) >= armed.serverAt
  // Reading the journals of all other jobs for each create would be slow, and other jobs own older batches, unless they run at the same
  // time. Then generated ids show it.
  const chosenIds = await job.store.disk.stat(job.store.path(number, 'ids'))
  if ((!isFresh || chosenIds !== 0) && (await ownedByOthers(job, ownedElsewhere)).has(id))
    return `batch ${id}, which belongs to another job`
  if (batch === undefined || !isOlderThanSent(job, number, batch)) return undefined
  // A wrong clock may show the same, so the search must not rule this batch out by its time.
  await job.note({ type: 'candidate', number, id }, true)
  return `batch ${id}, which was created before that`
}

/** Unwraps an error of our own body generator, which fetch and the SDK wrap: a disk or journal error must surface as such. */
function throwOwnError(cause: unknown): void {
  for (let inner = cause; inner instanceof Error; inner = inner.cause)
    if (inner instanceof BatchStreamError) throw inner
}

/**
 * The bytes of a body. The last one is held back until `arm` has returned and the job is proven to be this process's. A server
 * that lacks the last byte of a body of known length cannot have created a batch, so every earlier failure is simply retried.
 * A body that was changed since it was sealed is never sent whole: that is `CBS_STATE`. With `reuses`, a part is valid until
 * the next one is requested, which avoids garbage of the size of the body.
 */
export async function* bodyParts(
  file: DiskFile,
  {
    size,
    hash: sealedHash,
    reuses = false,
  }: { readonly size: number; readonly hash: string; readonly reuses?: boolean },
  progress: UploadProgress,
  { arm, assertOwned }: LastByte,
  moved: () => void,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  const room = Math.min(PART, size - 1)
  const shared = reuses ? Buffer.allocUnsafe(room) : undefined
  for (let at = 0; at < size - 1;) {
    const part = (shared ?? Buffer.allocUnsafe(room)).subarray(0, size - 1 - at)
    const read = await file.read(part, at)
    if (read < part.length) throw shortBody(size)
    hash.update(part)
    moved()
    yield part
    at += read
  }
  const last = Buffer.allocUnsafe(1)
  if ((await file.read(last, size - 1)) < 1) throw shortBody(size)
  if (hash.update(last).digest('hex') !== sealedHash) throw changedBody()
  if (progress.ended) return
  await arm()
  // The call may have ended while the journal was written.
  if (progress.ended) return
  try {
    assertOwned()
  } catch (cause) {
    progress.disowned = cause
    throw cause
  }
  progress.complete = true
  moved()
  yield last
}

function changedBody(): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    "a batch's body on disk was changed since it was sealed; it was not sent: see `claude-batch-stream doctor`",
  )
}

function shortBody(size: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the body of a batch on disk is shorter than the ${size} bytes in its journal; it was not sent: see \`claude-batch-stream doctor\``,
  )
}
