import { KEY_BYTES } from '../../core/request-key.ts'
import type { StoredJob } from '../../store/job.ts'
import { OrdinalReader } from '../../store/ordinals.ts'
import type { BatchState } from '../../core/job/state.ts'
import { openSummed } from '../../store/sums.ts'
import { ReadAheadFile } from '../../store/read-ahead-file.ts'
import { DedupeIndex } from './dedupe-index.ts'

/** What an attempt of a job has asked already, by the keys that its batches keep. */
export async function seenBefore(
  job: StoredJob,
  attempt: number,
  inMemory?: number,
): Promise<DedupeIndex> {
  // A name without a number: the next process removes it as litter.
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
  // A batch of a run that did not look for repeats has no keys.
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
