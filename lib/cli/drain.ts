import { BatchStreamError } from '../core/errors.ts'
import type { StoredJob } from '../store/job.ts'
import { runDraining as drain } from '../run/drain.ts'
import type { Context } from './context.ts'
import { EXIT } from './exit-code.ts'
import { inFlight } from './job-work.ts'
import { reportTally, type Ending } from './finish.ts'
import { tellCost } from './money.ts'
import { counted } from './shown.ts'
import { isEndless } from './settings.ts'
import type { Work } from './stages.ts'
import type { Talk } from './talk.ts'
import type { RowTally } from './tally.ts'

/**
 * Runs the pipeline of a job and reports at once when submission stops. Returns true if it left batches in flight
 * (`--max-wait`).
 */
export async function runDraining(
  {
    job,
    talk,
    settings,
    cap,
    pace,
    canary,
  }: Pick<Work, 'job' | 'talk' | 'settings' | 'cap' | 'pace' | 'canary'>,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<boolean> {
  const { maxWaitMs: maxWait, concurrency } = pace
  const leave = maxWait === undefined ? undefined : { maxWait, concurrency }
  const onStop = (): void => announce(job, talk)
  const isLeft = await drain(
    { job, isEndless: isEndless(settings), onStop, leave, canary },
    signal,
    run,
  )
  await cap?.settle()
  return isLeft
}

/** Reports why submission stopped, and what the run waits for. */
function announce(job: StoredJob, talk: Talk): void {
  const { stopReason, undecided } = job.queue
  const inFlight = [...job.state.batches.values()].filter(
    ({ number, phase }) => (phase === 'submitted' || phase === 'armed') && !undecided.has(number),
  ).length
  if (!stopReason || inFlight === 0) return
  talk.warn(
    `${stopReason.message}; waiting for ${counted(inFlight, 'batch', 'batches')} in flight (Ctrl-C leaves them to \`resume\`)`,
  )
}

/** Reports the state of the job, and how to continue, after a run that left batches in flight. */
export async function leaveRunning(context: Context, work: Work, tally: RowTally): Promise<Ending> {
  const { talk, job } = work
  await reportProgress(work, tally)
  const count = inFlight(job.state).length
  const ended = [...job.state.batches.values()].filter(({ phase }) => phase === 'ended').length
  if (ended > 0)
    talk.info(`the results of ${counted(ended, 'batch', 'batches')} cannot be fetched for now`)
  if (count > 0)
    talk.info(`${counted(count, 'batch', 'batches')} in flight; the API continues with them`)
  else if (ended === 0) talk.info('no batch is in flight, and the API takes none for now')
  const abandon = work.abandon ? ['--abandon'] : []
  const words = ['resume', job.name, ...abandon, ...context.placeFlags]
  return { code: EXIT.inFlight, next: { words } }
}

/** Ends the run with the reason if submission has stopped, after reporting the state of the job. */
export async function endIfStopped(work: Work, tally?: RowTally): Promise<void> {
  const { canary, talk, job } = work
  const { stopReason } = job.queue
  if (!stopReason) return
  if (tally) await reportProgress(work, tally)
  // Printed before it is journaled: a user whose run dies in between sees it again.
  if (canary?.stopped !== undefined) {
    talk.warn(`canary: ${canary.stopped}`)
    await job.note({ type: 'warned', at: job.clock.now() }, true)
  }
  throw stopReason
}

/** Ends the run with an error if the input ended too early. Its rows are written, and the complete input resumes the job. */
export async function endIfCutShort(work: Work, tally: RowTally): Promise<void> {
  const { broken } = work.job.state.spooled
  if (broken === null) return
  await reportProgress(work, tally)
  throw new BatchStreamError('CBS_INPUT', broken)
}

/** The rows that are out, and their cost, of a job that is not finished. */
async function reportProgress(work: Work, tally: RowTally): Promise<void> {
  const { job, talk } = work
  await reportTally(job, tally, talk, `, of ${counted(job.store.records.count, 'record')}`)
  tellCost(talk, work, tally)
}
