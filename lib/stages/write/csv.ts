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

// A tab or carriage return in front, or a formula's first character after blanks, in the first line or a later one. The
// full-width forms are read like the plain ones by spreadsheets for East Asian languages.
// Both patterns take linear time, as cells hold foreign text: no two stretches beside each other match the same characters.
const FORMULA = /^[\t\r]|(?:^\s*|[\r\n][^\S\r\n]*)[=+\-@＝＋－＠]/
const NUMBER = /^\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?\s*$/i

/**
 * A cell that a spreadsheet would take for a formula gets a leading apostrophe, which makes it text; a plain number such
 * as -5 is left alone. See owasp.org, "CSV Injection".
 */
export function guardFormula(cell: string): string {
  return FORMULA.test(cell) && !NUMBER.test(cell) ? `'${cell}` : cell
}

export interface WriteCsvOptions extends RowFields {
  /** One character between cells. @default ',' */
  readonly delimiter?: string | undefined
  /**
   * The input columns to write, in this order; other fields are left out. A record that lacks one has an empty cell.
   * @default the fields of the first record that could be read; a later record with another field ends the pipeline with
   * `CBS_OUTPUT`. Name the columns where records differ: a writer cannot know what later records hold.
   */
  readonly columns?: readonly string[] | undefined
  /** The schema of the answers: an object schema gives a column for each property instead of the response. */
  readonly schema?: AnswerSchema | undefined
  /** Guard cells that a spreadsheet would take for formulas. @default false */
  readonly safe?: boolean | undefined
}

/** A table whose columns are known: the bytes of its header, and of each row. */
export interface CsvTable {
  readonly header: Buffer
  readonly rowOf: (result: Result) => Buffer
}

/** Unreadable records in front whose rows wait until a readable one shows the columns. */
const MAX_HELD = 100

/**
 * Writes results as CSV: the input columns, then the response, `status` and `error` (with a `_` in front where the input
 * has a column of that name). The header comes with the first row; without any row it is written when `columns` are given.
 *
 * @throws BatchStreamError `CBS_OPTION`
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

/** Writes results as tab-separated values, with the same quotes as CSV. */
export function writeTsv(
  options: Omit<WriteCsvOptions, 'delimiter'> = {},
): Stage<Result<object>, Buffer> {
  return writeCsv({ ...options, delimiter: '\t' })
}

export interface CsvTableOptions extends Omit<WriteCsvOptions, 'columns'> {
  /** `columns` are all that there is: a record with another field throws `CBS_OUTPUT`. @default false */
  readonly complete?: boolean | undefined
}

/**
 * The rows of `writeCsv` without the stream, for columns that are known.
 *
 * @throws BatchStreamError `CBS_OPTION`
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
      // The row of a record that was not sent says in words what it lacks.
      if (complete && !isUnsent(result.status)) checkColumns(result, columns)
      return bytes(cellsOf(result, columns))
    },
  }
}

function checkOptions(options: WriteCsvOptions): void {
  const { delimiter = ',', columns } = options
  fieldNames(options)
  if (typeof delimiter !== 'string' || !/^[^"\r\n]$/u.test(delimiter)) {
    throw wrongOption('delimiter', 'one character that is no quote and no line break', delimiter)
  }
  const wrong = columns !== undefined && !(Array.isArray(columns) && columns.every(isName))
  if (wrong) throw wrongOption('columns', 'a list of names', columns)
}

function isName(column: unknown): boolean {
  return typeof column === 'string'
}

/** The properties that answers of an object schema have, in their order; undefined for any other schema. */
export function propertiesOf(given: AnswerSchema | undefined): readonly string[] | undefined {
  const schema = given && shapeOf(given).schema
  const properties = schema?.['type'] === 'object' ? schema['properties'] : undefined
  if (typeof properties !== 'object' || properties === null) return undefined
  const names = Object.keys(properties)
  return names.length > 0 ? names : undefined
}
