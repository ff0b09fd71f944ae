import { Socket } from 'node:net'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { Writable } from 'node:stream'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import { fieldsOf } from '../store/fields.ts'
import type { StoredJob } from '../store/job.ts'
import { listPrice, type PriceOf } from '../cost/price.ts'
import { rowCost } from '../cost/row-cost.ts'
import type { SourceRecord } from '../core/flow.ts'
import type { Result } from '../core/results/result.ts'
import type { CountedResult } from '../core/results/result-page.ts'
import type { JsonSchema } from '../core/schema/load.ts'

import { csvTable, propertiesOf, type CsvTable } from '../stages/write/csv.ts'
import { ownScanner } from '../core/json/scanner.ts'
import { jsonlPageRows, jsonlRow } from '../stages/write/jsonl.ts'
import {
  existingOutputError,
  openOutput,
  type LateRowWriter,
  type Output,
  type RowWriter,
} from '../stages/write/output.ts'
import { rawRow } from '../stages/write/raw.ts'
import { StreamTarget, type CutBytes } from '../stages/write/target.ts'
import { textRow } from '../stages/write/text.ts'
import type { Io } from './io.ts'
import { isPipe, openPipe, waitsForReader } from './pipe.ts'
import { parquetOutput } from './parquet-output.ts'
import { forTerminal } from './shown.ts'
import { NO_COLUMNS, type TableColumns } from './table-columns.ts'
import type { Talk } from './talk.ts'
import { isTable, type RowOptions } from './row-options.ts'

export interface Rows {
  readonly job: StoredJob
  readonly options: RowOptions
  /** The input columns of a table: known, or still to be decided. */
  readonly columns: readonly string[] | TableColumns
  /** The schema of answers, for tables. */
  readonly schema: JsonSchema | undefined
  /**
   * The prices for row costs.
   * @default the list prices
   */
  readonly priceOf?: PriceOf
  /** Rows that are not the job's own output: its files stay as they are, and the output is started anew. */
  readonly detached?: boolean
  /** The records whose rows come, where they are not those of the job alone. */
  readonly records?: AsyncIterable<SourceRecord>
  /** Ends the wait for a reader of a named pipe. */
  readonly signal: AbortSignal
}

/** Opens the end of the pipeline for these options. */
export async function openRows(
  { job, options, columns, schema, priceOf = listPrice, detached = false, records, signal }: Rows,
  io: Io,
  talk: Talk,
  onResult: (result: CountedResult) => void,
): Promise<Output> {
  const costOf = options.rowCost ? rowCost(priceOf) : undefined
  const errorRowOf = jsonlRow({ ...options, spread: propertiesIn(options, schema) }, costOf)
  const rows = writerOf(options, { columns, schema }, talk, errorRowOf)
  const isStream =
    options.output === '-' || (await job.store.disk.stat(options.output)) === 'special'
  const isParquet = options.to === 'parquet'
  mustNotBeTerminal(options, io)
  const stream = isStream ? await streamOf(options.output, io, talk, signal) : undefined
  const out = isParquet
    ? await parquetOutput(
        { job, options, columns, schema, detached, records, signal },
        stream,
        talk,
      )
    : (stream ?? { path: options.output })
  const errors = options.errors === undefined ? undefined : { path: options.errors }
  const ordered = options.order === 'input'
  const onCut = ({ path, keptIn, bytes }: CutBytes): void =>
    talk.warn(
      `${path} had ${bytes} bytes after the last committed row, and it is unknown which program wrote them: they are now in ${keptIn}. Delete it if it contains only rows of this job, which are written again`,
    )
  return await openOutput({
    ...{ job, out, errors, rows, errorRowOf, detached, ordered },
    ...{ onResult, onCut },
  })
}

/** Binary data makes a mess of a terminal. */
export function mustNotBeTerminal(
  { to, output }: Pick<RowOptions, 'to' | 'output'>,
  { stdout }: Pick<Io, 'stdout'>,
): void {
  if (to !== 'parquet' || output !== '-' || !stdout.isTTY) return
  throw new BatchStreamError(
    'CBS_OPTION',
    '--to parquet writes binary data: name a file with -o FILE, or choose another format, such as --to jsonl',
  )
}

async function streamOf(
  path: string,
  { stdout, stderr }: Io,
  talk: Talk,
  signal: AbortSignal,
): Promise<StreamTarget> {
  if (path === '-' && stdout.isTTY) return new StreamTarget(talk.beside(withoutControls(stdout)))
  // The reader of a pipe or a socket may print to the terminal with the progress line; a file never does.
  const isRead = stderr.isTTY === true && stdout instanceof Socket
  if (path === '-')
    return new StreamTarget(isRead ? talk.beside(stdout, { keepOff: true }) : stdout)
  const stream = (await isPipe(path))
    ? await openPipe(path, { signal, onWait: () => talk.info(waitsForReader(path)) })
    : await openDevice(path)
  // Each write reports its own failure.
  stream.on('error', () => {})
  // It may be the terminal itself: /dev/tty.
  return new StreamTarget(talk.beside(stream), () => stream.destroy())
}

/** Opens a device, such as /dev/tty. A file that has taken its name is not truncated. */
async function openDevice(path: string): Promise<Writable> {
  const device = await open(path, constants.O_WRONLY).catch((cause: unknown) => {
    throw wrapError('CBS_OUTPUT', `${path} cannot be opened`, cause)
  })
  if (!(await device.stat()).isFile()) return device.createWriteStream()
  await device.close()
  throw existingOutputError(path)
}

/** A terminal stream in which answers cannot move the cursor. */
function withoutControls(terminal: Writable): Writable {
  const stream = new Writable({
    // Rows arrive whole, so no character is split.
    write: (chunk: Buffer, _encoding, done) =>
      void terminal.write(forTerminal(chunk.toString()), done),
  })
  return stream.on('error', () => {})
}

/** The fields of a spread answer. */
function propertiesIn(
  { spread, metaField }: RowOptions,
  schema: JsonSchema | undefined,
): readonly string[] | undefined {
  const properties = spread && propertiesOf(schema)
  if (spread && !properties)
    throw new BatchStreamError(
      'CBS_OPTION',
      '--spread needs a job whose --schema is of type "object" with "properties"',
    )
  if (properties && properties.includes(metaField)) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `--spread: the schema has a property "${metaField}", which is the meta field: name another with --meta-field`,
    )
  }
  return properties
}

/** The single property named like the response field: --enum makes such a schema. */
function onlyProperty(
  { responseField }: RowOptions,
  schema: JsonSchema | undefined,
): string | undefined {
  const properties = propertiesOf(schema) ?? []
  return properties.length === 1 ? properties.find(name => name === responseField) : undefined
}

function writerOf(
  options: RowOptions,
  { columns, schema }: Pick<Rows, 'columns' | 'schema'>,
  talk: Talk,
  jsonRowOf: (result: Result) => Buffer,
): RowWriter | LateRowWriter {
  switch (options.to) {
    case 'jsonl':
      // The cost of a row is computed with the row.
      return options.rowCost
        ? { rowOf: jsonRowOf }
        : { rowOf: jsonRowOf, pageOf: jsonlPageRows(options, jsonRowOf, ownScanner()) }
    case 'parquet':
      // Its target takes results and makes no rows of bytes.
      return { rowOf: jsonRowOf }
    case 'text':
      return { rowOf: result => textRow(result, onlyProperty(options, schema)) }
    case 'raw':
      return { rowOf: result => rawRow(result) ?? missing(result, talk) }
    case 'csv':
    case 'tsv': {
      const chosen = options.outputColumns
      if (chosen) return tableOf(options, chosen, schema)
      if (!('decide' in columns)) return tableOf(options, columns, schema)
      return {
        open: async signal => tableOf(options, await columns.decide(signal), schema),
        end: () => columns.end(),
      }
    }
  }
}

/** The table with these input columns, including its header. */
export function tableOf(
  options: RowOptions,
  columns: readonly string[],
  schema: JsonSchema | undefined,
): CsvTable {
  return csvTable(columns, {
    ...options,
    delimiter: options.to === 'csv' ? ',' : '\t',
    schema,
    safe: options.csvSafe,
    // If the user chose columns, other fields are left out; otherwise a field without a column would be lost.
    complete: options.outputColumns === undefined,
  })
}

/** The columns of a table of all records of a job. */
export async function tableFieldsOf(
  job: StoredJob,
  options: RowOptions,
  known: readonly string[] = [],
): Promise<readonly string[]> {
  if (!isTable(options) || options.outputColumns) return NO_COLUMNS
  const names = await fieldsOf(job, known)
  return names.length > 0 ? names : NO_COLUMNS
}

/** The table that records are checked against before they are sent; with chosen columns every record fits. */
export function checkedTable(options: RowOptions, columns: TableColumns): TableColumns | undefined {
  // Parquet is written when all records are known.
  const isFixed = isTable(options) && options.to !== 'parquet'
  return isFixed && !options.outputColumns ? columns : undefined
}

function missing(result: Result, talk: Talk): undefined {
  // A batch of another tool has ids only in its result lines.
  const where = result.record ? `line ${result.record.line}` : `a request of ${result.batch.id}`
  talk.warn(`${where} has no result line: ${result.error?.message}`)
  return undefined
}
