import type { StoredJob } from '../store/job.ts'
import { runDraining as drain } from '../run/drain.ts'
import { sayTally } from './finish.ts'
import { costLine } from './money.ts'
import type { Work } from './stages.ts'
import type { Talk } from './talk.ts'
import type { Tally } from './tally.ts'

/** Runs the pipeline of a job and says at once when submission stops. */
export async function runDraining(
  { job, talk, settings, cap }: Pick<Work, 'job' | 'talk' | 'settings' | 'cap'>,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const isEndless = settings.batchWaitMs !== undefined
  await drain({ job, isEndless, onStop: () => announce(job, talk) }, signal, run)
  await cap?.settle()
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
