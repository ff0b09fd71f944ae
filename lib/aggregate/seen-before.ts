import { KEY_BYTES } from '../job/batch-files.ts'
import type { Job } from '../job/job.ts'
import { OrdinalReader } from '../job/ordinals.ts'
import { Window } from '../job/window.ts'
import { Seen } from './seen.ts'

/** What an attempt of a job has asked already, by the keys that its batches keep. */
export async function seenBefore(job: Job, attempt: number, inMemory?: number): Promise<Seen> {
  // A name without a number: the next process removes it as litter.
  const seen = await Seen.create(job.disk, `${job.folder}/batches/seen-${attempt}`, inMemory)
  try {
    for (const { number } of job.batchesOf(attempt)) await fill(seen, job, number)
    return seen
  } catch (cause) {
    await seen.close()
    throw cause
  }
}

async function fill(seen: Seen, job: Job, number: number): Promise<void> {
  const path = job.path(number, 'keys')
  // A batch of a run that did not look for repeats has no keys.
  if ((await job.disk.look(path)) === undefined) return
  const file = await job.disk.open(path, 'read')
  try {
    const keys = new Window(file)
    await OrdinalReader.use(job.disk, job.path(number, 'members'), async members => {
      for (let position = 0; position < members.count; position++) {
        const key = await keys.read(position * KEY_BYTES, KEY_BYTES)
        await seen.prepare(key)
        if (seen.find(key) === undefined) seen.put(key, await members.at(position))
      }
    })
  } finally {
    await file.close()
  }
}
