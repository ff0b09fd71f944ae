import { isUtf8 } from 'node:buffer'
import { jsonParser, type Token } from 'stream-json/core/parser.js'
import { BatchStreamError, lineOf } from '../../core/errors.ts'
import { SourceRecord } from '../../core/flow.ts'
import { MAX_JSON_DEPTH } from '../../core/limits.ts'
import { badRecord, tooLongRecord } from './bad-record.ts'
import { JsonElement } from './json-element.ts'
import { JsonPath } from './json-path.ts'
import { JsonSlices } from './json-slices.ts'
import type { RecordParser } from './record-stream.ts'
import { TextStart } from '../../core/text-start.ts'
import { invalidUtf8At } from '../../core/utf8.ts'

/** Depth at which a document is rejected, since the parser remembers each open level. */
const MAX_OPEN_LEVELS = 1_000_000

/** More than stream-json looks ahead. */
const LOOK_AHEAD = 64

const MORE_FOLLOWS =
  'more content follows the value; if each line is a value of its own, read it as jsonl'

/** The checked settings of the reader. */
export interface JsonSettings {
  readonly path: string
  readonly maxRecordBytes: number
  readonly source: string | undefined
}

/** Reads JSON records from bytes, without a stream: stream-json makes tokens, and this makes elements from them. */
export class JsonReader implements RecordParser {
  readonly #settings: JsonSettings
  readonly #start: TextStart
  readonly #slices = new JsonSlices()
  readonly #parse: ReturnType<typeof jsonParser>
  readonly #search: JsonPath
  /** `sequence`: the first top-level value was an object, and each object after it is a record too. */
  #state: 'search' | 'elements' | 'sequence' | 'done' = 'search'
  #element: JsonElement | undefined
  // The number of open levels, and of those around an element.
  #open = 0
  #around = 0
  #begun = false
  /** The line of the first text. */
  #textLine: number | undefined
  #invalidAt: number | undefined
  #finished = false
  #ready: SourceRecord[] = []

  constructor(settings: JsonSettings) {
    this.#settings = settings
    this.#start = new TextStart(settings.source)
    this.#search = new JsonPath(settings.path)
    this.#parse = jsonParser({ packValues: false, jsonStreaming: settings.path === '' })
  }

  write(chunk: Buffer): void {
    const bytes = this.#start.write(chunk)
    if (bytes) this.#slices.write(bytes)
  }

  finish(): void {
    // Blanks terminate a number that is the whole document. Without so many the parser would wait for the rest of `text`, which
    // may begin `true`.
    this.#slices.write(Buffer.concat([this.#start.end(), Buffer.alloc(LOOK_AHEAD, ' ')]))
    this.#finished = true
  }

  next(): SourceRecord | undefined {
    while (this.#ready.length === 0) {
      const slice = this.#slices.next(!this.#element)
      if (!slice) {
        if (this.#finished) this.#checkEnd()
        return undefined
      }
      this.#read(slice)
    }
    return this.#ready.shift()
  }

  #read(slice: Buffer): void {
    const text = slice.toString('utf8')
    // A slice contains parts of only one element, so this identifies the invalid one.
    if (text.includes('\ufffd') && !isUtf8(slice)) {
      this.#invalidAt ??= this.#slices.offset + invalidUtf8At(slice)
    }
    if (this.#textLine === undefined && text.trim() !== '') this.#textLine = this.#slices.line
    for (const token of this.#tokens(text)) this.#take(token)
    if (!this.#element) this.#invalidAt = undefined
  }

  #tokens(text: string): readonly Token[] {
    try {
      const given = this.#parse(text)
      // Without tokens it returns a symbol.
      return typeof given === 'symbol' ? [] : given.values
    } catch (cause) {
      const why = String(cause).replace(/^Error: (?:Parser (?:cannot parse input: )?)?/, '')
      const more = this.#begun && this.#open === 0 && !this.#element
      throw this.#error(`the JSON cannot be read: ${more ? MORE_FOLLOWS : why}`, cause)
    }
  }

  #take(token: Token): void {
    this.#begun = true
    const element = this.#element ?? this.#begin(token)
    if (isOpening(token)) this.#open++
    else if (isClosing(token)) this.#open--
    if (this.#open > MAX_OPEN_LEVELS)
      throw this.#error(`the JSON nests deeper than ${MAX_OPEN_LEVELS} levels`)
    if (element?.add(token)) this.#end(element)
    else if (!element && this.#state === 'elements' && this.#open < this.#around)
      this.#state = 'done'
  }

  /** The element that starts with a token, if any. */
  #begin(token: Token): JsonElement | undefined {
    if (this.#state === 'done' || this.#state === 'sequence') {
      if (this.#open > 0) return undefined
      if (this.#state === 'done' || token.name !== 'startObject')
        throw this.#error(`the JSON cannot be read: ${MORE_FOLLOWS}`)
    } else if (this.#state === 'search') {
      const found = this.#search.add(token)
      if (found === 'array') {
        this.#state = 'elements'
        this.#around = this.#open + 1
      }
      if (found !== 'value') return undefined
      const isObject = token.name === 'startObject'
      this.#state = isObject && this.#settings.path === '' ? 'sequence' : 'done'
    } else if (isClosing(token)) return undefined
    this.#element = new JsonElement(this.#slices.line, token, this.#settings.maxRecordBytes)
    return this.#element
  }

  #end(element: JsonElement): void {
    this.#ready.push(this.#record(element))
    this.#element = undefined
  }

  #record({ line, text, isObject, tooLong, depth }: JsonElement): SourceRecord {
    const { maxRecordBytes, source } = this.#settings
    const place = { line, source }
    const bytes = Buffer.from(text)
    if (tooLong || bytes.length > maxRecordBytes) return tooLongRecord(text, maxRecordBytes, place)
    if (this.#invalidAt !== undefined) {
      const why = `the byte at offset ${this.#invalidAt} of the input is not valid UTF-8; convert the input with iconv`
      this.#invalidAt = undefined
      return badRecord('invalid_utf8', why, text, place)
    }
    if (depth > MAX_JSON_DEPTH) {
      return badRecord(
        'too_deep',
        `the record nests deeper than ${MAX_JSON_DEPTH} levels`,
        text,
        place,
      )
    }
    return new SourceRecord(isObject ? bytes : Buffer.from(`{"input":${text}}`), place)
  }

  /** Checks that the document is complete and contains the path. Empty input contains nothing, which is not an error. */
  #checkEnd(): void {
    this.#finished = false
    if (!this.#begun) return
    if (this.#open > 0 || this.#element) throw this.#error('the JSON breaks off before its end')
    if (this.#state === 'search') throw this.#error(this.#search.missing)
  }

  #error(why: string, cause?: unknown): BatchStreamError {
    // The parser may see several lines before it refuses the first.
    const line = (this.#begun ? undefined : this.#textLine) ?? this.#slices.line
    const place = { line, source: this.#settings.source }
    return new BatchStreamError('CBS_INPUT', `${lineOf(place)}: ${why}`, { cause, place })
  }
}

function isOpening({ name }: Token): boolean {
  return name === 'startObject' || name === 'startArray'
}

function isClosing({ name }: Token): boolean {
  return name === 'endObject' || name === 'endArray'
}
