import type { Problem } from '../../core/flow.ts'
import { KEY_BYTES } from '../../core/request-key.ts'
import { GATHERED } from '../../store/batch-path.ts'
import { rejectionsOf, type BatchWriter, type ExtraFiles } from '../../store/batch-files.ts'
import type { Sealed } from '../../core/job/event.ts'
import type { StoredJob } from '../../store/job.ts'
import { Repeats } from '../../store/repeats.ts'
import { Reused, ReusedAnswers } from '../../store/reused.ts'
import { readSummed } from '../../store/sums.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import { lines } from '../../store/body-lines.ts'

/** The part that a request of a split batch goes to, from 0 in the order of requests; or why it is left out. */
export type PartAssignment = number | Problem

/** The first half of the requests is one part, the rest the other. A single request is rejected as too large. */
export function half(requests: number): (position: number) => PartAssignment {
  if (requests === 1)
    return () => ({
      type: 'request_too_large',
      message: 'the API rejects this request as too large, even in a batch of its own (413)',
    })
  return firstOf(requests / 2)
}

/** The first `count` requests are one part, the rest the other. */
export function firstOf(count: number): (position: number) => PartAssignment {
  return position => (position < count ? 0 : 1)
}

/** One request is rejected; the others stay one batch. */
export function without(rejected: number, problem: Problem): (position: number) => PartAssignment {
  return position => (position === rejected ? problem : 0)
}

/**
 * Replaces a batch that the API does not accept with parts of it. The files of the parts are complete before the single
 * journal line that replaces the batch. Returns the numbers of the parts, in the order of their requests.
 */
export async function splitBatch(
  job: StoredJob,
  number: number,
  partOf: (position: number) => PartAssignment,
  { isolated = job.batch(number).isolated }: { readonly isolated?: true | undefined } = {},
): Promise<readonly number[]> {
  const batch = job.batch(number)
  const { attempt, next, sums } = batch
  const ids = await BatchIds.of(job, number)
  const keys = await readSummed(job.store, batch, 'keys')
  const parts = new PartWriters(job, {
    keys: keys !== undefined,
    repeats: sums?.repeats !== undefined,
    reused: batch.reused?.answeredBy,
  })
  try {
    let position = 0
    for await (const json of lines(job, number)) {
      // Every line of the body has a record.
      const ordinal = ids.ordinalAt(position) as number
      const part = partOf(position)
      const id = ids.chosenAt(position)
      if (typeof part === 'number') {
        const writer = await parts.at(part, ordinal)
        writer.add(
          json,
          ordinal,
          id,
          keys?.subarray(position * KEY_BYTES, (position + 1) * KEY_BYTES),
        )
        if (writer.full) await writer.flush()
      } else {
        const writer = await parts.covering(ordinal)
        writer.reject({ ordinal, custom_id: id ?? null, ...part })
      }
      position += 1
    }
    for (const rejection of await rejectionsOf(job.store, batch))
      (await parts.covering(rejection.ordinal)).reject(rejection)
    for (const { ordinal, of } of await Repeats.of(job.store, batch))
      (await parts.covering(ordinal)).repeat(ordinal, of)
    await copyReused(job, number, parts)
    const into: Sealed[] = []
    for (const writer of parts.writers)
      into.push({ ...(await writer.seal(attempt, next)), ...(isolated && { isolated }) })
    await job.store.disk.syncFolder(`${job.store.folder}/batches`)
    await job.note({ type: 'split', number, into }, true)
    for (const what of GATHERED) await job.store.disk.remove(job.store.path(number, what))
    return into.map(part => part.number)
  } finally {
    // Closing a closed file does nothing.
    for (const writer of parts.writers) await writer.abandon()
  }
}

async function copyReused(job: StoredJob, number: number, parts: PartWriters): Promise<void> {
  const reused = await Reused.of(job.store, job.batch(number))
  if (reused.count === 0) return
  const answers = await ReusedAnswers.open(job.store, number, reused)
  try {
    for (const [index, ordinal] of reused.ordinals()) {
      const writer = await parts.covering(ordinal)
      const answer = answers.tryReadSync(index) ?? (await answers.read(index))
      writer.reuse(ordinal, reused.keyAt(index), answer)
      if (writer.full) await writer.flush()
    }
  } finally {
    await answers.close()
  }
}

/** The writers of the parts. A part covers the records from its first request to the first request of the next part. */
class PartWriters {
  readonly writers: BatchWriter[] = []
  readonly #job: StoredJob
  readonly #extra: ExtraFiles
  readonly #firstOrdinals: number[] = []

  constructor(job: StoredJob, extra: ExtraFiles) {
    this.#job = job
    this.#extra = extra
  }

  /** The writer of a part that gets the request of this record; parts are opened in order. */
  async at(part: number, ordinal: number): Promise<BatchWriter> {
    return this.writers[part] ?? (await this.#open(ordinal))
  }

  /** The writer of the part that covers a record. */
  async covering(ordinal: number): Promise<BatchWriter> {
    const index = this.#firstOrdinals.findLastIndex(first => first <= ordinal)
    return this.writers[Math.max(0, index)] ?? (await this.#open(ordinal))
  }

  async #open(ordinal: number): Promise<BatchWriter> {
    const writer = await this.#job.store.newBatch(this.#extra)
    this.writers.push(writer)
    this.#firstOrdinals.push(ordinal)
    return writer
  }
}
