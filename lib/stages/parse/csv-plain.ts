// Converts ordinary rows directly to the JSON of their records, reading each byte once.
import { isUtf8 } from 'node:buffer'
import { PAGE_BYTES, PAGE_ITEMS } from '../../core/pages.ts'
import { RecordPage } from '../../core/record-page.ts'
import type { Columns } from './csv-columns.ts'
import { CR, LF } from './line-breaks.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const CLOSE = 0x7d

/** Classes of bytes in a field: text that JSON contains unchanged, text that must be escaped, or an end. */
const TEXT = 0
const ESCAPED = 1
const END = 2

/** Bytes by which the JSON of one byte may exceed the room that was checked. */
const SPARE = 8

/** How far the rows were read. */
export interface PlainRows {
  readonly page: RecordPage | undefined
  /** The offset at which reading continues. */
  readonly end: number
  /** The line at that offset. */
  readonly line: number
  /** Why it stopped: the page is full, the next row is incomplete, or csv-parse must read it. */
  readonly stop: 'full' | 'more' | 'unusual'
}

export interface PlainCsvOptions {
  readonly columns: Columns
  /** One ASCII character. */
  readonly delimiter: string
  readonly maxRecordBytes: number
  readonly source: string | undefined
}

/**
 * Reads CSV rows without csv-parse: with quotes, line breaks in quotes, and LF or CRLF after each row. It leaves everything
 * else to csv-parse: a quote inside a field, text after a closing quote, a lone CR, a NUL at the start of a row, a row with the wrong number of fields
 * or too many bytes, and invalid UTF-8.
 */
export class PlainCsv {
  readonly #options: PlainCsvOptions
  readonly #openings: readonly Buffer[]
  readonly #delimiter: number
  readonly #unquoted = new Uint8Array(256)
  readonly #quoted = new Uint8Array(256)
  #out: Buffer = Buffer.alloc(0)
  #length = 0
  /** Line breaks in the current row. */
  #breaks = 0

  constructor(options: PlainCsvOptions) {
    this.#options = options
    this.#openings = options.columns.openings.map(opening => Buffer.from(opening))
    for (const table of [this.#unquoted, this.#quoted]) {
      table.fill(ESCAPED, 0, 0x20)
      table[BACKSLASH] = ESCAPED
      table[QUOTE] = END
    }
    this.#delimiter = options.delimiter.charCodeAt(0)
    for (const byte of [LF, CR, this.#delimiter]) this.#unquoted[byte] = END
  }

  /** Reads a page of rows; the first one starts at `from`, on `line`. */
  read(bytes: Buffer, from: number, line: number): PlainRows {
    const { columns, maxRecordBytes, source } = this.#options
    const ends = new Uint32Array(PAGE_ITEMS)
    const lines = new Float64Array(PAGE_ITEMS)
    let count = 0
    let at = from
    let next = line
    let stop: PlainRows['stop'] = 'full'
    this.#length = 0
    while (count < PAGE_ITEMS) {
      const start = this.#length
      this.#breaks = 0
      const end = this.#row(bytes, at, columns.count)
      const isTooLong = end > 0 && bodyEnd(bytes, end) - at > maxRecordBytes
      if (end <= 0 || isTooLong || (count > 0 && this.#length > PAGE_BYTES)) {
        this.#length = start
        if (end <= 0 || isTooLong) stop = end === MORE ? 'more' : 'unusual'
        break
      }
      // A blank line is not a row.
      if (this.#length > start) {
        ends[count] = this.#length - 1
        lines[count] = next
        count += 1
      }
      next += this.#breaks + 1
      at = end
    }
    if (count === 0) return { page: undefined, end: at, line: next, stop }
    const json = Buffer.from(this.#out.subarray(0, this.#length))
    if (!isUtf8(json)) return { page: undefined, end: from, line, stop: 'unusual' }
    const page = new RecordPage({
      bytes: json,
      ends: ends.subarray(0, count),
      lines: lines.subarray(0, count),
      source,
    })
    return { page, end: at, line: next, stop }
  }

  /** Writes the record of a row; returns the start of the next one, or `MORE` or `UNUSUAL`. */
  #row(bytes: Buffer, from: number, columns: number): number {
    if (from === bytes.length) return MORE
    if (isRowEnd(bytes, from)) return behindRow(bytes, from)
    if (bytes[from] === 0) return UNUSUAL
    let at = from
    for (let column = 0; column < columns; column++) {
      this.#open(column)
      at = bytes[at] === QUOTE ? this.#quotedField(bytes, at + 1) : this.#plainField(bytes, at)
      if (at < 0) return at
      if (at === bytes.length) return MORE
      this.#out[this.#length++] = QUOTE
      if (isRowEnd(bytes, at)) {
        if (column < columns - 1) return UNUSUAL
        this.#out[this.#length++] = CLOSE
        this.#out[this.#length++] = LF
        return behindRow(bytes, at)
      }
      if (bytes[at] === CR && at + 1 === bytes.length) return MORE
      if (bytes[at] !== this.#delimiter) return UNUSUAL
      at++
    }
    return UNUSUAL
  }

  /** Starts a field: `,"name":"`. */
  #open(column: number): void {
    const opening = this.#openings[column] as Buffer
    this.#ensure(opening.length + 1)
    for (let index = 0; index < opening.length; index++)
      // Every index is in range.
      this.#out[this.#length++] = opening[index] as number
    this.#out[this.#length++] = QUOTE
  }

  /** Writes a field up to the byte that ends it, and returns that offset. */
  #plainField(bytes: Buffer, from: number): number {
    const kinds = this.#unquoted
    let at = from
    for (;;) {
      at = this.#copyText(bytes, at, kinds)
      // Every index is in range.
      const kind = at === bytes.length ? END : kinds[bytes[at] as number]
      if (kind === END) return at
      if (kind === ESCAPED) this.#escape(bytes[at++] as number)
    }
  }

  /** The same for a field after its opening quote; returns the offset after the closing one. */
  #quotedField(bytes: Buffer, from: number): number {
    const kinds = this.#quoted
    let at = from
    for (;;) {
      at = this.#copyText(bytes, at, kinds)
      if (at === bytes.length) return MORE
      // Every index is in range.
      if (kinds[bytes[at] as number] === TEXT) continue
      const byte = bytes[at++] as number
      if (byte === QUOTE && bytes[at] !== QUOTE) return at
      if (byte === QUOTE) at++
      if (byte === LF || (byte === CR && bytes[at] !== LF)) this.#breaks++
      this.#escape(byte)
    }
  }

  /** Copies text that JSON contains unchanged, as much as fits, and returns the offset behind it. */
  #copyText(bytes: Buffer, from: number, kinds: Uint8Array): number {
    const end = Math.min(bytes.length, from + this.#ensure(SPARE))
    const out = this.#out
    let at = from
    let length = this.#length
    // Every index is in range.
    while (at < end && kinds[bytes[at] as number] === TEXT) out[length++] = bytes[at++] as number
    this.#length = length
    return at
  }

  #escape(byte: number): void {
    // Only ASCII bytes are escaped.
    for (const code of ESCAPES[byte] as readonly number[]) this.#out[this.#length++] = code
  }

  /** Ensures room for this many bytes and the end of a row; returns how much more text fits. */
  #ensure(count: number): number {
    const needed = count + 2 * SPARE
    if (this.#out.length - this.#length < 2 * needed) {
      const longer = Buffer.allocUnsafeSlow(2 * (this.#out.length + needed) + PAGE_BYTES)
      this.#out.copy(longer, 0, 0, this.#length)
      this.#out = longer
    }
    return this.#out.length - this.#length - needed
  }
}

/** The next row is incomplete. */
const MORE = -1
const UNUSUAL = -2

/** Whether a row ends here, with LF or CRLF. */
function isRowEnd(bytes: Buffer, at: number): boolean {
  return bytes[at] === LF || (bytes[at] === CR && bytes[at + 1] === LF)
}

function behindRow(bytes: Buffer, at: number): number {
  return bytes[at] === LF ? at + 1 : at + 2
}

/** The start of the line end before `end`. */
function bodyEnd(bytes: Buffer, end: number): number {
  return bytes[end - 2] === CR ? end - 2 : end - 1
}

/** The JSON escape of each byte that needs one. */
const ESCAPES: readonly (readonly number[])[] = Array.from({ length: 128 }, (_, byte) => [
  ...Buffer.from(JSON.stringify(String.fromCharCode(byte)).slice(1, -1)),
])
