import { Parser } from 'csv-parse'
import { wrapError } from '../../core/errors.ts'
import { CR } from './line-breaks.ts'

/**
 * Bytes by which a row that csv-parse gives may lie behind the bytes it was given: it looks ahead before it decides. A
 * delimiter and the beginning of a comment are far shorter than this.
 */
export const LAG_BYTES = 64

/** csv-parse without its stream: it is given bytes, and each row that they complete goes to `onRow` at once. */
export class CsvRows extends Parser {
  #hasCr = false
  readonly #onRow: (row: readonly string[]) => void

  constructor(delimiter: string, onRow: (row: readonly string[]) => void, comment?: string) {
    super({
      comment: comment ?? null,
      comment_no_infix: true,
      delimiter,
      record_delimiter: '\n',
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    })
    this.#onRow = onRow
    if (comment !== undefined) onlyAtLineStarts(this)
  }

  /** How many bytes it was given up to the end of its last row, line end included. */
  get rowsEnd(): number {
    return this.info.bytes
  }

  parse(bytes: Buffer): void {
    // Each kind of line end costs a comparison per byte, so the others come in with the first CR.
    if (!this.#hasCr && bytes.includes(CR)) {
      this.#hasCr = true
      this.options.record_delimiter = LINE_ENDS
    }
    this._transform(bytes, 'utf8', error => {
      if (error) throw wrapError('CBS_INPUT', 'the CSV cannot be read', error)
    })
  }

  /** Says that the input is at its end; false when a quote is still open there. */
  finish(): boolean {
    let closed = true
    this._flush(error => (closed = !error))
    return closed
  }

  override push(row: readonly string[] | null): boolean {
    if (row) this.#onRow(row)
    return true
  }
}

/**
 * csv-parse also looks for a comment behind a closing quote: it would take `"a"#1` for `a#1`, and lose all of `""#1`. With
 * comments a row is what it is without them.
 */
function onlyAtLineStarts(rows: CsvRows): void {
  // Its types leave `api` out. It compares bytes for comments alone.
  const { api } = rows as unknown as { readonly api: CsvParseCore }
  const compare = api.__compareBytes
  const { state } = api
  api.__compareBytes = (comment, bytes, at, byte) =>
    state.quoting || state.wasQuoting ? 0 : compare(comment, bytes, at, byte)
}

interface CsvParseCore {
  readonly state: { readonly quoting: boolean; readonly wasQuoting: boolean }
  __compareBytes: (comment: Buffer, bytes: Buffer, at: number, byte: number) => number
}

// CRLF must come before CR, or it would be two line ends.
const LINE_ENDS = ['\r\n', '\n', '\r'].map(end => Buffer.from(end))
