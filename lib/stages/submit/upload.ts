import { createHash } from 'node:crypto'
import type { Api } from '../../api/api.ts'
import { failureOf } from '../../api/failure.ts'
import { withIdleTimeout, type IdleTimer } from '../../api/idle-timeout.ts'
import { createdId } from '../../api/remote-batch.ts'
import { observeFailure } from '../../api/retry-policy.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { ownedIds } from '../../store/batch-queue.ts'
import type { DiskFile } from '../../store/disk.ts'
import type { StoredJob } from '../../store/job.ts'
import { SILENCE_MS } from '../../core/limits.ts'
import { outcomeOf, type CreateOutcome } from './outcome.ts'

/** How long the API may take to answer once it has a whole body: it reads hundreds of MB before it does. */
const REPLY_MS = 5 * SILENCE_MS

/** How long a stop waits for the reply to a create whose last byte is out. Containers get 10 s between SIGTERM and SIGKILL. */
export const STOP_GRACE_MS = 8000

/** Bytes of a body that are read and sent at a time. */
const PART = 256 * 1024

/** How far an upload has come. */
export interface UploadProgress {
  /** The last byte has been handed over: from here on the API may hold the batch. */
  complete: boolean
  /** The call has ended: nothing more is sent, and nothing is armed any more. */
  ended: boolean
  /** Why the last byte was held back, where another process might have owned the job by then. */
  disowned?: unknown
}

/** What has to happen before the last byte of a body may be sent. */
export interface LastByte {
  /** Journals that the batch is armed. */
  readonly arm: () => Promise<void>
  /** Throws where another process may own the job by now. */
  readonly assertOwned: () => void
}

/**
 * Sends a sealed batch once and says what the reply means. The journal says `armed` before the last byte goes out. When
 * `stop` aborts, an upload without its last byte ends at once; a complete one waits for its reply, up to `STOP_GRACE_MS`.
 */
export async function uploadBatch(
  job: StoredJob,
  api: Api,
  number: number,
  stop: AbortSignal,
): Promise<CreateOutcome> {
  const { bytes, hash } = job.batch(number)
  const file = await job.store.disk.open(job.store.path(number, 'body'), 'read')
  const progress: UploadProgress = { complete: false, ended: false }
  let arming: Promise<void> = Promise.resolve()
  const arm = (): Promise<void> => {
    const serverAt = job.session.serverTime.sure()
    arming = job.note({ type: 'armed', number, at: job.clock.now(), serverAt }, true)
    return arming
  }
  const send = async ({ signal, moved }: IdleTimer): Promise<CreateOutcome> => {
    const onPart = (): void => moved(progress.complete ? REPLY_MS : SILENCE_MS)
    const lastByte = { arm, assertOwned: job.assertOwned }
    const body = (reuses: boolean): AsyncIterable<Uint8Array> =>
      bodyParts(file, { size: bytes, hash, reuses }, progress, lastByte, onPart)
    return readReply(job, await api.create(body, bytes, signal), progress)
  }
  const failed = async (cause: unknown): Promise<CreateOutcome> => {
    // From here on the last byte cannot go out, whatever is awaited.
    progress.ended = true
    // The last byte was held back, so the batch can be sent again while the job is still this process's.
    if (progress.disowned !== undefined && !job.lost.aborted)
      return { kind: 'again', failure: failureOf(progress.disowned, 0) }
    throwOwnError(cause)
    return outcomeOf(await observeFailure(cause, api.session), progress.complete)
  }
  const call = callUntil(job, stop, progress)
  const timeout = { clock: job.clock, signal: call.signal, limitMs: SILENCE_MS }
  try {
    return await withIdleTimeout(timeout, send).catch(failed)
  } finally {
    progress.ended = true
    call.release()
    // A reply that came while the batch was being armed must not be acted on before the journal says `armed`.
    await arming.catch(() => {})
    await file.close()
  }
}

/** The signal of the call itself, which outlives `stop` while a reply may still come. */
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
    // Once the call is over, the wait is given up and the abort comes too late to matter.
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

function readReply(job: StoredJob, answer: unknown, progress: UploadProgress): CreateOutcome {
  const id = createdId(answer)
  // A proxy may repeat an earlier answer: it says nothing about this batch.
  if (id !== undefined && !ownedIds(job.state).has(id)) return { kind: 'created', id }
  const what = id === undefined ? 'not a batch' : `batch ${id}, which another create has made`
  return outcomeOf(
    failureOf(new Error(`the answer to the create is ${what}`), 0),
    progress.complete,
  )
}

/** What our own body generator threw comes back wrapped by fetch and the SDK; a disk or journal error must be seen as such. */
function throwOwnError(cause: unknown): void {
  for (let inner = cause; inner instanceof Error; inner = inner.cause)
    if (inner instanceof BatchStreamError) throw inner
}

/**
 * The bytes of a body, the last one held back until `arm` returns and the job is still this process's. A server that misses the last byte of a body whose
 * length it knows cannot have a batch, so every failure before that moment is simply retried. A body that was changed since it
 * was sealed is never sent whole: that is `CBS_STATE`. With `reuses` a part is good until the next one is asked for: new ones would
 * be garbage as large as the body.
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
  // The call may have ended while the journal was written; then the last byte must not follow.
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
