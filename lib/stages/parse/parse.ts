// Takes bytes as a file or pipe has them, gives SourceRecord; next comes template (or spool).
import type { Duplex, TransformCallback } from 'node:stream'
import { BatchStreamError, wrongOption } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { typed, type Stage } from '../../core/stage.ts'
import { GuessingReader, readerOf, type AnySettings } from './any-reader.ts'
import { csvSettings, type CsvOptions } from './csv.ts'
import type { Guess, GuessedFormat } from './guess.ts'
import { jsonSettings, type JsonOptions } from './json.ts'
import { MAGIC_BYTES, packingOf, binaryProblem } from './packed.ts'
import { PARQUET_MAGIC } from './parquet.ts'
import { RecordStream, type BreakOptions, type RecordParser } from './record-stream.ts'
import { mayBeTable, onlyTablesHave, tableOption } from './table-options.ts'
import { unpack, type UnpackOptions } from './unpack.ts'

/** An input format. `requests` are Messages requests, one per line, read as `jsonl`. */
export type InputFormat = 'auto' | GuessedFormat | 'requests'

/** Options of `parse`: those of every parser, as far as they apply to the format. */
export interface ParseOptions extends CsvOptions, JsonOptions, UnpackOptions {
  /**
   * The format; `auto` detects it from the name, then from the first bytes.
   * @default 'auto'
   */
  readonly from?: InputFormat | undefined
  /**
   * The file's name, for detection; also the default of `source`.
   * @default only the first bytes are looked at
   */
  readonly name?: string | undefined
  /** Called with the detected format before the first record. */
  readonly onGuess?: ((guess: Guess) => void) | undefined
}

/**
 * Parses bytes of any format into records: decompresses gzip (and zstd if Node can), detects the format unless it is given,
 * and reads like the stage of that format. A `path` implies JSON, and cannot be combined with another format. A `delimiter`, `columns`, `header: false` or `comment`
 * requires CSV or TSV.
 *
 * Throws `CBS_OPTION` for an invalid option; fails with `CBS_INPUT` like the stages that it replaces, after the records
 * read before.
 */
export function parse(options: ParseOptions = {}): Stage<Uint8Array | string, SourceRecord> {
  const source = options.source ?? options.name
  const { name, onGuess } = options
  const csv = csvSettings({ ...options, source })
  const json = jsonSettings({ ...options, source })
  const settings: AnySettings = { name, csv, tableOption: tableOption(options), json, onGuess }
  return typed(new Parse(readerFor(options, settings), { ...options, source }))
}

function readerFor(options: ParseOptions, settings: AnySettings): RecordParser {
  const { from = 'auto', path } = options
  const option = settings.tableOption
  if (option && !mayBeTable(from, Boolean(path)))
    throw wrongOption(option, `left out: ${onlyTablesHave(option)}`, options[option])
  if (path && from !== 'auto' && from !== 'json')
    throw wrongOption('path', 'left out: only a JSON document has paths', path)
  switch (from) {
    case 'auto':
      return path ? readerOf('json', settings) : new GuessingReader(settings)
    case 'requests':
      return readerOf('jsonl', settings)
    case 'csv':
    case 'tsv':
    case 'json':
    case 'jsonl':
    case 'text':
      return readerOf(from, settings)
    default:
      throw wrongOption('from', 'auto, csv, tsv, jsonl, json, text or requests', from)
  }
}

/** Parquet is read by random access, which a stream of bytes does not allow. */
function parquetProblem(start: Buffer, source = 'the input'): string | undefined {
  if (!start.subarray(0, PARQUET_MAGIC.length).equals(PARQUET_MAGIC)) return undefined
  return `${source} is a Parquet file: read it with \`readParquet(path)\``
}

/** A record stream that unpacks its input first where its first bytes say so. */
class Parse extends RecordStream {
  readonly #options: UnpackOptions & BreakOptions
  #start: Buffer | undefined = Buffer.alloc(0)
  #unpacking: Duplex | undefined
  /** The writer's callback while bytes are decompressed. */
  #waiting: TransformCallback | undefined

  constructor(reader: RecordParser, options: UnpackOptions & BreakOptions) {
    super(reader, options)
    this.#options = options
  }

  override _transform(chunk: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    if (!this.#start) return this.#pass(chunk, encoding, done)
    this.#start = Buffer.concat([this.#start, chunk])
    if (this.#start.length < MAGIC_BYTES) return done()
    this.#begin(this.#start, encoding, done)
  }

  override _flush(done: TransformCallback): void {
    if (this.#start) return this.#begin(this.#start, 'utf8', () => this._flush(done))
    const unpacking = this.#unpacking
    if (!unpacking) return super._flush(done)
    this.#waiting = done
    unpacking.once('end', () => super._flush(done))
    unpacking.end()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#unpacking?.destroy()
    super._destroy(error, done)
  }

  #begin(start: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    this.#start = undefined
    const { source } = this.#options
    const problem = binaryProblem(start, source) ?? parquetProblem(start, source)
    if (problem !== undefined)
      return done(new BatchStreamError('CBS_INPUT', problem, { place: { source } }))
    if (packingOf(start)) this.#unpacking = this.#unpack()
    this.#pass(start, encoding, done)
  }

  #pass(chunk: Buffer, encoding: BufferEncoding, done: TransformCallback): void {
    if (!this.#unpacking) return super._transform(chunk, encoding, done)
    this.#waiting = done
    // An error arrives as an event.
    this.#unpacking.write(chunk, error => error ?? done())
  }

  #unpack(): Duplex {
    const unpacking = unpack(this.#options)
    let broken: BatchStreamError | undefined
    let busy = false
    const fail = (error: BatchStreamError): void => {
      this.#unpacking = undefined
      this.fail(this.#placed(error), () => this.#waiting?.())
    }
    unpacking.on('data', (piece: Buffer) => {
      unpacking.pause()
      busy = true
      super._transform(piece, 'utf8', () => {
        busy = false
        if (broken) fail(broken)
        else unpacking.resume()
      })
    })
    unpacking.on('error', (error: BatchStreamError) => {
      // The records of the last piece come first.
      broken = error
      if (!busy) fail(error)
    })
    return unpacking
  }

  /** Adds the position among the records at which the compressed bytes broke off. */
  #placed(error: BatchStreamError): BatchStreamError {
    const line = this.lastLine
    if (line === undefined) return error
    const { code, message, cause } = error
    const more = { cause, place: { source: this.#options.source, line } }
    return new BatchStreamError(
      code,
      `${message}; the last record read whole began on line ${line}`,
      more,
    )
  }
}
