/** Options that apply only to tables, and what they describe. */
const TABLE_OPTIONS = {
  delimiter: 'delimiters',
  columns: 'columns to name',
  header: 'headers',
  comment: 'comments',
} as const

export type TableOption = keyof typeof TABLE_OPTIONS

/** Why the option does not apply to another format. */
export function onlyTablesHave(option: TableOption): string {
  return `only CSV and TSV have ${TABLE_OPTIONS[option]}`
}

/** The first option that implies CSV or TSV; any other format would ignore it. */
export function tableOption(given: {
  readonly delimiter?: unknown
  readonly columns?: unknown
  readonly header?: unknown
  readonly comment?: unknown
}): TableOption | undefined {
  if (given.comment !== undefined) return 'comment'
  if (given.delimiter !== undefined) return 'delimiter'
  if (given.columns !== undefined) return 'columns'
  // True is the default and implies nothing.
  return given.header === false ? 'header' : undefined
}

/** Whether an input with these options may be CSV or TSV. */
export function mayBeTable(from: string, hasPath: boolean): boolean {
  return from === 'auto' ? !hasPath : from === 'csv' || from === 'tsv'
}
