import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { basename, resolve } from 'node:path'
import { addAbortSignal, Readable } from 'node:stream'
import { each, from } from '../core/chain.ts'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import type { StoredJob } from '../store/job.ts'
import { spool } from '../stages/spool/spool.ts'
import { parseFiles } from '../stages/parse/files.ts'
import { parse } from '../stages/parse/parse.ts'
import { tableOption } from '../stages/parse/table-options.ts'
import { ShardStage } from '../stages/parse/shard.ts'
import { isInShard, type SizedShard } from '../core/shard.ts'
import { typed, type Stage } from '../core/stage.ts'
import { filesOf } from './input-files.ts'
import type { Io } from './io.ts'
import type { InputSettings } from './input-settings.ts'
import { isParquetFile, parquetFrom, sniffed } from './parquet-input.ts'
import type { IsOwn } from './own-files.ts'
import { isReadable } from './readable.ts'
import { sampleItems, sampleRecords, type RecordSampleOptions } from './sample-records.ts'
import type { Talk } from './talk.ts'

/** What is known about the input while it is read. */
export interface InputState {
  /** The format, once known. */
  format: string | undefined
  /** The columns in the header of a CSV file. */
  columns?: readonly string[]
  /** The number of files; a pipe is one. */
  files: number
  /** The number of records read, including those of other shards; undefined if all belong to this run. */
  seen?: () => number
  /** A hash of the whole input of a shard, once it has ended. */
  hash?: () => string
  /** Why the input ended too early. Records before that are answered first, then the run ends with this error. */
  broken: BatchStreamError | undefined
}

/** Spools records, and journals it if their input ends too early: the job is not finished then. */
export function keepFrom(reading: InputState, job: StoredJob): Stage<SourceRecord, SourceRecord> {
  return spool({
    job,
    brokenOff: () => reading.broken?.message,
    inputHash: () => (reading.broken ? undefined : reading.hash?.()),
  })
}

export interface InputOptions {
  readonly settings: InputSettings
  /** The folder for relative names. */
  readonly cwd: string
  readonly io: Io
  readonly talk: Talk
  readonly reading: InputState
  /** Tells the run's own files, which are no input. */
  readonly isOwn: IsOwn
  /** Ends a wait for input that may never come. */
  readonly signal: AbortSignal
}

/** The records of all inputs in order. Missing files are reported before the first byte is read. */
export async function openInput(options: InputOptions): Promise<Stage<never, SourceRecord>> {
  const { settings, cwd, signal, isOwn } = options
  const names = (await Promise.all(settings.input.map(name => filesOf(name, cwd, isOwn)))).flat()
  options.reading.files = names.length
  const { from: format } = settings
  if (format === 'files') return endedBy(signal, filesIn(names, options))
  const [only] = names
  const open = async (name: string): Promise<Stage<never, SourceRecord>> =>
    await openOne(name, format, options)
  const isPlain = names.length === 1 && settings.limit === undefined && settings.skip === 0
  // A generator closes its input when it is left.
  const records =
    only !== undefined && isPlain
      ? await open(only)
      : typed<never, SourceRecord>(Readable.from(partOf(names, options, open)))
  const sample = sampleIn(settings)
  // Every shard takes its part of the same sample.
  const all = sample
    ? typed<never, SourceRecord>(Readable.from(sampleRecords(endedBy(signal, records), sample)))
    : records
  return endedBy(signal, settings.shard ? ofShard(all, settings.shard, options.reading) : all)
}

function ofShard(
  all: Stage<never, SourceRecord>,
  shard: SizedShard,
  reading: InputState,
): Stage<never, SourceRecord> {
  const own = new ShardStage(shard)
  reading.seen = () => own.seen
  reading.hash = () => own.hash()
  return from(all, typed<SourceRecord, SourceRecord>(own))
}

function sampleIn({ sample: count, seed }: InputSettings): RecordSampleOptions | undefined {
  return count === undefined ? undefined : { count, seed: seed ?? DEFAULT_SEED }
}

/** Fixed, so that the same command reads the same records and can be resumed. */
const DEFAULT_SEED = '1'

/** Ends records when the program is aborted, so that any later reader notices. */
function endedBy(signal: AbortSignal, records: Readable): Stage<never, SourceRecord> {
  records.on('error', () => {})
  return typed(addAbortSignal(signal, records))
}

/** Files that are one record each. */
function filesIn(
  names: readonly string[],
  { settings, cwd, reading }: InputOptions,
): Stage<never, SourceRecord> {
  if (names.includes('-')) {
    throw new BatchStreamError(
      'CBS_OPTION',
      "--from files makes a record of each file, so it needs their names: -i 'folder/*.pdf'",
    )
  }
  reading.format = 'files'
  const { limit = Infinity, skip, maxRecordBytes, shard } = settings
  const part = names.slice(skip, skip + limit)
  const sample = sampleIn(settings)
  const wanted = sample ? sampleItems(part, sample) : part
  reading.seen = () => wanted.length
  // Files of other shards are not read.
  const own = shard ? wanted.filter((_, position) => isInShard(shard, position)) : wanted
  // The folder may be another one on each machine.
  const hash = createHash('sha256').update(wanted.map(name => basename(name)).join('\n'))
  if (shard) reading.hash = () => hash.digest('hex')
  return from(own, parseFiles({ maxRecordBytes, dir: cwd }))
}

async function* partOf(
  names: readonly string[],
  { settings: { limit = Infinity, skip }, reading, signal }: InputOptions,
  open: (name: string) => Promise<Stage<never, SourceRecord>>,
): AsyncGenerator<SourceRecord> {
  let seen = 0
  for (const name of names) {
    const records = endedBy(signal, await open(name))
    for await (const record of each(records)) {
      seen += 1
      if (seen > skip) yield record
      if (seen - skip >= limit) return
    }
    if (reading.broken) return
  }
}

async function openOne(
  name: string,
  format: Exclude<InputSettings['from'], 'files'>,
  { settings, cwd, io, talk, reading, signal }: InputOptions,
): Promise<Stage<never, SourceRecord>> {
  const source = name === '-' ? undefined : name
  const path = resolve(cwd, name)
  const { delimiter, columns, header, comment, jsonPath, maxRecordBytes } = settings
  const onHeader = (names: readonly string[]): void => {
    reading.columns = names
  }
  const onBroken = (error: BatchStreamError): void => {
    reading.broken = error
  }
  const isDetected = format === 'auto' && jsonPath === undefined && !tableOption(settings)
  let stdin: Readable = io.stdin
  let isParquet = format === 'parquet'
  if (isDetected && source !== undefined) isParquet = await isParquetFile(path)
  else if (isDetected)
    ({ isParquet, bytes: stdin } = await sniffed(io.stdin, signal).catch((cause: unknown) => {
      throw readingError(cause)
    }))
  if (isParquet || format === 'parquet') {
    reading.format = 'parquet'
    if (isDetected) talk.detail('its first bytes are those of Parquet')
    const input = source === undefined ? stdin : path
    return parquetFrom(input, { source, maxRecordBytes, onHeader, onBroken })
  }
  const bytes = source === undefined ? stdin : createReadStream(path)
  const parser = parse({
    from: format,
    name: source,
    source,
    delimiter,
    columns,
    header: columns ? undefined : header,
    comment,
    path: jsonPath,
    maxRecordBytes,
    onGuess: ({ format: guessed, why }) => {
      reading.format = guessed
      talk.detail(why)
    },
    onNote: ({ type, message }) =>
      talk.info(type === 'delimiter' ? `${message} (--delimiter names another)` : message),
    onHeader,
    onHighCompressionRatio: sentence => talk.info(sentence),
    onBroken,
  })
  return from(bytes, parser)
}

/** Wraps a system error of a file or pipe; returns any other error unchanged. */
export function readingError(error: unknown): unknown {
  const isRead =
    error instanceof Error &&
    'syscall' in error &&
    (error.syscall === 'read' || error.syscall === 'open')
  return isRead ? wrapError('CBS_INPUT', 'the input cannot be read', error) : error
}

export interface FirstRecords {
  readonly first: readonly SourceRecord[]
  readonly stream: Stage<never, SourceRecord>
}

/** The first records of a stream, and the stream as if nothing had been read. */
export async function readFirst(
  stream: Stage<never, SourceRecord>,
  count: number,
): Promise<FirstRecords> {
  const first: SourceRecord[] = []
  while (first.length < count) {
    const item = await nextRecord(stream)
    if (!item) return { first, stream: typed(Readable.from(first)) }
    first.push(item)
  }
  for (const item of first.toReversed()) stream.unshift(item)
  return { first, stream }
}

/** The next record of a stream that stays open; undefined at its end. */
export async function nextRecord(
  stream: Stage<never, SourceRecord>,
): Promise<SourceRecord | undefined> {
  for (;;) {
    // The stage has typed items; `read` does not.
    const item = stream.read() as SourceRecord | null
    if (item !== null) return item
    if (!(await isReadable(stream))) return undefined
  }
}
