import type { Job } from '../job/job.ts'
import { GATHERED, KEY_BYTES, rejectionsOf, type BatchWriter } from '../job/batch-files.ts'
import type { Sealed } from '../job/event.ts'
import { Repeats } from '../job/repeats.ts'
import { readSummed } from '../job/sums.ts'
import { BatchIds } from '../results/batch-ids.ts'
import { lines } from './body-lines.ts'

/** Which part of a divided batch a request goes to; a number for the part, or the reason to leave it out. */
export type Part = 0 | 1 | { readonly type: string; readonly message: string }

/** The first half of a batch goes to one part, the rest to the other; a single request that is too large is rejected. */
export function half(requests: number): (position: number) => Part {
  if (requests === 1)
    return () => ({
      type: 'request_too_large',
      message: 'the API says that this request alone is too large (413)',
    })
  return firstOf(requests / 2)
}

/** So many go to one part, the rest to the other. */
export function firstOf(count: number): (position: number) => Part {
  return position => (position < count ? 0 : 1)
}

/**
 * Puts others in the place of a batch that the API will not take as it is: two halves of one that is too large, one
 * without the request that it refuses, or two of other counts. Their files are complete before the one journal line that makes them count.
 */
export async function divide(
  job: Job,
  number: number,
  partOf: (position: number) => Part,
): Promise<readonly number[]> {
  const writers: BatchWriter[] = []
  const keys = await readSummed(job, job.batch(number), 'keys')
  try {
    for (const _ of [0, 1]) writers.push(await job.newBatch(keys !== undefined))
    return await divideInto(writers, job, number, partOf, keys)
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
  keys: Buffer | undefined,
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
    const key = keys?.subarray(position * KEY_BYTES, (position + 1) * KEY_BYTES)
    if (typeof part === 'number') writer.add(json, ordinal, ids.chosenAt(position), key)
    else writer.reject({ ordinal, custom_id: ids.chosenAt(position) ?? null, ...part })
    if (writer.full) await writer.flush()
    position += 1
  }
  for (const rejection of await rejectionsOf(job, job.batch(number))) {
    const writer = rejection.ordinal > secondFrom ? second : first
    writer.reject(rejection)
  }
  for (const { ordinal, of } of await Repeats.of(job, job.batch(number))) {
    const writer = ordinal > secondFrom ? second : first
    writer.repeat(ordinal, of)
  }
  const into: Sealed[] = []
  for (const writer of writers) if (writer.records > 0) into.push(await writer.seal(attempt, next))
  await job.disk.syncFolder(`${job.folder}/batches`)
  await job.note({ type: 'split', number, into }, true)
  for (const what of GATHERED) await job.disk.remove(job.path(number, what))
  return into.map(part => part.number)
}
