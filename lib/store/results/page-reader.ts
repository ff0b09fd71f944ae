import { storedJob, type StoredJob } from '../job.ts'
import type { EndedBatch } from '../../core/flow.ts'
import { ENTRY, PLAIN, PROVEN, STRIDE } from '../../core/json/scanner.ts'
import { PAGE_BYTES, PAGE_ITEMS } from '../../core/pages.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import type { RecordReader, RecordSpan, SpanEntry } from '../records.ts'
import type { Ids } from './ids.ts'
import { NUMBERS, PART_NUMBERS, PARTS } from './line-index.ts'
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
    const count = fitting(span, position, records)
    if (count === 0) return undefined
    return new ResultPage({
      ...{ batch: this.#batch, job: this.#job, source: records.source, ordinal },
      records: await this.#records.bytesOf(records, count),
      ...{ lines: span.bytes, isUtf8: span.isUtf8 },
      table: tableOf(span, position, records, count),
      ...{ count, last: count === rows, check: this.#check },
    })
  }

  /** How many requests from a position on ask about records that follow each other. */
  #following(position: number, ordinal: number, most: number): number {
    let count = 1
    while (count < most && this.#ids.ordinalAt(position + count) === ordinal + count) count++
    return count
  }
}

/** How many results fit on a page. */
function fitting(span: LineSpan, position: number, { entries }: RecordSpan): number {
  const first = entries[0]?.start ?? 0
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
  { entries }: RecordSpan,
  count: number,
): Int32Array {
  const table = new Int32Array(count * STRIDE)
  const first = entries[0]?.start ?? 0
  for (let index = 0; index < count; index++) {
    const entry = index * STRIDE
    // The span has as many entries.
    const { start, length, line } = entries[index] as SpanEntry
    table[entry + ENTRY.start] = start - first
    table[entry + ENTRY.end] = start - first + length
    table[entry + ENTRY.lineNumber] = line
    putLine(span, position + index, table, entry)
  }
  return table
}

/** Puts the place of a line, and those of its parts in it, into a page's table. */
function putLine(span: LineSpan, position: number, table: Int32Array, entry: number): void {
  const lines = span.entries
  const parts = position * NUMBERS + PARTS
  const start = span.start(position)
  table[entry + ENTRY.type] = start
  table[entry + ENTRY.type + 1] = start + span.length(position)
  // Of a line that is not plain there are zeros; every index is in range.
  table[entry + ENTRY.kind] = (lines[parts] as number) > 0 ? PLAIN : PROVEN
  // The parts follow each other in both tables.
  for (let number = 0; number < PART_NUMBERS; number++)
    table[entry + ENTRY.customId + number] = lines[parts + number] as number
}
