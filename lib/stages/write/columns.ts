import { BatchStreamError } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import type { FieldNames } from './row-fields.ts'

/** The columns of a table: those of the input, then added ones under names that the input does not use. */
export interface TableLayout {
  readonly input: readonly string[]
  readonly own: readonly string[]
  /** The properties of an object schema, which replace the response column. */
  readonly properties: readonly string[] | undefined
  /** Every field that has a column or is replaced. */
  readonly known: ReadonlySet<string | undefined>
}

/** Lays out a table. Fields that an earlier run added are replaced, so they are not input columns. */
export function layOutColumns(
  columns: readonly string[],
  { response, meta }: FieldNames,
  properties?: readonly string[],
): TableLayout {
  const input = columns.filter(column => column !== response && column !== meta)
  const known = new Set<string | undefined>([...input, response, meta])
  const taken = new Set<string | undefined>([...input, meta])
  const free = (name: string): string => {
    if (taken.has(name)) return free(`_${name}`)
    taken.add(name)
    return name
  }
  const answer = properties ? properties.map(free) : [free(response)]
  return { input, own: [...answer, free('status'), free('error')], properties, known }
}

/** The input columns of a result; only its custom_id if another tool made the batch. */
export function columnsOf(result: Result): readonly string[] {
  return result.record ? Object.keys(result.record.fields) : ['custom_id']
}

/** Whether a record could not be read; it has only its text, as `input`. */
export function isUnreadable(result: Result): boolean {
  if (result.status !== 'rejected') return false
  const [first, ...others] = columnsOf(result)
  return first === 'input' && others.length === 0
}

/**
 * Rejects a record with a field that has no column, since dropping the field would hide data.
 *
 * @throws BatchStreamError `CBS_OUTPUT` if there is such a field
 */
export function checkColumns(result: Result, columns: TableLayout): void {
  const extra = columnsOf(result).find(name => !columns.known.has(name))
  if (extra === undefined) return
  const { record, customId } = result
  const which = record ? `the record on line ${record.line}` : `the result ${customId}`
  const header = columns.input.map(name => JSON.stringify(name)).join(', ')
  throw new BatchStreamError(
    'CBS_OUTPUT',
    `${which} has a field ${JSON.stringify(extra)} that is not a column (${header}): name the columns with \`columns\` of the writer, or write JSON lines (\`writeJsonl\`)`,
    { option: 'columns', place: { line: record?.line, source: record?.source } },
  )
}
