// takes  the path of a Parquet file
// gives  SourceRecord: one for each row
// next   template, or spool
import { open, type FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { AsyncBuffer, FileMetaData, SchemaTree } from 'hyparquet'
import { callSync } from '../../core/assert-sync.ts'
import {
  BatchStreamError,
  messageOf,
  wholeNumber,
  wrapError,
  wrongOption,
} from '../../core/errors.ts'
import { SourceRecord } from '../../core/flow.ts'
import { DEFAULT_RECORD_BYTES } from '../../core/limits.ts'
import { missingPackages } from '../../core/optional-packages.ts'
import { typed, type Source } from '../../core/stage.ts'
import { badRecord, tooLongRecord } from './bad-record.ts'
import { tellHeader } from './note.ts'
import { EXACT_PARSERS, exactSchema, jsonWriter, type JsonWriter } from './parquet-json.ts'
import type { BreakOptions } from './record-stream.ts'

/** The first bytes of a Parquet file. */
export const PARQUET_MAGIC: Buffer = Buffer.from('PAR1')

/** Options of `readParquet`. */
export interface ParquetOptions extends BreakOptions {
  /**
   * Maximum bytes of a record. A longer one becomes a problem with its first 1,000 characters.
   * @default 16_000_000
   */
  readonly maxRecordBytes?: number | undefined
  /** The file's name, for the records and for errors. @default the path */
  readonly source?: string | undefined
  /** Called with the names of the columns before the first record. */
  readonly onHeader?: ((columns: readonly string[]) => void) | undefined
}

/** Maximum uncompressed bytes per read, if the file has an index for parts of a row group. */
const PART_BYTES = 32_000_000

/**
 * Reads the rows of a Parquet file as records, each a JSON object of its columns; nested columns are nested JSON. 64-bit
 * integers and decimals are JSON numbers with all their digits, times are ISO 8601 with all of theirs. Memory holds one row
 * group, or a part of one if the file has an offset index. A record's `line` is the number of its row, from 1. A row with
 * text that is not UTF-8, or that is too long, becomes a record with a `problem` (`invalid_utf8`, `too_long`).
 *
 * Needs the packages `hyparquet` and `hyparquet-compressors`.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option; the stream ends with `CBS_OPTION` if a package is missing,
 * and with `CBS_INPUT` if the file cannot be read, after the rows before that place
 */
export function readParquet(path: string, options: ParquetOptions = {}): Source<SourceRecord> {
  if (typeof path !== 'string') throw wrongOption('path', 'the path of a file', path)
  const { maxRecordBytes = DEFAULT_RECORD_BYTES } = options
  wholeNumber('maxRecordBytes', maxRecordBytes, 1, Infinity)
  const rows = parquetRows(path, { ...options, source: options.source ?? path })
  // A source is a stream of these items.
  return typed(Readable.from(rows)) as Source<SourceRecord>
}

export interface ParquetRowsOptions extends ParquetOptions {
  /** @default 32 MB */
  readonly partBytes?: number
}

/** `readParquet` without its stream; without a `source`, records have none. */
export async function* parquetRows(
  path: string,
  options: ParquetRowsOptions,
): AsyncGenerator<SourceRecord> {
  const { source, onBroken } = options
  const name = source ?? 'the input'
  let row = 0
  const file = await open(path).catch((cause: unknown) => {
    throw wrapError('CBS_INPUT', `${name} cannot be read`, cause)
  })
  try {
    for await (const record of rowsOf(file, options)) {
      row += 1
      yield record
    }
  } catch (cause) {
    if (cause instanceof BatchStreamError && cause.code !== 'CBS_INPUT') throw cause
    const read = row === 0 ? '' : ` after row ${row}`
    const message = `${name} cannot be read as Parquet${read}: ${messageOf(cause)}`
    const error = new BatchStreamError('CBS_INPUT', message, {
      cause,
      place: { source, line: row },
    })
    if (!onBroken || row === 0) throw error
    callSync('onBroken', onBroken, error)
  } finally {
    await file.close()
  }
}

async function* rowsOf(
  file: FileHandle,
  {
    source,
    maxRecordBytes = DEFAULT_RECORD_BYTES,
    onHeader,
    partBytes = PART_BYTES,
  }: ParquetRowsOptions,
): AsyncGenerator<SourceRecord> {
  const { hyparquet, compressors } = await loadReader()
  const buffer = await bufferOf(file)
  const parsers = EXACT_PARSERS
  const metadata = await hyparquet.parquetMetadataAsync(buffer, { parsers })
  const columns = hyparquet.parquetSchema(metadata).children
  checkNames(columns)
  tellHeader(
    { onHeader },
    columns.map(({ element }) => element.name),
  )
  let isInvalid = false
  const write = rowWriter(columns, () => (isInvalid = true))
  let line = 0
  for (const { start, end, isWhole } of partsOf(metadata, partBytes)) {
    let rows: readonly (readonly unknown[])[] = []
    await hyparquet.parquetRead({
      ...{ file: buffer, metadata: exactSchema(metadata), compressors, parsers },
      ...{ rowStart: start, rowEnd: end, useOffsetIndex: true, utf8: false },
      onComplete: read => (rows = read),
    })
    // hyparquet fills missing values with nulls.
    if (rows.length !== end - start || !isWhole)
      throw new Error(`rows ${start + 1} to ${end} are incomplete`)
    for (const row of rows) {
      line += 1
      isInvalid = false
      const json = write(row)
      const raw = Buffer.from(json)
      const place = { line, source }
      if (isInvalid)
        yield badRecord('invalid_utf8', 'a text of the row is not valid UTF-8', json, place)
      else if (raw.length > maxRecordBytes) yield tooLongRecord(json, maxRecordBytes, place)
      else yield new SourceRecord(raw, place)
    }
  }
}

type Reader = readonly [typeof import('hyparquet'), typeof import('hyparquet-compressors')]

async function importReader(): Promise<Reader> {
  return await Promise.all([import('hyparquet'), import('hyparquet-compressors')])
}

/** Loads the packages that read Parquet; `CBS_OPTION` if one is not installed. */
export async function loadReader(load: () => Promise<Reader> = importReader): Promise<{
  hyparquet: typeof import('hyparquet')
  compressors: (typeof import('hyparquet-compressors'))['compressors']
}> {
  try {
    const [hyparquet, { compressors }] = await load()
    return { hyparquet, compressors }
  } catch (cause) {
    throw missingPackages('Parquet input', ['hyparquet', 'hyparquet-compressors'], cause)
  }
}

async function bufferOf(file: FileHandle): Promise<AsyncBuffer> {
  const { size } = await file.stat()
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start)
      let done = 0
      while (done < bytes.length) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done)
        if (bytesRead === 0) throw new Error('the file is shorter than expected')
        done += bytesRead
      }
      return bytes.buffer
    },
  }
}

/** Rejects columns with the same name, which are ambiguous, and `__proto__`, which an object cannot hold. */
function checkNames(nodes: readonly SchemaTree[]): void {
  if (nodes.length === 0) throw new Error('it has no columns')
  const names = new Set<string>()
  for (const { element, children } of nodes) {
    if (names.has(element.name))
      throw new Error(`it has two columns ${JSON.stringify(element.name)}`)
    if (element.name === '__proto__') throw new Error('a column is called __proto__')
    names.add(element.name)
    if (children.length > 0) checkNames(children)
  }
}

function rowWriter(
  columns: readonly SchemaTree[],
  onInvalid: () => void,
): (row: readonly unknown[]) => string {
  const openings = columns.map(
    ({ element }, index) => `${index === 0 ? '{' : ','}${JSON.stringify(element.name)}:`,
  )
  const writers: readonly JsonWriter[] = columns.map(column => jsonWriter(column, onInvalid))
  return row => {
    let json = ''
    for (const [index, write] of writers.entries()) json += openings[index] + write(row[index])
    return `${json}}`
  }
}

/** The ranges of rows to read at a time: row groups, or parts of them if there is an index. */
function* partsOf(
  { row_groups: groups }: FileMetaData,
  partBytes: number,
): Generator<{ start: number; end: number; isWhole: boolean }> {
  let first = 0
  for (const { num_rows, total_byte_size, columns } of groups) {
    const rows = Number(num_rows)
    const isIndexed = columns.every(column => column.offset_index_offset !== undefined)
    const share = isIndexed ? partBytes / Math.max(partBytes, Number(total_byte_size)) : 1
    const isWhole = columns.every(
      ({ meta_data: data }) => data?.path_in_schema.length !== 1 || data.num_values >= num_rows,
    )
    const step = Math.max(1, Math.floor(rows * share))
    for (let at = 0; at < rows; at += step)
      yield { start: first + at, end: first + Math.min(rows, at + step), isWhole }
    first += rows
  }
}
