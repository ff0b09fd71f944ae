import type { RunEvent } from '../core/job/run-event.ts'
import { BatchStreamError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import type { StoredJob } from '../store/job.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import type { Canary } from '../run/canary.ts'
import { sayTally } from './finish.ts'
import { costLine } from './money.ts'
import type { Work } from './stages.ts'
import type { Talk } from './talk.ts'
import type { Tally } from './tally.ts'

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

/**
 * Runs the pipeline of a job. When submission stops, batches in flight are still awaited, fetched and written; an input that
 * never ends is left once that is done.
 */
export async function runDraining(
  { job, talk, settings }: Pick<Work, 'job' | 'talk' | 'settings'>,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  job.queue.isStopHandled = true
  const over = new AbortController()
  const watched = AbortSignal.any([signal, over.signal])
  const stopped = job.when(() => job.queue.stopReason !== undefined, watched)
  stopped.then(
    () => announce(job, talk),
    () => {},
  )
  const drained = new AbortController()
  if (settings.batchWaitMs !== undefined) leaveWhenDrained(job, watched, drained)
  try {
    await run(AbortSignal.any([signal, drained.signal]))
  } catch (cause) {
    if (signal.aborted || !drained.signal.aborted) throw cause
  } finally {
    over.abort()
  }
}

/** Aborts once nothing is in flight and every row that is here has been written. */
function leaveWhenDrained(job: StoredJob, signal: AbortSignal, drained: AbortController): void {
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

/** Says at once why nothing more is sent, and what the run waits for. */
function announce(job: StoredJob, talk: Talk): void {
  const { stopReason } = job.queue
  const phases = [...job.state.batches.values()].map(({ phase }) => phase)
  const inFlight = phases.filter(phase => phase === 'submitted' || phase === 'armed').length
  if (!stopReason || inFlight === 0) return
  const batches = inFlight === 1 ? '1 batch' : `${inFlight} batches`
  talk.must(
    `${stopReason.message}; waiting for ${batches} in flight (Ctrl-C leaves them to \`resume\`)`,
  )
}

/** Says where the job stands and ends the run with the reason, if submission has stopped. */
export async function endIfStopped(work: Work, tally?: Tally): Promise<void> {
  const { canary, talk, job, ledger, settings } = work
  const { stopReason } = job.queue
  if (!stopReason) return
  if (tally) {
    await sayTally(job, tally, talk, `, of ${job.store.records.count} records`)
    talk.say(costLine(job, ledger, settings))
  }
  // Printed first and noted then: a user whose run dies between the two sees it again.
  if (canary?.stopped !== undefined) {
    talk.must(`canary: ${canary.stopped}`)
    await job.note({ type: 'warned', at: job.clock.now() }, true)
  }
  throw stopReason
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
    `${why}; nothing more is sent. A higher --max-cost goes on`,
  )
}
