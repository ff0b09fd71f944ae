// Takes bytes, gives SourceRecord; next comes template (or spool).
import { MAX_JSON_DEPTH } from '../../core/limits.ts'
import { SourceRecord } from '../../core/flow.ts'
import { deeperThan, mayNestDeeper } from '../../core/json/depth.ts'
import { faultOf } from '../../core/json/fault.ts'
import { typed, type Stage } from '../../core/stage.ts'
import { FlatJson, isFlatObject } from '../../core/json/flat.ts'
import { PAGE_BYTES, PAGE_ITEMS } from '../../core/pages.ts'
import { RecordPage } from '../../core/record-page.ts'
import { badRecord, invalidUtf8Record, tooLongRecord, type RecordPlace } from './bad-record.ts'
import { LineReader } from './line-reader.ts'
import type { Lines } from './lines.ts'
import { RecordStream } from './record-stream.ts'
import { invalidUtf8At } from '../../core/utf8.ts'

/** Options of `parseJsonl`. */
export interface JsonlOptions {
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
}

/**
 * Parses JSON lines into records with their exact bytes. A value that is not an object becomes `{"input": value}`; blank
 * lines are skipped but counted. A line that is not JSON, not UTF-8, too long or nested deeper than 1,000 levels becomes a
 * record with a `problem` (`invalid_json`, `invalid_utf8`, `too_long`, `too_deep`) and its raw text as `input`.
 *
 * Throws `CBS_OPTION` for an invalid option; fails with `CBS_INPUT` on UTF-16 and UTF-32.
 */
export function parseJsonl(options: JsonlOptions = {}): Stage<Uint8Array | string, SourceRecord> {
  return typed(new RecordStream(new JsonlReader(options)))
}

/** `parseJsonl` without a stream. */
export class JsonlReader extends LineReader {
  /** The record behind the page that was given last. */
  #ahead: SourceRecord | undefined

  /** Lines of flat objects that follow each other in a chunk are a page as they stand there, neither parsed nor copied. */
  override next(paged = false): SourceRecord | RecordPage | undefined {
    const ahead = this.#ahead
    this.#ahead = undefined
    if (ahead || !paged) return ahead ?? super.next()
    const { lines } = this
    const page = new LinePage(this.source)
    while (!page.isFull && lines.next()) {
      if (page.takes(lines)) continue
      const record = this.read(lines, { line: lines.number, source: this.source })
      if (!record) continue
      if (page.isEmpty) return record
      this.#ahead = record
      break
    }
    return page.isEmpty ? undefined : page.take()
  }

  protected override read(lines: Lines, place: RecordPlace): SourceRecord | undefined {
    const { bytes } = lines
    let { from, to } = lines
    while (from < to && isBlank(bytes[from])) from++
    while (from < to && isBlank(bytes[to - 1])) to--
    if (from === to && !lines.tooLong) return undefined
    if (lines.tooLong) return tooLongRecord(bytes.toString('utf8', from, to), this.max, place)
    const raw = bytes.subarray(from, to)
    const text = lines.text(from, to)
    if (text === undefined) return invalidUtf8Record(raw, invalidUtf8At(raw), place)
    return jsonRecord(raw, text, from - lines.from, place)
  }
}

/** A page of lines that follow each other in one chunk. */
class LinePage {
  readonly #source: string | undefined
  readonly #ends = new Uint32Array(PAGE_ITEMS)
  readonly #lines = new Float64Array(PAGE_ITEMS)
  #json: FlatJson | undefined
  #bytes: Buffer | undefined
  #start = 0
  #end = 0
  #count = 0

  constructor(source: string | undefined) {
    this.#source = source
  }

  get isEmpty(): boolean {
    return this.#count === 0
  }

  get isFull(): boolean {
    return this.#count === PAGE_ITEMS
  }

  /** Adds the current line; false where it does not belong here. */
  takes(lines: Lines): boolean {
    const { bytes, from, to } = lines
    if (!lines.isInChunk) return false
    if (this.#count === 0) {
      this.#json ??= new FlatJson(bytes)
      this.#bytes = bytes
      this.#start = from
    } else if (from !== this.#end || to - this.#start >= PAGE_BYTES) return false
    // A page is full before its chunk is used up, so all its lines are of one chunk.
    if (!this.#json || !isFlatObject(this.#json, from, to)) return false
    this.#end = to + 1
    this.#ends[this.#count] = to - this.#start
    this.#lines[this.#count] = lines.number
    this.#count += 1
    return true
  }

  take(): RecordPage {
    return new RecordPage({
      // A page that is taken has bytes.
      bytes: (this.#bytes as Buffer).subarray(this.#start, this.#end),
      ends: this.#ends.subarray(0, this.#count),
      lines: this.#lines.subarray(0, this.#count),
      source: this.#source,
    })
  }
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09
}

/** The record of a line whose value starts after `indent` characters. */
function jsonRecord(raw: Buffer, text: string, indent: number, place: RecordPlace): SourceRecord {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return badRecord('invalid_json', faultSentence(text, indent), text, place)
  }
  // Each level takes two brackets, so most lines are too short.
  const long = text.length > 2 * MAX_JSON_DEPTH
  if (long && mayNestDeeper(text, MAX_JSON_DEPTH) && deeperThan(value, MAX_JSON_DEPTH)) {
    const why = `the record nests deeper than ${MAX_JSON_DEPTH} levels`
    return badRecord('too_deep', why, text, place)
  }
  if (isObject(value))
    return new SourceRecord(raw, { line: place.line, source: place.source, fields: value })
  const wrapped = Buffer.concat([INPUT_OPEN, raw, INPUT_CLOSE])
  return new SourceRecord(wrapped, { ...place, fields: { input: value } })
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function faultSentence(text: string, indent: number): string {
  const fault = faultOf(text)
  const got = fault.at < text.length ? JSON.stringify(text.charAt(fault.at)) : 'the end of the line'
  return `not valid JSON at column ${fault.at + indent + 1}: expected ${fault.wanted}, got ${got}`
}

const INPUT_OPEN = Buffer.from('{"input":')
const INPUT_CLOSE = Buffer.from('}')
