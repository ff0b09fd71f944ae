import { isUtf8 } from 'node:buffer'
import { storedJob, type StoredJob } from '../job.ts'
import type { EndedBatch } from '../../core/flow.ts'
import { ENTRY, PLAIN, PROVEN, STRIDE } from '../../core/json/scanner.ts'
import { PAGE_BYTES, PAGE_ITEMS } from '../../core/pages.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import type { RecordReader, RecordRange, RangeEntry } from '../records.ts'
import type { Ids } from './ids.ts'
import { NUMBERS, PART_NUMBERS, PARTS } from './line-index.ts'
import type { ResultLines, LineSpan } from './lines.ts'

/** The largest number in a table of 32-bit integers. */
const MAX_LINE_NUMBER = 2 ** 31 - 1

/** The memory of a long line is not reused, because its row refers to it. */
function keep(): void {}

/** Makes pages of a batch's results from its lines and the job's records. */
export class PageReader {
  readonly #batch: EndedBatch
  readonly #job: StoredJob
  readonly #ids: Ids
  readonly #lines: ResultLines
  readonly #records: RecordReader
  readonly #check: AnswerCheck | undefined

  constructor(
    batch: EndedBatch,
    ids: Ids,
    lines: ResultLines,
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
   * The page that starts at a position. Undefined if the result at the position must be read by itself: it has no line, a long
   * line that is not plain, or a record with a problem. `rows` is the number of rows left in the batch.
   */
  async read(position: number, rows: number): Promise<ResultPage | undefined> {
    const ordinal = this.#ids.ordinalAt(position)
    if (ordinal === undefined) return undefined
    const span = await this.#lines.load(position)
    if (span.length(position) === 0) return await this.#readLong(position, ordinal, rows)
    const most = this.#following(position, ordinal, Math.min(PAGE_ITEMS, span.end - position, rows))
    const records = await this.#records.span(ordinal, most)
    const count = fitting(span, position, records)
    if (count === 0) return undefined
    return new ResultPage({
      ...{ batch: this.#batch, job: this.#job, source: records.source, ordinal },
      records: await this.#records.bytesOf(records, count),
      ...{ lines: span.bytes, isUtf8: span.isUtf8, release: span.share() },
      table: tableOf(span, position, records, count),
      ...{ count, last: count === rows, check: this.#check },
    })
  }

  /** A page of one plain answer with a long line. */
  async #readLong(
    position: number,
    ordinal: number,
    rows: number,
  ): Promise<ResultPage | undefined> {
    const index = this.#lines.entries
    // Every index is in range.
    if ((index[position * NUMBERS + PARTS] as number) === 0) return undefined
    const records = await this.#records.span(ordinal, 1)
    const [record] = records.entries
    const lines = await this.#lines.read(position)
    if (!record || !lines || record.line > MAX_LINE_NUMBER) return undefined
    const table = new Int32Array(STRIDE)
    table[ENTRY.end] = record.length
    table[ENTRY.lineNumber] = record.line
    putLine(index, position, { start: 0, length: lines.length }, table, 0)
    return new ResultPage({
      ...{ batch: this.#batch, job: this.#job, source: records.source, ordinal },
      records: await this.#records.bytesOf(records, 1),
      ...{ lines, isUtf8: isUtf8(lines), release: keep, table },
      ...{ count: 1, last: rows === 1, check: this.#check },
    })
  }

  /** How many requests, starting at a position, have consecutive records. */
  #following(position: number, ordinal: number, most: number): number {
    let count = 1
    while (count < most && this.#ids.ordinalAt(position + count) === ordinal + count) count++
    return count
  }
}

/** How many results fit on a page. */
function fitting(span: LineSpan, position: number, { entries }: RecordRange): number {
  const [{ start: first } = { start: 0 }] = entries
  let count = 0
  let lineBytes = 0
  for (const { start, length, line } of entries) {
    const added = span.length(position + count)
    lineBytes += added
    const bytes = start + length - first + lineBytes
    if (added === 0 || line > MAX_LINE_NUMBER || bytes > PAGE_BYTES) break
    count++
  }
  return count
}

/** The table of a page. */
function tableOf(
  span: LineSpan,
  position: number,
  { entries }: RecordRange,
  count: number,
): Int32Array {
  const table = new Int32Array(count * STRIDE)
  const [{ start: first } = { start: 0 }] = entries
  for (let index = 0; index < count; index++) {
    const entry = index * STRIDE
    // The span has `count` entries.
    const { start, length, line } = entries[index] as RangeEntry
    table[entry + ENTRY.start] = start - first
    table[entry + ENTRY.end] = start - first + length
    table[entry + ENTRY.lineNumber] = line
    const place = { start: span.start(position + index), length: span.length(position + index) }
    putLine(span.entries, position + index, place, table, entry)
  }
  return table
}

/** Writes the place of a line and of its parts into a page's table. */
function putLine(
  lines: Uint32Array,
  position: number,
  { start, length }: { readonly start: number; readonly length: number },
  table: Int32Array,
  entry: number,
): void {
  const parts = position * NUMBERS + PARTS
  table[entry + ENTRY.type] = start
  table[entry + ENTRY.type + 1] = start + length
  // A line that is not plain has zeros. Every index is in range.
  table[entry + ENTRY.kind] = (lines[parts] as number) > 0 ? PLAIN : PROVEN
  // The parts have the same order in both tables.
  for (let number = 0; number < PART_NUMBERS; number++)
    table[entry + ENTRY.customId + number] = lines[parts + number] as number
}
