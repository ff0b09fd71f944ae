// Takes bytes, gives SourceRecord; next comes template (or spool).
import { wholeNumber, wrongOption } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { DEFAULT_RECORD_BYTES } from '../../core/limits.ts'
import { typed, type Stage } from '../../core/stage.ts'
import { Columns, nameFaults } from './csv-columns.ts'
import { COMMENT_WANTED, isCommentStart } from './csv-comments.ts'
import { CsvReader, type CsvSettings } from './csv-reader.ts'
import type { NoteOptions } from './note.ts'
import { RecordStream } from './record-stream.ts'

/** Options of `parseCsv`. */
export interface CsvOptions extends NoteOptions {
  /**
   * The field delimiter: up to 8 characters. `'\t'` reads TSV.
   * @default detected: a comma, or a semicolon, tab or vertical bar if the first two rows indicate it; `onNote` is called
   * unless it is a comma
   */
  readonly delimiter?: string | undefined
  /**
   * Column names for a file without a header.
   * @default the names in the header
   */
  readonly columns?: readonly string[] | undefined
  /**
   * Whether the first row names the columns; with false and no `columns` they are column1, column2 and so on.
   * @default true, false with `columns`
   */
  readonly header?: boolean | undefined
  /**
   * The prefix of comment lines, such as `'#'`, up to 8 characters. Only whole lines are comments; inside quotes such a
   * line is data.
   * @default none: every line is read
   */
  readonly comment?: string | undefined
  /**
   * Maximum bytes of a record; a longer one becomes a problem and its first 1,000 characters are kept.
   * @default 16_000_000
   */
  readonly maxRecordBytes?: number | undefined
  /**
   * The file's name, for records and errors.
   * @default undefined, a pipe
   */
  readonly source?: string | undefined
  /** Called with the header's names before the first record, even if no record follows. */
  readonly onHeader?: ((columns: readonly string[]) => void) | undefined
}

/**
 * Parses CSV (RFC 4180) into records: each row becomes an object of strings in column order. LF, CRLF and a lone CR end a
 * row; empty lines and comments are skipped but counted; a quote inside an unquoted field is text. `line` is the physical
 * line on which a row starts, also after line breaks in quotes.
 *
 * An unreadable row becomes a record with a `problem` and its raw text as `input`: `wrong_column_count`, `invalid_utf8`,
 * `too_long`, `unclosed_quote`. A quote that is never closed (before the end, or within `maxRecordBytes`) invalidates only
 * the line on which it was opened; reading continues on the next line. The rest of an overlong row is skipped up to the
 * line end.
 *
 * Without a `delimiter` it is detected, independent of chunks: a comma, unless another of `;`, tab and `|` separates the
 * first row and commas do not, or gives the first two rows the same number of columns and commas do not. A first line
 * `sep=;` declares the delimiter and is not a row, even if `delimiter` is given.
 *
 * An unnamed column of the header is called `column3` by its position, a second column `a` is called `a_2`; `onNote` is
 * called with the new names. Names in the header never change.
 *
 * Throws `CBS_OPTION` for an invalid option; fails with `CBS_INPUT` on UTF-16, on UTF-32 and on an unreadable header.
 */
export function parseCsv(options: CsvOptions = {}): Stage<Uint8Array | string, SourceRecord> {
  return typed(new RecordStream(new CsvReader(csvSettings(options))))
}

/** The options, checked and with defaults. */
export function csvSettings(options: CsvOptions): CsvSettings {
  const { delimiter, columns, header = columns === undefined } = options
  const { comment, source, onNote, onHeader } = options
  const maxRecordBytes = wholeNumber(
    'maxRecordBytes',
    options.maxRecordBytes ?? DEFAULT_RECORD_BYTES,
    1,
    Infinity,
  )
  const isDelimiter = typeof delimiter === 'string' && /^[^"\r\n]{1,8}$/.test(delimiter)
  if (delimiter !== undefined && !isDelimiter) {
    throw wrongOption(
      'delimiter',
      'a string of 1 to 8 characters without quotes and line breaks',
      delimiter,
    )
  }
  if (
    comment !== undefined &&
    !(typeof comment === 'string' && isCommentStart(comment, delimiter ?? ','))
  )
    throw wrongOption('comment', COMMENT_WANTED, comment)
  if (typeof header !== 'boolean') throw wrongOption('header', 'true or false', header)
  const named = columns === undefined ? undefined : namedColumns(columns, header)
  return { delimiter, columns: named, header, maxRecordBytes, comment, source, onNote, onHeader }
}

function namedColumns(columns: readonly string[], header: boolean): Columns {
  if (
    !Array.isArray(columns) ||
    columns.length === 0 ||
    !columns.every(name => typeof name === 'string')
  ) {
    throw wrongOption('columns', 'a list of names', columns)
  }
  if (header)
    throw wrongOption(
      'header',
      'false with `columns`, which name the columns of a file without header',
      header,
    )
  const faults = nameFaults(columns)
  if (faults.length > 0)
    throw wrongOption('columns', `names that are all different; it ${faults.join('; ')}`, columns)
  return new Columns(columns)
}
