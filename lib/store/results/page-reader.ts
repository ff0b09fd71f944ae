import { storedJob, type StoredJob } from '../job.ts'
import type { EndedBatch } from '../../core/flow.ts'
import { ENTRY, PLAIN, PROVEN, STRIDE } from '../../core/json/scanner.ts'
import { PAGE_BYTES, PAGE_ITEMS } from '../../core/pages.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import type { RecordReader, RecordSpan } from '../records.ts'
import type { Ids } from './ids.ts'
import { PART_COUNT, PARTS } from './line-index.ts'
import type { Lines, LineSpan } from './lines.ts'

/** The most that a table of 32-bit numbers can say. */
const MAX_LINE_NUMBER = 2 ** 31 - 1

/** Reads the results of a batch as pages, from its lines and the job's records. */
export class PageReader {
  readonly #batch: EndedBatch
  readonly #job: StoredJob
  readonly #ids: Ids
  readonly #lines: Lines
  readonly #records: RecordReader
  readonly #check: AnswerCheck | undefined

  constructor(
    batch: EndedBatch,
    ids: Ids,
    lines: Lines,
    records: RecordReader,
    check: AnswerCheck | undefined,
  ) {
    this.#batch = batch
    this.#job = storedJob(batch.job)
    this.#ids = ids
    this.#lines = lines
    this.#records = records
    this.#check = check
  }

  /**
   * The page that begins at a position; undefined where its result needs a look for itself: there is no line or a long one, or
   * a record with a problem. `rows` are left in the batch.
   */
  async read(position: number, rows: number): Promise<ResultPage | undefined> {
    const ordinal = this.#ids.ordinalAt(position)
    if (ordinal === undefined) return undefined
    const span = await this.#lines.load(position)
    if (span.length(position) === 0) return undefined
    const most = this.#following(position, ordinal, Math.min(PAGE_ITEMS, span.end - position, rows))
    const records = await this.#records.span(ordinal, most)
    const { count, recordBytes, bytes: size } = fitting(span, position, records)
    if (count === 0) return undefined
    const bytes = Buffer.allocUnsafeSlow(size)
    await this.#records.copy(records, count, bytes.subarray(0, recordBytes))
    const table = new Int32Array(count * STRIDE)
    const { start } = records.entries[0] as { start: number }
    let at = recordBytes
    for (let index = 0; index < count; index++) {
      const entry = index * STRIDE
      // The span has as many entries.
      const { start: from, length, line } = records.entries[index] as RecordSpan['entries'][number]
      table[entry + ENTRY.start] = from - start
      table[entry + ENTRY.end] = from - start + length
      table[entry + ENTRY.lineNumber] = line
      span.copy(position + index, bytes, at)
      putParts(span, position + index, at, table, entry)
      at += span.length(position + index)
    }
    return new ResultPage({
      ...{ batch: this.#batch, job: this.#job, source: records.source, ordinal },
      ...{ bytes, linesAt: recordBytes, table, count },
      last: count === rows,
      check: this.#check,
    })
  }

  /** How many requests from a position on ask about records that follow each other. */
  #following(position: number, ordinal: number, most: number): number {
    let count = 1
    while (count < most && this.#ids.ordinalAt(position + count) === ordinal + count) count++
    return count
  }
}

/** How many results fit on a page, and their bytes. */
function fitting(
  span: LineSpan,
  position: number,
  { entries }: RecordSpan,
): { count: number; recordBytes: number; bytes: number } {
  const first = entries[0]?.start ?? 0
  let count = 0
  let recordBytes = 0
  let lineBytes = 0
  for (const { start, length, line } of entries) {
    const added = span.length(position + count)
    const records = start + length - first
    if (added === 0 || line > MAX_LINE_NUMBER || records + lineBytes + added > PAGE_BYTES) break
    recordBytes = records
    lineBytes += added
    count++
  }
  return { count, recordBytes, bytes: recordBytes + lineBytes }
}

/** Puts the place of a line and of its parts into a page's table. */
function putParts(
  span: LineSpan,
  position: number,
  at: number,
  table: Int32Array,
  entry: number,
): void {
  const parts = span.entry(position) + PARTS
  table[entry + ENTRY.type] = at
  table[entry + ENTRY.type + 1] = at + span.length(position)
  // Of a line that is not plain there are zeros; every index is in range.
  const isPlain = (span.index[parts] as number) > 0
  table[entry + ENTRY.kind] = isPlain ? PLAIN : PROVEN
  // The parts follow each other in both tables.
  for (let part = 0; part < PART_COUNT; part++) {
    const place = span.index[parts + part] as number
    table[entry + ENTRY.customId + 2 * part] = at + (place & 0xffff)
    table[entry + ENTRY.customId + 2 * part + 1] = at + (place >>> 16)
  }
}
