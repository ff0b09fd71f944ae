import { Parser } from 'csv-parse'
import { wrapError } from '../errors.ts'
import { CR } from './line-breaks.ts'

/**
 * Bytes by which a row that csv-parse gives may lie behind the bytes it was given: it looks ahead before it decides. A
 * delimiter is far shorter than this.
 */
export const LAG_BYTES = 64

/** csv-parse without its stream: it is given bytes, and each row that they complete goes to `onRow` at once. */
export class CsvRows extends Parser {
  #hasCr = false
  readonly #onRow: (row: readonly string[]) => void

  constructor(delimiter: string, onRow: (row: readonly string[]) => void) {
    super({
      delimiter,
      record_delimiter: '\n',
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
    })
    this.#onRow = onRow
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

// CRLF must come before CR, or it would be two line ends.
const LINE_ENDS = ['\r\n', '\n', '\r'].map(end => Buffer.from(end))
