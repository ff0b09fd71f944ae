import type { RunEvent } from '../core/job/run-event.ts'
import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
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
}

/**
 * Runs the pipeline of a job, whose owner reports why submission stopped. When submission stops, batches in flight are still awaited, fetched and written; an input that
 * never ends is left once that is done.
 */
export async function runDraining(
  { job, isEndless, onStop }: DrainOptions,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  job.queue.isStopHandled = true
  const over = new AbortController()
  const watched = AbortSignal.any([signal, over.signal])
  const stopped = job.when(() => job.queue.stopReason !== undefined, watched)
  stopped.then(
    () => onStop?.(),
    () => {},
  )
  const drained = new AbortController()
  if (isEndless) leaveWhenDrained(job, watched, drained)
  try {
    await run(AbortSignal.any([signal, drained.signal, job.lost]))
  } catch (cause) {
    // Nothing that this process does counts any more.
    if (job.lost.aborted && !signal.aborted) throw job.lost.reason
    if (signal.aborted || !drained.signal.aborted) throw cause
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
