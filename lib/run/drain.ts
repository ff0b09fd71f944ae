import type { RunEvent } from '../core/job/run-event.ts'
import { nextUnbatched } from '../core/job/state.ts'
import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import { waitsForEnds } from '../store/batch-queue.ts'
import type { StoredJob } from '../store/job.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import type { Canary } from './canary.ts'

/** Passes records until submission stops; later ones stay spooled and are asked when the job is resumed. */
export function untilStopped(job: StoredJob, canary?: Canary): Stage<SourceRecord, SourceRecord> {
  return typed(
    new StageTransform({
      objectMode: true,
      transform(record: SourceRecord, _encoding, done) {
        if (job.queue.stopReason !== undefined || canary?.isHeld === true) done()
        else done(null, record)
      },
    }),
  )
}

export interface DrainOptions {
  readonly job: StoredJob
  /** Whether the input may have no end, so that the run ends with the drain. */
  readonly isEndless: boolean
  /** Called once submission has stopped. */
  readonly onStop?: (() => void) | undefined
  /** When to stop waiting for batches in flight; undefined: never. */
  readonly leave?: LeaveOptions | undefined
}

/** When a run leaves its batches to the API and ends before it is finished. */
export interface LeaveOptions {
  /** Ms from the start of the run; what can be collected and sent by then is collected and sent, however long that takes. */
  readonly maxWait: number
  /** Batches in flight at most, as the run sends them. */
  readonly concurrency: number
  /** Whether the API has refused a create because its queue is full. */
  isBusy(): boolean
}

/**
 * Runs the pipeline of a job, whose owner reports why submission stopped. When submission stops, batches in flight are still
 * awaited, fetched and written; an input that never ends is left once that is done. True if the run left batches in flight
 * because of `leave`.
 */
export async function runDraining(
  { job, isEndless, onStop, leave }: DrainOptions,
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
  if (leave) leaveWhenIdle({ job, isEndless, leave }, watched, left)
  try {
    await run(AbortSignal.any([signal, drained.signal, left.signal, job.lost]))
    return false
  } catch (cause) {
    // Nothing that this process does counts any more.
    if (job.lost.aborted && !signal.aborted) throw job.lost.reason
    if (signal.aborted || !(drained.signal.aborted || left.signal.aborted)) throw cause
    return left.signal.aborted
  } finally {
    over.abort()
  }
}

/** Aborts once nothing is in flight and every row that is here has been written. */
export function leaveWhenDrained(
  job: StoredJob,
  signal: AbortSignal,
  drained: AbortController,
): void {
  const written = new Set<number>()
  const isDrained = (): boolean => {
    if (job.queue.stopReason === undefined) return false
    for (const { number, phase } of job.state.batches.values()) {
      if (phase === 'armed' || phase === 'submitted' || phase === 'ended') return false
      if (phase === 'fetched' && !written.has(number)) return false
    }
    return true
  }
  const listener = (event: RunEvent): void => {
    if (event.type === 'rows' || event.type === 'held') written.add(event.number)
    if (isDrained()) drained.abort()
  }
  job.on('event', listener)
  signal.addEventListener('abort', () => job.off('event', listener))
}

/**
 * Aborts once `maxWait` has passed and batches are in flight, if nothing can be collected, written or sent before one of them
 * ends.
 */
function leaveWhenIdle(
  { job, isEndless, leave }: { readonly leave: LeaveOptions } & Omit<DrainOptions, 'leave'>,
  signal: AbortSignal,
  left: AbortController,
): void {
  const written = new Set<number>()
  let isOver = false
  const canSend = (): boolean => {
    if (job.queue.stopReason !== undefined || leave.isBusy()) return false
    if (waitsForEnds(job, leave.concurrency)) return false
    const { records, complete } = job.state.kept
    if (!isEndless && (!complete || nextUnbatched(job.state) < records)) return true
    return [...job.state.batches.values()].some(({ phase }) => phase === 'sealed')
  }
  const isIdle = (): boolean => {
    let inFlight = 0
    for (const { number, phase } of job.state.batches.values()) {
      if (phase === 'armed' || phase === 'ended' || job.queue.isSending(number)) return false
      if (phase === 'fetched' && !written.has(number)) return false
      if (phase !== 'submitted') continue
      // A batch of an earlier process may have ended: it is polled first.
      if (job.queue.leftBehind.has(number)) return false
      inFlight += 1
    }
    return inFlight > 0 && !canSend()
  }
  const look = (): void => {
    if (isOver && isIdle()) left.abort()
  }
  job.on('event', event => {
    if (event.type === 'rows' || event.type === 'held') written.add(event.number)
    look()
  })
  // Flow control may change without an event.
  job
    .when(() => isOver && isIdle(), signal)
    .then(
      () => left.abort(),
      () => {},
    )
  job.clock.sleep(leave.maxWait, signal).then(
    () => {
      isOver = true
      look()
    },
    () => {},
  )
}

/** Why a run whose canary failed stops. */
export function canaryFailed(): BatchStreamError {
  return new BatchStreamError(
    'CBS_STOPPED',
    'the canary failed, so nothing more is sent; to send the rest all the same, resume',
  )
}

/** Why a run that reached its cap stops. */
export function capReached(why: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STOPPED',
    `${why}; nothing more is sent. Use a higher --max-cost to continue`,
  )
}
