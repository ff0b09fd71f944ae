import type { BatchFiles } from './sums.ts'
import { rejectionsOf } from './batch-files.ts'
import { OrdinalSet } from './ordinal-set.ts'
import type { StoredJob } from './job.ts'
import { OrdinalReader } from './ordinals.ts'
import { Repeats } from './repeats.ts'
import type { BatchState } from '../core/job/state.ts'

/** The records of all requests in some batches of retries, which never reuse answers. */
export async function sentIn(
  files: BatchFiles,
  batches: Iterable<BatchState>,
): Promise<OrdinalSet> {
  const sent = new OrdinalSet()
  for (const batch of batches) {
    if (batch.phase === 'void' || batch.foreign) continue
    await OrdinalReader.use(files, batch, async reader => {
      for (let position = 0; position < reader.count; position++)
        sent.add(await reader.at(position))
    })
    // A record that a batch rejected has its row from there, so it must not be sent again.
    for (const { ordinal } of await rejectionsOf(files, batch)) sent.add(ordinal)
    for (const { ordinal } of await Repeats.of(files, batch)) sent.add(ordinal)
  }
  return sent
}

/** The records that were retried after a given attempt, whether or not they have an answer. */
export async function sentAfter(job: StoredJob, attempt: number): Promise<OrdinalSet> {
  return await sentIn(
    job.store,
    [...job.state.batches.values()].filter(batch => batch.attempt > attempt),
  )
}

/** The records that have an answer from after a given attempt. */
export async function answeredAfter(job: StoredJob, attempt: number): Promise<OrdinalSet> {
  const here = [...job.state.batches.values()].filter(
    batch => batch.attempt > attempt && batch.fetched,
  )
  return await sentIn(job.store, here)
}
