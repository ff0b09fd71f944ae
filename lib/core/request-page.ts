import type { BatchRequest, RejectedRecord, SourceRecord } from './flow.ts'
import { Page } from './pages.ts'
import type { RecordPage } from './record-page.ts'

/** What requests that differ in nothing but fields of their records have in common. */
export interface RequestShape {
  /**
   * The bytes of a request behind its custom_id, split where fields of its record stand: `,"params":{...` first, `...}}` last.
   * There is one more than there are fields.
   */
  readonly texts: readonly Buffer[]
  /** Bytes of all of them. */
  readonly textBytes: number
  /** Makes one such request as an object. */
  readonly requestOf: (record: SourceRecord) => BatchRequest | RejectedRecord
}

/** Requests of one shape for records that follow each other, none of them rejected. Its items are made when they are read. */
export class RequestPage extends Page<BatchRequest | RejectedRecord> {
  readonly records: RecordPage
  readonly shape: RequestShape
  /** The first one's place in the page of records. */
  readonly from: number
  readonly count: number
  /** Where the fields of each record lie in the bytes of the page, ready for JSON: two places for each field. */
  readonly places: Uint32Array

  constructor(
    records: RecordPage,
    shape: RequestShape,
    { from, count, places }: Pick<RequestPage, 'from' | 'count' | 'places'>,
  ) {
    super()
    this.records = records
    this.shape = shape
    this.from = from
    this.count = count
    this.places = places
  }

  /** The first record's ordinal; undefined where they are not spooled. */
  get ordinal(): number | undefined {
    const { ordinal } = this.records
    return ordinal === undefined ? undefined : ordinal + this.from
  }

  item(index: number): BatchRequest | RejectedRecord {
    return this.shape.requestOf(this.records.item(this.from + index))
  }

  *[Symbol.iterator](): Iterator<BatchRequest | RejectedRecord> {
    for (let index = 0; index < this.count; index++) yield this.item(index)
  }

  /** Bytes of a request behind its custom_id. */
  sizeOf(index: number): number {
    const fields = 2 * (this.shape.texts.length - 1)
    let size = this.shape.textBytes
    for (let at = index * fields; at < (index + 1) * fields; at += 2)
      // Every index is in range.
      size += (this.places[at + 1] as number) - (this.places[at] as number)
    return size
  }

  /** Writes the bytes of a request behind its custom_id. */
  write(index: number, into: Buffer, start: number): void {
    const { texts } = this.shape
    const { bytes } = this.records
    let place = index * 2 * (texts.length - 1)
    let at = start
    for (const [number, text] of texts.entries()) {
      if (number > 0) {
        at += bytes.copy(into, at, this.places[place], this.places[place + 1])
        place += 2
      }
      into.set(text, at)
      at += text.length
    }
  }
}
