import { pipeline } from 'node:stream/promises'
import type { SourceRecord, SubmittedBatch } from '../core/flow.ts'
import type { Stage } from '../core/stage.ts'
import type { Context } from './context.ts'
import { EXIT } from './exit-code.ts'
import type { Ending } from './finish.ts'
import { keepFrom, type InputState } from './input.ts'
import { print } from './print.ts'
import { submitting, type Work } from './stages.ts'
import { endIfStopped, runDraining } from './drain.ts'
import { ownedIds, waitsForEnds } from '../store/sendable.ts'

/** Submits what the queue accepts and exits; `resume` submits the rest and fetches. */
export async function detach(
  context: Context,
  work: Work,
  input: { reading: InputState; stream: Stage<never, SourceRecord> } | undefined,
): Promise<Ending> {
  const { io, talk } = context
  const { job } = work
  const isGiven = context.flags.text('concurrency') !== undefined
  const concurrency = isGiven ? work.pace.concurrency : Number.MAX_SAFE_INTEGER
  const pace = { ...work.pace, concurrency }
  // If the queue is full, the input is still copied whole, and the rest is left to `resume`.
  const full = new AbortController()
  const leaveOnce = (condition: () => boolean, why: string): void => {
    job
      .when(() => job.state.spooled.complete && condition(), context.signal)
      .then(
        () => full.abort(why),
        () => {},
      )
  }
  const onBusy = (): void => leaveOnce(() => true, 'the queue is full')
  leaveOnce(() => waitsForEnds(job, concurrency), 'the rest waits for batches in flight')
  const sending = submitting({ ...work, pace, onBusy }, 1)
  // oxlint-disable-next-line eslint/require-yield -- it consumes the batches and yields nothing.
  const submitted = async function* (
    batches: AsyncIterable<SubmittedBatch>,
  ): AsyncGenerator<never> {
    for await (const { number, id } of batches) talk.detail(`batch ${number} is ${id}`)
  }
  const signal = AbortSignal.any([context.signal, full.signal])
  try {
    const kept = input && keepFrom(input.reading, job)
    await runDraining(work, signal, async signal => {
      if (kept) await pipeline(input.stream, kept, sending, submitted, { signal })
      else await pipeline(job.input.unbatchedRecords(), sending, submitted, { signal })
    })
  } catch (error) {
    if (!full.signal.aborted || context.signal.aborted) throw error
    talk.info(`${full.signal.reason}; \`resume\` sends the rest`)
  }
  talk.clear()
  // A job without a batch at the API has nothing to come back for.
  if (!job.queue.stopReason || ownedIds(job.state).size > 0) await print(io.stdout, `${job.name}\n`)
  await endIfStopped(work)
  if (job.state.spooled.broken !== null) talk.warn(job.state.spooled.broken)
  if (work.canary?.isHeld) talk.info('the rest waits for the canary: `resume` sends it')
  return { code: EXIT.answered, next: { words: ['resume', job.name, ...context.placeFlags] } }
}
