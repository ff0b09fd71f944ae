import type { EndedBatch } from '../flow.ts'
import type { DiskFile } from '../job/disk.ts'
import { rejectionsOf } from '../job/batch-files.ts'
import { Window } from '../job/window.ts'
import type { AnswerCheck } from '../schema/answer-check.ts'
import type { Ids } from './ids.ts'
import { Result } from './result.ts'
import { LINE_ENTRY } from './verify.ts'

/** Rows handed over at a time, so that a row costs no promise. */
const BLOCK = 64

/** The rows of a batch whose results are on disk, in input order, in small blocks. */
export async function* rowsOf(
  batch: EndedBatch,
  ids: Ids,
  check?: AnswerCheck,
): AsyncGenerator<Result[]> {
  const { job, number } = batch
  const { requests, records, fetched } = job.batch(number)
  const rejected = await rejectionsOf(job, number)
  const why = {
    type: 'unanswered',
    message: fetched?.why ?? 'the API gave no line for this request',
  }
  const reader = job.records.reader(job)
  const files = fetched && fetched.lines > 0 ? await openBoth(batch) : undefined
  let position = 0
  let rejection = 0
  let block: Result[] = []
  try {
    for (let row = 1; row <= records; row++) {
      const last = row === records
      const ordinal = position < requests ? ids.ordinalAt(position) : undefined
      const refused = rejected[rejection]
      if (refused && (position >= requests || refused.ordinal < (ordinal ?? Infinity))) {
        const { ordinal: at, custom_id, type, message } = refused
        const record = reader.peek(at, batch.attempt) ?? (await reader.read(at, batch.attempt))
        const without = { status: 'rejected' as const, problem: { type, message } }
        block.push(new Result({ batch, customId: custom_id, record, raw: null, without, last }))
        rejection += 1
      } else {
        const record =
          ordinal === undefined
            ? undefined
            : (reader.peek(ordinal, batch.attempt) ?? (await reader.read(ordinal, batch.attempt)))
        const raw = files ? (files.peek(position) ?? (await files.read(position))) : null
        block.push(
          new Result({
            batch,
            customId: raw ? null : (ids.idAt(position) ?? null),
            record,
            raw,
            last,
            check,
            ...(raw ? {} : { without: { status: 'unanswered', problem: why } }),
          }),
        )
        position += 1
      }
      if (block.length < BLOCK && !last) continue
      yield block
      block = []
    }
  } finally {
    await files?.close()
  }
}

/** The result lines of a batch, by the position of their request. */
class Lines {
  readonly #files: readonly DiskFile[]
  readonly #index: Window
  readonly #results: Window

  constructor(index: DiskFile, results: DiskFile) {
    this.#files = [index, results]
    this.#index = new Window(index)
    this.#results = new Window(results)
  }

  /** The line if it is in memory already; undefined where it has to be read, or where there is none. */
  peek(position: number): Buffer | undefined {
    const entry = this.#index.peek(position * LINE_ENTRY, LINE_ENTRY)
    const length = entry?.readUInt32LE(6) ?? 0
    return entry && length > 0 ? this.#results.peek(entry.readUIntLE(0, 6), length) : undefined
  }

  async read(position: number): Promise<Buffer | null> {
    const entry = await this.#index.read(position * LINE_ENTRY, LINE_ENTRY)
    const length = entry.readUInt32LE(6)
    return length > 0 ? await this.#results.read(entry.readUIntLE(0, 6), length) : null
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }
}

async function openBoth({ job, number }: EndedBatch): Promise<Lines> {
  const index = await job.disk.open(job.path(number, 'lines'), 'read')
  return new Lines(index, await job.disk.open(job.path(number, 'results'), 'read'))
}
