import { BatchStreamError } from '../../core/errors.ts'
import { rejectionsOf, type Rejection } from '../batch-files.ts'
import type { BatchFiles } from '../sums.ts'
import { OrdinalReader, positionOf } from '../ordinals.ts'
import type { BatchState } from '../../core/job/state.ts'
import { compareByRecord } from '../../core/job/earliest.ts'
import { ResultLines } from './lines.ts'

/** How many batches have open files at a time. */
const OPEN = 8

/** The answer to an earlier record: the API's line, or the reason why there is none. */
export interface DedupeAnswer {
  readonly batch: BatchState
  readonly raw: Buffer | null
  /** Set if the record was rejected. */
  readonly rejection?: Rejection | undefined
}

interface OpenBatch {
  readonly batch: BatchState
  readonly members: Float64Array
  readonly rejections: readonly Rejection[]
  readonly lines: ResultLines | undefined
}

/** Finds the answer to the first of several identical requests, for the records that share it. */
export class DedupeAnswers {
  readonly #files: BatchFiles
  readonly #all: Iterable<BatchState>
  readonly #attempt: number
  #batches: readonly BatchState[] | undefined
  /** Least recently used first. */
  readonly #open = new Map<number, OpenBatch>()

  constructor(files: BatchFiles, batches: Iterable<BatchState>, attempt: number) {
    this.#files = files
    this.#all = batches
    this.#attempt = attempt
  }

  async of(ordinal: number): Promise<DedupeAnswer> {
    this.#batches ??= [...this.#all]
      .filter(batch => batch.attempt === this.#attempt && batch.phase !== 'void')
      .sort((a, b) => compareByRecord(b, a))
    // The spans of one attempt follow each other, except where a later `retry` lies between the records of an earlier batch.
    // So the first candidate is almost always the right one.
    for (const batch of this.#batches) {
      const { first = 0, fetched } = batch
      if (first > ordinal) continue
      const opened = await this.#opened(batch)
      const position = positionOf(ordinal, opened.members)
      const rejection = opened.rejections.find(one => one.ordinal === ordinal)
      if (position < 0 && !rejection) continue
      if (!fetched) break
      const raw = position < 0 ? null : ((await opened.lines?.read(position)) ?? null)
      return { batch, raw, rejection }
    }
    throw tooEarly(ordinal)
  }

  async #opened(batch: BatchState): Promise<OpenBatch> {
    const { number, fetched } = batch
    const here = this.#open.get(number) ?? {
      batch,
      members: await OrdinalReader.use(this.#files, batch, reader => reader.all()),
      rejections: await rejectionsOf(this.#files, batch),
      lines:
        fetched && fetched.lines > 0
          ? await ResultLines.open(this.#files, number, batch.requests)
          : undefined,
    }
    this.#open.delete(number)
    this.#open.set(number, here)
    for (const [oldest, { lines }] of this.#open) {
      if (this.#open.size <= OPEN) break
      this.#open.delete(oldest)
      await lines?.close()
    }
    return here
  }

  async close(): Promise<void> {
    for (const { lines } of this.#open.values()) await lines?.close()
    this.#open.clear()
  }
}

function tooEarly(ordinal: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STAGE',
    `a record shares the answer of record ${ordinal + 1}, which is not here yet: with \`dedupe\`, put inputOrder() between awaitEnd and fetchResults`,
  )
}
