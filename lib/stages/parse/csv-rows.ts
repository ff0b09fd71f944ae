import { Parser } from 'csv-parse'
import { wrapError } from '../../core/errors.ts'
import { CR } from './line-breaks.ts'

/**
 * csv-parse looks ahead before it decides, so its rows may lag behind its input by this many bytes. Delimiters and comment
 * prefixes are far shorter.
 */
export const LAG_BYTES = 64

/** csv-parse without its stream: each row that the written bytes complete goes to `onRow` at once. */
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

  /** The number of bytes up to the end of its last row, line end included. */
  get rowsEnd(): number {
    return this.info.bytes
  }

  parse(bytes: Buffer): void {
    // Each kind of line end costs a comparison per byte, so the others are added with the first CR.
    if (!this.#hasCr && bytes.includes(CR)) {
      this.#hasCr = true
      this.options.record_delimiter = LINE_ENDS
    }
    this._transform(bytes, 'utf8', error => {
      if (error) throw wrapError('CBS_INPUT', 'the CSV cannot be read', error)
    })
  }

  /** Ends the input; false if a quote is still open. */
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
 * csv-parse also looks for a comment after a closing quote: it would read `"a"#1` as `a#1` and lose `""#1`. This restricts
 * comments to line starts.
 */
function onlyAtLineStarts(rows: CsvRows): void {
  // Its types omit `api`, which compares bytes only for comments.
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
