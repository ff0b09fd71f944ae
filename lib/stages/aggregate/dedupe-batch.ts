import { KEY_BYTES } from '../../core/request-key.ts'
import type { StoredJob } from '../../store/job.ts'
import { OrdinalReader } from '../../store/ordinals.ts'
import type { BatchState } from '../../core/job/state.ts'
import { openSummed } from '../../store/sums.ts'
import { ReadAheadFile } from '../../store/read-ahead-file.ts'
import { DedupeIndex } from './dedupe-index.ts'

/** Creates the index of the requests that an attempt of a job has sent, from the keys of its batches. */
export async function openDedupeIndex(
  job: StoredJob,
  attempt: number,
  inMemory?: number,
): Promise<DedupeIndex> {
  // No batch number, so the next start deletes it as an orphan.
  const seen = await DedupeIndex.create(
    job.store.disk,
    `${job.store.folder}/batches/seen-${attempt}`,
    inMemory,
  )
  try {
    for (const batch of job.batchesOf(attempt)) await fill(seen, job, batch)
    return seen
  } catch (cause) {
    await seen.close()
    throw cause
  }
}

async function fill(seen: DedupeIndex, job: StoredJob, batch: BatchState): Promise<void> {
  // Batches of a run without `dedupe` have no keys.
  if (batch.sums?.keys === undefined) return
  await openSummed(job.store, batch, 'keys', async file => {
    const keys = new ReadAheadFile(file)
    await OrdinalReader.use(job.store, batch, async members => {
      for (let position = 0; position < members.count; position++) {
        const key = await keys.read(position * KEY_BYTES, KEY_BYTES)
        await seen.prepare(key)
        if (seen.find(key) === undefined) seen.put(key, await members.at(position))
      }
    })
  })
}
