import type { Job } from '../job/job.ts'
import { rejectionsOf, type BatchWriter } from '../job/batch-files.ts'
import type { Sealed } from '../job/event.ts'
import { BatchIds } from '../results/batch-ids.ts'
import { lines } from './body-lines.ts'

/** Which part of a divided batch a request goes to; a number for the part, or the reason to leave it out. */
export type Part = 0 | 1 | { readonly type: string; readonly message: string }

/**
 * Puts others in the place of a batch that the API will not take as it is: two halves of one that is too large, or one
 * without the request that it refuses. Their files are complete before the one journal line that makes them count.
 */
export async function divide(
  job: Job,
  number: number,
  partOf: (position: number) => Part,
): Promise<readonly number[]> {
  const writers: BatchWriter[] = []
  try {
    for (const _ of [0, 1]) writers.push(await job.newBatch())
    return await divideInto(writers, job, number, partOf)
  } finally {
    // Closing a file that is closed already does no harm.
    for (const writer of writers) await writer.abandon()
  }
}

async function divideInto(
  writers: readonly BatchWriter[],
  job: Job,
  number: number,
  partOf: (position: number) => Part,
): Promise<readonly number[]> {
  const { attempt, next } = job.batch(number)
  const ids = await BatchIds.of(job, number)
  // Two have been made.
  const [first, second] = writers as [BatchWriter, BatchWriter]
  let position = 0
  let secondFrom = Infinity
  for await (const json of lines(job, number)) {
    // Every line of the body has its record.
    const ordinal = ids.ordinalAt(position) as number
    const part = partOf(position)
    const writer = part === 1 ? second : first
    if (part === 1) secondFrom = Math.min(secondFrom, ordinal)
    if (typeof part === 'number') writer.add(json, ordinal, ids.chosenAt(position))
    else writer.reject({ ordinal, custom_id: ids.chosenAt(position) ?? null, ...part })
    if (writer.full) await writer.flush()
    position += 1
  }
  for (const rejection of await rejectionsOf(job, number)) {
    const writer = rejection.ordinal > secondFrom ? second : first
    writer.reject(rejection)
  }
  const into: Sealed[] = []
  for (const writer of writers) if (writer.records > 0) into.push(await writer.seal(attempt, next))
  await job.disk.syncFolder(`${job.folder}/batches`)
  await job.note({ type: 'split', number, into }, true)
  for (const what of ['body', 'members', 'rejected', 'ids'] as const)
    await job.disk.remove(job.path(number, what))
  return into.map(part => part.number)
}
