import { SourceRecord, type EndedBatch } from '../flow.ts'
import type { Job } from '../job/job.ts'
import { ENTRY, PLAIN, STRIDE } from '../json/scanner.ts'
import { Page } from '../pages.ts'
import type { AnswerCheck } from '../schema/answer-check.ts'
import { Result, type Usage } from './result.ts'

/** The parts of a page. */
export interface ResultPageParts {
  readonly batch: EndedBatch
  readonly job: Job
  /** The input file of the records. */
  readonly source: string | undefined
  /** The ordinal of the first record; the others follow it. */
  readonly ordinal: number
  readonly records: Buffer
  /** Memory that contains the API's lines, among others. */
  readonly lines: Buffer
  /** Called when the page no longer needs `lines`; never called if a result of the page was given out. */
  readonly release: () => void
  /** Whether `lines` is valid UTF-8. */
  readonly isUtf8: boolean
  /**
   * An entry per result, as in the scanner's table, except that `start` and `end` locate the record in `records` and `type` the
   * line in `lines`. The other parts are offsets in the line.
   */
  readonly table: Int32Array
  readonly count: number
  /** True for the last page of its batch. */
  readonly last: boolean
  readonly check: AnswerCheck | undefined
}

const OPEN_BRACKET = 0x5b
const COMMA = 0x2c
const CLOSE_BRACKET = 0x5d
const ZERO = 0x30

/** The members of a result that are counted: its status and what was billed. */
export type CountedResult = Pick<
  Result,
  'status' | 'usage' | 'model' | 'repeat' | 'reused' | 'error' | 'isBilled'
> & {
  readonly record: Pick<SourceRecord, 'ordinal'> | undefined
}

/** Results of consecutive records, all with a line. Items are created when they are read. */
export class ResultPage extends Page<Result> {
  readonly batch: EndedBatch
  readonly ordinal: number
  readonly records: Buffer
  readonly lines: Buffer
  readonly table: Int32Array
  readonly count: number
  readonly last: boolean
  readonly source: string | undefined
  readonly #parts: ResultPageParts
  readonly #items: (Result | undefined)[] = []
  readonly #isReadable: boolean
  #billed: readonly unknown[] | undefined
  /** Whether a result refers to the page's memory. */
  #isShared = false
  #isReleased = false
  #allPlain: boolean | undefined

  constructor(parts: ResultPageParts) {
    super()
    this.batch = parts.batch
    this.ordinal = parts.ordinal
    this.records = parts.records
    this.lines = parts.lines
    this.table = parts.table
    this.count = parts.count
    this.last = parts.last
    this.source = parts.source
    this.#parts = parts
    // Rows must be UTF-8, and an answer with a schema must be checked.
    this.#isReadable = parts.check === undefined && parts.isUtf8
  }

  /** Whether a result succeeded with a single text, so that its parts describe all of it. */
  isPlain(index: number): boolean {
    return this.#isReadable && this.table[index * STRIDE + ENTRY.kind] === PLAIN
  }

  /** Whether all results are plain. */
  get isAllPlain(): boolean {
    return (this.#allPlain ??= this.#areAllPlain())
  }

  /** Called by the page's last reader. The page's memory is reused unless a result of the page was given out. */
  release(): void {
    if (this.#isShared || this.#isReleased) return
    this.#isReleased = true
    this.#parts.release()
  }

  item(index: number): Result {
    if (this.#isReleased) throw new Error('a page of results is read after its release')
    this.#isShared = true
    return (this.#items[index] ??= this.#result(index))
  }

  /** The counted members of a result. A plain result needs no item for it. */
  counted(index: number): CountedResult {
    if (!this.isPlain(index)) return this.item(index)
    this.#billed ??= this.#parseBilled()
    return {
      status: 'succeeded',
      repeat: false,
      reused: null,
      error: null,
      isBilled: true,
      record: { ordinal: this.ordinal + index },
      // The scanner has proven that these are an object and a string.
      usage: this.#billed[2 * index] as Usage,
      model: this.#billed[2 * index + 1] as string,
    }
  }

  *[Symbol.iterator](): Iterator<Result> {
    for (let index = 0; index < this.count; index++) yield this.item(index)
  }

  #areAllPlain(): boolean {
    for (let index = 0; index < this.count; index++) if (!this.isPlain(index)) return false
    return true
  }

  /** The usage and the model of each plain result, parsed together: one JSON.parse for each costs three times as much. */
  #parseBilled(): readonly unknown[] {
    const { lines, table, count } = this
    const json = Buffer.allocUnsafe(this.#billedBytes() + 4 * count + 1)
    json[0] = OPEN_BRACKET
    let end = 1
    for (let index = 0; index < count; index++) {
      for (const part of [ENTRY.usage, ENTRY.model]) {
        if (this.isPlain(index)) {
          // Every index is in range.
          const line = table[index * STRIDE + ENTRY.type] as number
          const at = index * STRIDE + part
          const from = line + (table[at] as number)
          end += lines.copy(json, end, from, line + (table[at + 1] as number))
        } else json[end++] = ZERO
        json[end++] = COMMA
      }
    }
    json[end - 1] = CLOSE_BRACKET
    return JSON.parse(json.toString('utf8', 0, end))
  }

  #billedBytes(): number {
    let bytes = 0
    for (let at = 0; at < this.count * STRIDE; at += STRIDE)
      for (const part of [ENTRY.usage, ENTRY.model])
        // Every index is in range.
        bytes += (this.table[at + part + 1] as number) - (this.table[at + part] as number)
    return bytes
  }

  #result(index: number): Result {
    const { batch, job, source, check, records, lines, table } = this.#parts
    const at = index * STRIDE
    const record = new SourceRecord(
      records.subarray(table[at + ENTRY.start], table[at + ENTRY.end]),
      {
        // Every result of the page has one.
        line: table[at + ENTRY.lineNumber] as number,
        source,
        job,
        ordinal: this.ordinal + index,
        attempt: batch.attempt,
      },
    )
    const raw = lines.subarray(table[at + ENTRY.type], table[at + ENTRY.type + 1])
    const last = this.last && index === this.count - 1
    return new Result({ batch, customId: null, record, raw, last, check })
  }
}
