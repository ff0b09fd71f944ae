import { SourceRecord } from './flow.ts'
import type { Job } from './job/job.ts'
import { Page, PAGE_BYTES, PAGE_ITEMS } from './pages.ts'

/** What a page of records is made of. */
export interface RecordPageParts {
  /** The records, each with a newline behind it. */
  readonly bytes: Buffer
  /** Where each record ends: the place of its newline. */
  readonly ends: Uint32Array
  /** The line on which each record began. */
  readonly lines: Float64Array
  /** The file that all of them came from; undefined for a pipe. */
  readonly source: string | undefined
  /** The first record's ordinal, once they are spooled; those of the others follow. */
  readonly ordinal?: number | undefined
  readonly job?: Job | undefined
}

/** Records without a problem that follow each other. Its items are made when they are read. */
export class RecordPage extends Page<SourceRecord> {
  readonly bytes: Buffer
  readonly ends: Uint32Array
  readonly lines: Float64Array
  readonly source: string | undefined
  readonly ordinal: number | undefined
  readonly job: Job | undefined

  constructor({ bytes, ends, lines, source, ordinal, job }: RecordPageParts) {
    super()
    this.bytes = bytes
    this.ends = ends
    this.lines = lines
    this.source = source
    this.ordinal = ordinal
    this.job = job
  }

  get count(): number {
    return this.ends.length
  }

  /** The same records once they are spooled. */
  spooled(ordinal: number, job: Job): RecordPage {
    const { bytes, ends, lines, source } = this
    return new RecordPage({ bytes, ends, lines, source, ordinal, job })
  }

  /** Where a record begins. */
  startOf(index: number): number {
    return index === 0 ? 0 : (this.ends[index - 1] as number) + 1
  }

  item(index: number): SourceRecord {
    const { bytes, ends, lines, source, ordinal, job } = this
    return new SourceRecord(bytes.subarray(this.startOf(index), ends[index]), {
      // There are as many lines as ends.
      line: lines[index] as number,
      source,
      job,
      ordinal: ordinal === undefined ? undefined : ordinal + index,
    })
  }

  *[Symbol.iterator](): Iterator<SourceRecord> {
    for (let index = 0; index < this.count; index++) yield this.item(index)
  }
}

/** Gathers records into pages. */
export class RecordPageBuilder {
  #bytes = Buffer.alloc(0)
  #at = 0
  #count = 0
  #source: string | undefined
  readonly #ends = new Uint32Array(PAGE_ITEMS)
  readonly #lines = new Float64Array(PAGE_ITEMS)

  get isEmpty(): boolean {
    return this.#count === 0
  }

  /** Whether a record of these bytes and this source goes onto the page; a long one goes onto a page of its own. */
  hasRoom(bytes: number, source: string | undefined): boolean {
    if (this.#count === 0) return true
    return this.#count < PAGE_ITEMS && this.#at + bytes < PAGE_BYTES && source === this.#source
  }

  add(record: SourceRecord): void {
    const { raw } = record
    const end = this.#at + raw.length
    if (end >= this.#bytes.length) this.#grow(end + 1)
    this.#bytes.set(raw, this.#at)
    this.#bytes[end] = NEWLINE
    this.#ends[this.#count] = end
    this.#lines[this.#count] = record.line
    this.#source = record.source
    this.#at = end + 1
    this.#count += 1
  }

  /** The page; it is empty then. */
  take(): RecordPage {
    const page = new RecordPage({
      bytes: this.#bytes.subarray(0, this.#at),
      ends: this.#ends.slice(0, this.#count),
      lines: this.#lines.slice(0, this.#count),
      source: this.#source,
    })
    // A page owns its memory: what is left of it is for the next one.
    this.#bytes = this.#bytes.subarray(this.#at)
    this.#at = 0
    this.#count = 0
    return page
  }

  #grow(needed: number): void {
    const longer = Buffer.allocUnsafeSlow(Math.max(needed, PAGE_BYTES))
    this.#bytes.copy(longer, 0, 0, this.#at)
    this.#bytes = longer
  }
}

const NEWLINE = 0x0a
