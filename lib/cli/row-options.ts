import { extname, resolve } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import { NO_META_FIELD } from '../core/answered.ts'
import type { Flags } from './flags.ts'
import { outputColumnsIn } from './table-flags.ts'
import { oneOf, wrongFlag } from './values.ts'

const TO = ['jsonl', 'csv', 'tsv', 'parquet', 'text', 'raw'] as const
const ORDER = ['completion', 'input'] as const
const EMIT = ['merged', 'response'] as const

/** Formats that the name of the output file says, without --to. */
const FORMAT_BY_NAME = new Map<string, (typeof TO)[number]>([
  ['.csv', 'csv'],
  ['.tsv', 'tsv'],
  ['.parquet', 'parquet'],
])

/** The shape of the rows and where they go. A job remembers those it was made with. */
export interface RowOptions {
  readonly output: string
  readonly to: (typeof TO)[number]
  readonly order: (typeof ORDER)[number]
  readonly emit: (typeof EMIT)[number]
  readonly responseField: string
  readonly metaField: string
  readonly errors?: string
  readonly csvSafe: boolean
  /** The input columns that the user chose for a table. */
  readonly outputColumns?: readonly string[]
  /** Whether rows contain their cost. */
  readonly rowCost: boolean
  /** Whether properties of answers become fields of the row. */
  readonly spread?: true
  /** Whether rows keep the blocks of an answer that are not text. */
  readonly blocks?: true
}

/** The options from flags; options that are not given come from the job's first run. Paths are made absolute. */
export function rowOptionsOf(flags: Flags, known?: Partial<RowOptions>): RowOptions {
  const to = flags.text('to')
  const order = flags.text('order')
  const emit = flags.text('emit')
  const errors = pathIn('--errors', flags.text('errors')) ?? known?.errors
  const output = pathIn('--output', flags.text('output'))
  const named = output === undefined ? undefined : FORMAT_BY_NAME.get(extname(output).toLowerCase())
  const format = to === undefined ? (named ?? known?.to ?? 'jsonl') : oneOf('--to', to, TO)
  // Rows of another format than the job's form no table.
  const knownColumns = isTable({ to: format }) ? known?.outputColumns : undefined
  const outputColumns = outputColumnsIn(flags) ?? knownColumns
  const options: RowOptions = {
    output: output ?? known?.output ?? '-',
    to: format,
    order: order === undefined ? (known?.order ?? 'completion') : oneOf('--order', order, ORDER),
    emit: emit === undefined ? (known?.emit ?? 'merged') : oneOf('--emit', emit, EMIT),
    responseField: flags.text('response-field') ?? known?.responseField ?? 'response',
    metaField: flags.text('meta-field') ?? known?.metaField ?? '_batch',
    ...(errors !== undefined && { errors }),
    csvSafe: flags.has('csv-safe') || (known?.csvSafe ?? false),
    ...(outputColumns && { outputColumns }),
    rowCost: flags.has('row-cost'),
    ...(flags.has('blocks') && { blocks: true }),
    ...((flags.has('spread') || flags.text('enum') !== undefined || known?.spread) && {
      spread: true,
    }),
  }
  check(options)
  checkEffect(flags, options)
  // A table made from a job with row costs has none itself.
  return hasMeta(options)
    ? { ...options, rowCost: options.rowCost || (known?.rowCost ?? false), ...blocksOf(known) }
    : options
}

/** The same for rows that are not the job's own output: only the flags decide where they go. */
export function rowOptionsApart(flags: Flags, { errors: _, ...known }: RowOptions): RowOptions {
  return rowOptionsOf(flags, { ...known, output: '-' })
}

function pathIn(flag: string, name: string | undefined): string | undefined {
  // As a path these would be folders.
  if (name !== undefined && /^$|\/$/.test(name)) throw wrongFlag(flag, 'a file', name)
  return name === undefined || name === '-' ? name : resolve(name)
}

function check(options: RowOptions): void {
  const { to, emit, responseField, metaField, output, errors } = options
  if (emit === 'response' && to !== 'jsonl') {
    throw new BatchStreamError(
      'CBS_OPTION',
      `--emit response is JSON; it cannot be combined with --to ${to} (--to text gives the response alone)`,
    )
  }
  if (options.outputColumns && !isTable(options)) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `--output-columns chooses the columns of a table; it cannot be combined with --to ${to}, only with csv, tsv and parquet`,
    )
  }
  const inMeta = options.rowCost ? '--row-cost' : options.blocks ? '--blocks' : undefined
  if (inMeta !== undefined && !hasMeta(options)) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `${inMeta} is written to the meta field (\`_batch\`) of merged JSON rows: it needs --to jsonl and --emit merged`,
    )
  }
  if (responseField === '') throw wrongFlag('--response-field', 'the name of a field', '')
  if (metaField === '') throw wrongFlag('--meta-field', 'the name of a field, or none', '')
  if (responseField === metaField)
    throw wrongFlag('--meta-field', 'another name than --response-field', metaField)
  if (errors === '-') throw wrongFlag('--errors', 'a file', errors)
  if (errors !== undefined && errors === output)
    throw wrongFlag('--errors', 'another file than --output', errors)
}

/** Refuses flags that would change nothing in rows of this format. */
function checkEffect(flags: Flags, { to, emit }: RowOptions): void {
  if (flags.given('csv-safe') && to !== 'csv' && to !== 'tsv')
    throw new BatchStreamError(
      'CBS_OPTION',
      `--csv-safe is for CSV and TSV; it cannot be combined with --to ${to}`,
    )
  const other = emit === 'response' ? '--emit response' : `--to ${to}`
  if (flags.given('spread') && (emit === 'response' || to === 'text' || to === 'raw'))
    throw new BatchStreamError(
      'CBS_OPTION',
      `--spread makes fields of a row; it cannot be combined with ${other}, whose rows have no fields`,
    )
}

function blocksOf(known: Partial<RowOptions> | undefined): Pick<RowOptions, 'blocks'> {
  return known?.blocks ? { blocks: true } : {}
}

function hasMeta({ to, emit, metaField }: RowOptions): boolean {
  return to === 'jsonl' && emit === 'merged' && metaField !== NO_META_FIELD
}

export function isTable({ to }: Pick<RowOptions, 'to'>): boolean {
  return to === 'csv' || to === 'tsv' || to === 'parquet'
}
