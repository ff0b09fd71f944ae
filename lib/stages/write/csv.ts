// takes: Result
// gives: bytes, a header and one row per result
// next: a file, or stdout
import { stringify } from 'csv-stringify/sync'
import { wrongOption } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import { isUnsent } from '../../core/results/status.ts'
import { type AnswerSchema, shapeOf } from '../../core/schema/answer-schema.ts'
import { rowStream } from './row-stream.ts'
import type { Stage } from '../../core/stage.ts'
import type { RowFields } from '../../core/answered.ts'
import { cellsOf } from './cells.ts'
import { checkColumns, columnsOf, isUnreadable, layOutColumns } from './columns.ts'
import { fieldNames } from './row-fields.ts'

// A leading tab or carriage return, or the first character of a formula after blanks, in any line. Spreadsheets for East
// Asian languages read the full-width forms like the plain ones. Cells contain foreign text, so both patterns take linear
// time: no two adjacent parts match the same characters.
const FORMULA = /^[\t\r]|(?:^\s*|[\r\n][^\S\r\n]*)[=+\-@＝＋－＠]/
const NUMBER = /^\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?\s*$/i

/**
 * Prefixes a cell that a spreadsheet would interpret as a formula with an apostrophe, which makes it text. A plain number such
 * as -5 is unchanged. See owasp.org, "CSV Injection".
 */
export function guardFormula(cell: string): string {
  return FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell
}

/** Options of `writeCsv` and `writeTsv`. */
export interface WriteCsvOptions extends RowFields {
  /** The delimiter, one character. @default ',' */
  readonly delimiter?: string | undefined
  /**
   * The input columns to write, in this order; other fields are omitted. A missing field becomes an empty cell.
   * @default the fields of the first readable record. A later record with another field ends the pipeline with `CBS_OUTPUT`,
   * so name the columns if records differ.
   */
  readonly columns?: readonly string[] | undefined
  /**
   * The schema of the answers. Each property of an object schema becomes a column, in place of the response.
   * @default none: the answer has one column
   */
  readonly schema?: AnswerSchema | undefined
  /** Make cells that a spreadsheet would interpret as formulas text. @default false */
  readonly safe?: boolean | undefined
}

/** The header and rows of a table whose columns are known. */
export interface CsvTable {
  readonly header: Buffer
  readonly rowOf: (result: Result) => Buffer
}

/** The maximum number of leading unreadable records that wait for a readable one, which determines the columns. */
const MAX_HELD = 100

/**
 * Writes results as CSV: the input columns, then the response, `status` and `error`, prefixed with `_` if the input has a
 * column of that name. The header is written with the first row, or at the end if there is no row but `columns` are given.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function writeCsv(options: WriteCsvOptions = {}): Stage<Result<object>, Buffer> {
  checkOptions(options)
  let table = options.columns && csvTable(options.columns, options)
  let begun = false
  const held: Result[] = []

  const write = (columns: readonly string[], results: readonly Result[]): Buffer => {
    table ??= csvTable(columns, { ...options, complete: true })
    const rows = results.map(table.rowOf)
    if (!begun) rows.unshift(table.header)
    begun = true
    return Buffer.concat(rows)
  }
  const rowOf = (result: Result): Buffer | undefined => {
    if (table || !isUnreadable(result) || held.length === MAX_HELD) {
      return write(columnsOf(result), [...held.splice(0), result])
    }
    held.push(result)
    return undefined
  }
  const last = (): Buffer | undefined => {
    if (begun) return undefined
    return held.length > 0 ? write(['input'], held) : table?.header
  }
  return rowStream(rowOf, last)
}

/**
 * Writes results as tab-separated values, quoted as in CSV, with the columns of `writeCsv`.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function writeTsv(
  options: Omit<WriteCsvOptions, 'delimiter'> = {},
): Stage<Result<object>, Buffer> {
  return writeCsv({ ...options, delimiter: '\t' })
}

export interface CsvTableOptions extends Omit<WriteCsvOptions, 'columns'> {
  /** Throw `CBS_OUTPUT` for a record with a field that has no column. @default false */
  readonly complete?: boolean | undefined
}

/**
 * The rows of `writeCsv` without the stream, for known columns.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function csvTable(input: readonly string[], options: CsvTableOptions = {}): CsvTable {
  checkOptions({ ...options, columns: input })
  const { delimiter = ',', safe = false, complete = false } = options
  const columns = layOutColumns(input, fieldNames(options), propertiesOf(options.schema))
  const bytes = (cells: readonly string[]): Buffer =>
    Buffer.from(stringify([safe ? cells.map(guardFormula) : cells], { delimiter }))
  return {
    header: bytes([...columns.input, ...columns.own]),
    rowOf: result => {
      // The row of a record that was not sent has an error instead.
      if (complete && !isUnsent(result.status)) checkColumns(result, columns)
      return bytes(cellsOf(result, columns))
    },
  }
}

function checkOptions(options: WriteCsvOptions): void {
  const { delimiter = ',', columns } = options
  fieldNames(options)
  if (typeof delimiter !== 'string' || !/^[^"\r\n]$/u.test(delimiter)) {
    throw wrongOption('delimiter', 'one character other than a quote or line break', delimiter)
  }
  const wrong = columns !== undefined && !(Array.isArray(columns) && columns.every(isName))
  if (wrong) throw wrongOption('columns', 'a list of names', columns)
}

function isName(column: unknown): boolean {
  return typeof column === 'string'
}

/** The properties of an object schema, in order; undefined for any other schema. */
export function propertiesOf(given: AnswerSchema | undefined): readonly string[] | undefined {
  const schema = given && shapeOf(given).schema
  const properties = schema?.['type'] === 'object' ? schema['properties'] : undefined
  if (typeof properties !== 'object' || properties === null) return undefined
  const names = Object.keys(properties)
  return names.length > 0 ? names : undefined
}
