import type { BatchFiles } from './sums.ts'
import { rejectionsOf } from './batch-files.ts'
import { OrdinalSet } from './ordinal-set.ts'
import type { StoredJob } from './job.ts'
import { OrdinalReader } from './ordinals.ts'
import { Repeats } from './repeats.ts'
import type { BatchState } from '../core/job/state.ts'

/** The records that some of a job's batches cover. */
export async function askedIn(
  files: BatchFiles,
  batches: Iterable<BatchState>,
): Promise<OrdinalSet> {
  const asked = new OrdinalSet()
  for (const batch of batches) {
    if (batch.phase === 'void' || batch.foreign) continue
    await OrdinalReader.use(files, batch, async reader => {
      for (let position = 0; position < reader.count; position++)
        asked.add(await reader.at(position))
    })
    // A record that was rejected in a batch has its row from there: it must not be asked once more.
    for (const { ordinal } of await rejectionsOf(files, batch)) asked.add(ordinal)
    for (const { ordinal } of await Repeats.of(files, batch)) asked.add(ordinal)
  }
  return asked
}

/** The records that were asked again after a given attempt, whether the answer is here or not. */
export async function askedAfter(job: StoredJob, attempt: number): Promise<OrdinalSet> {
  return await askedIn(
    job.store,
    [...job.state.batches.values()].filter(batch => batch.attempt > attempt),
  )
}

/** The records whose answer after a given attempt is here. */
export async function answeredAfter(job: StoredJob, attempt: number): Promise<OrdinalSet> {
  const here = [...job.state.batches.values()].filter(
    batch => batch.attempt > attempt && batch.fetched,
  )
  return await askedIn(job.store, here)
}
