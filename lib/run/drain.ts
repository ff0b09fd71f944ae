import type { RunEvent } from '../core/job/run-event.ts'
import { nextUnbatched, type BatchState } from '../core/job/state.ts'
import { BatchStreamError } from '../core/errors.ts'
import { MAX_SLOW_DOWNLOADS } from '../core/limits.ts'
import type { SourceRecord } from '../core/flow.ts'
import type { RecordPage } from '../core/record-page.ts'
import { waitsForEnds } from '../store/sendable.ts'
import type { StoredJob } from '../store/job.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import type { Canary } from './canary.ts'

/** Passes records until submission stops; later ones stay spooled until the job is resumed. */
export function untilStopped(job: StoredJob, canary?: Canary): Stage<SourceRecord, SourceRecord> {
  return typed(
    new StageTransform({
      objectMode: true,
      takesPages: true,
      transform(record: SourceRecord | RecordPage, _encoding, done) {
        if (job.queue.stopReason !== undefined || canary?.isHeld === true) done()
        else done(null, record)
      },
    }),
  )
}

export interface DrainOptions {
  readonly job: StoredJob
  /** Whether the input may be endless, so that the run ends with the drain. */
  readonly isEndless: boolean
  /** Called once submission has stopped. */
  readonly onStop?: (() => void) | undefined
  /** When to stop waiting for batches in flight; undefined means never. */
  readonly leave?: LeaveOptions | undefined
  /** Holds back batches that could otherwise be sent. */
  readonly canary?: Canary | undefined
}

/** When a run leaves its batches at the API and exits unfinished. */
export interface LeaveOptions {
  /** Ms from the start of the run. Work that can be done by then is completed, however long it takes. */
  readonly maxWait: number
  /** Maximum number of batches in flight. */
  readonly concurrency: number
}

/**
 * Runs the pipeline of a job; its caller reports why submission stopped. After a stop, batches in flight are still awaited,
 * fetched and written, and an endless input is left after that. Returns true if the run left batches in flight because of
 * `leave`.
 */
export async function runDraining(
  { job, isEndless, onStop, leave, canary }: DrainOptions,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<boolean> {
  job.queue.isStopHandled = true
  const over = new AbortController()
  const watched = AbortSignal.any([signal, over.signal])
  const stopped = job.when(() => job.queue.stopReason !== undefined, watched)
  stopped.then(
    () => onStop?.(),
    () => {},
  )
  const drained = new AbortController()
  const left = new AbortController()
  if (isEndless) leaveWhenDrained(job, watched, drained)
  if (leave) leaveWhenIdle({ job, isEndless, leave, canary }, watched, left)
  const isLeft = (cause: unknown): boolean => {
    // This process has lost the job, so nothing that it does counts from here on.
    if (job.lost.aborted && !signal.aborted) throw job.lost.reason
    if (signal.aborted || !(drained.signal.aborted || left.signal.aborted)) throw cause
    return left.signal.aborted
  }
  try {
    const ends = AbortSignal.any([signal, drained.signal, left.signal, job.lost])
    return await run(ends).then(() => false, isLeft)
  } finally {
    over.abort()
  }
}

/** Aborts once nothing is in flight and every available row has been written. */
export function leaveWhenDrained(
  job: StoredJob,
  signal: AbortSignal,
  drained: AbortController,
): void {
  leaveOnce(job, signal, drained, written => {
    if (job.queue.stopReason === undefined) return false
    return [...job.state.batches.values()].every(
      batch =>
        job.queue.undecided.has(batch.number) ||
        (isDone(batch, written) && batch.phase !== 'submitted'),
    )
  })
}

/**
 * Aborts once `maxWait` has passed and batches are in flight, the queue is full or the API fails, if nothing can be fetched,
 * written or sent before that changes.
 */
export function leaveWhenIdle(
  {
    job,
    isEndless,
    leave,
    canary,
  }: { readonly leave: LeaveOptions } & Omit<DrainOptions, 'leave' | 'onStop'>,
  signal: AbortSignal,
  left: AbortController,
): void {
  const { queue } = job
  let isOver = false
  const isFailing = ({ number, phase }: BatchState): boolean =>
    phase === 'ended' && queue.isRetried(number)
  const canSend = (): boolean => {
    if (queue.stopReason !== undefined || queue.isBusy) return false
    if (waitsForEnds(job, leave.concurrency)) return false
    const { records, complete } = job.state.spooled
    if (!isEndless && !complete) return true
    const sealed = [...job.state.batches.values()].filter(({ phase }) => phase === 'sealed')
    // One batch is sent at a time.
    if (sealed.some(({ number }) => queue.isRetried(number))) return false
    if (canary?.isHolding) return sealed.some(batch => canary.isExempt(batch))
    return (!isEndless && nextUnbatched(job.state) < records) || sealed.length > 0
  }
  const look = leaveOnce(job, signal, left, written => {
    if (!isOver) return false
    const batches = [...job.state.batches.values()]
    const isRetried = batches.some(({ number }) => queue.isRetried(number))
    // Then the other sets wait for them.
    const isStuck = batches.filter(isFailing).length >= MAX_SLOW_DOWNLOADS
    // The API fails while one of its batches is polled or searched for, or a batch that may be it has not ended.
    const isUnknown = ({ number, phase }: BatchState): boolean =>
      queue.isRetried(number) && (phase === 'armed' || phase === 'submitted')
    // A batch of an earlier process may have ended, so it is polled first.
    const isSettled = (batch: BatchState): boolean =>
      queue.undecided.has(batch.number) ||
      isFailing(batch) ||
      (isStuck && batch.phase === 'ended') ||
      isUnknown(batch) ||
      (isDone(batch, written) &&
        !queue.isSending(batch.number) &&
        !queue.isSearched(batch.number) &&
        !(batch.phase === 'submitted' && queue.leftBehind.has(batch.number)))
    // A run that may leave waits neither for a full queue nor for an API that fails.
    const isWaiting =
      queue.isBusy || isRetried || batches.some(({ phase }) => phase === 'submitted')
    return batches.every(isSettled) && isWaiting && !canSend()
  })
  job.clock.sleep(leave.maxWait, signal).then(
    () => {
      isOver = true
      look()
    },
    () => {},
  )
}

/** Whether a batch needs nothing but to be sent, or to end. */
function isDone({ number, phase }: BatchState, written: ReadonlySet<number>): boolean {
  if (phase === 'armed' || phase === 'ended') return false
  return phase !== 'fetched' || written.has(number)
}

/**
 * Aborts `left` as soon as the condition holds. The condition receives the batches whose rows were passed on; it is checked
 * after each event and queue change, and by the returned function.
 */
function leaveOnce(
  job: StoredJob,
  signal: AbortSignal,
  left: AbortController,
  condition: (written: ReadonlySet<number>) => boolean,
): () => void {
  const written = new Set<number>()
  const look = (): void => {
    if (condition(written)) left.abort()
  }
  const listener = (event: RunEvent): void => {
    if (event.type === 'rows' || event.type === 'held') written.add(event.number)
    look()
  }
  job.on('event', listener)
  signal.addEventListener('abort', () => job.off('event', listener))
  // The queue may change without an event.
  job
    .when(() => condition(written), signal)
    .then(
      () => left.abort(),
      () => {},
    )
  return look
}

/** The error of a run whose canary failed; `why` if nothing else reports it. */
export function canaryFailed(why?: string): BatchStreamError {
  const what =
    why === undefined
      ? 'the canary failed, so nothing more is sent; to'
      : `the canary failed: ${why}; nothing more is sent. To`
  return new BatchStreamError('CBS_STOPPED', `${what} send the rest anyway, omit \`canary\``, {
    option: 'canary',
  })
}

/** The error of a run that reached its cap. */
export function capReached(why: string): BatchStreamError {
  return new BatchStreamError('CBS_STOPPED', why, { option: 'maxCost' })
}
