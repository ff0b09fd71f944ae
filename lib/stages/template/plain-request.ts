// Requests that are the same but for the text of fields: their JSON is written once, and the bytes of each record are put in.
import { isUtf8 } from 'node:buffer'
import { DEFAULT_META_FIELD } from '../../core/answered.ts'
import { SourceRecord, type BatchRequest, type RejectedRecord } from '../../core/flow.ts'
import { wellFormedJson } from '../../core/json/well-formed.ts'
import type { RecordPage } from '../../core/record-page.ts'
import { RequestPage, type RequestShape } from '../../core/request-page.ts'
import { isFixed, type Template } from './compile.ts'
import { fieldsOf } from './check-fields.ts'
import { settingsOf, type AnyTemplateOptions } from './options.ts'
import { isBlank } from './render.ts'
import { requestMaker } from './request.ts'

/** Stands for the text of a field while the shape of a request is found. No prompt holds it by chance. */
const MARK = 'field-4c0b7b1e9d3f4a6f'

/** How the requests of plain records are found. */
export interface PlainRequests {
  readonly shape: RequestShape
  /** Reads the records of a page. */
  readonly finderIn: (page: RecordPage) => FieldFinder
}

/**
 * How requests are made without an object for each; undefined where more than the text of whole fields differs: the prompt or
 * another parameter is a function, a field is optional or a path, records bring ids, files or params of their own.
 */
export function plainRequests(options: AnyTemplateOptions): PlainRequests | undefined {
  const { prompt, ready, id, perRecord, system, metaField, responseFields } = settingsOf(options)
  const { attach = [] } = options
  if (typeof prompt !== 'object' || ready || id || perRecord || [attach].flat().length > 0)
    return undefined
  if (system && !isFixed(system)) return undefined
  const fields = fieldsOf(prompt)
  const isPlain = fields.every(({ optional, path }) => !optional && path.length === 1)
  if (fields.length === 0 || !isPlain || fieldsAndTexts(prompt) < prompt.parts.length)
    return undefined
  const requestOf = requestMaker(options)
  const sample = Object.fromEntries(fields.map(({ name }) => [name, MARK]))
  const asked = requestOf(new SourceRecord(Buffer.from(JSON.stringify(sample)), { line: 1 }))
  if ('problem' in asked) return undefined
  // Params are an object, which JSON always has something to say of. Half of a surrogate pair might meet its other half in a field.
  const json = JSON.stringify(asked.params)
  if (json !== wellFormedJson(asked.params)) return undefined
  const texts = `,"params":${json}}`.split(MARK).map(text => Buffer.from(text))
  if (texts.length !== fields.length + 1) return undefined
  const textBytes = texts.reduce((sum, { length }) => sum + length, 0)
  const names = fields.map(({ name }) => Buffer.from(name))
  const unusual = [metaField, DEFAULT_META_FIELD, ...responseFields].map(name => Buffer.from(name))
  const hasText = prompt.parts.some(part => typeof part === 'string' && !isBlank(part))
  return {
    shape: { texts, textBytes, requestOf },
    finderIn: page => new FieldFinder(page, { names, unusual, mayBeBlank: !hasText }),
  }
}

/** The requests of a page of records, in order: pages of the plain ones, and what is made of each other record. */
export function* requestsOf(
  page: RecordPage,
  { shape, finderIn }: PlainRequests,
  requestOf: RequestShape['requestOf'],
): Generator<RequestPage | BatchRequest | RejectedRecord> {
  const finder = finderIn(page)
  const width = 2 * (shape.texts.length - 1)
  const pageOf = (from: number, to: number): RequestPage => {
    const places = finder.places.subarray(from * width, to * width)
    return new RequestPage(page, shape, { from, count: to - from, places })
  }
  let from = 0
  for (let index = 0; index < page.count; index++) {
    if (finder.find(index)) continue
    if (index > from) yield pageOf(from, index)
    yield requestOf(page.item(index))
    from = index + 1
  }
  if (from < page.count) yield pageOf(from, page.count)
}

function fieldsAndTexts({ parts }: Template): number {
  return parts.filter(part => typeof part !== 'symbol').length
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN = 0x7b
const CLOSE = 0x7d
const SPACE = 0x20

interface Wanted {
  /** The fields whose text is wanted, in the order of the prompt. */
  readonly names: readonly Buffer[]
  /** Fields that make a record unusual. */
  readonly unusual: readonly Buffer[]
  /** Whether the prompt has no text of its own, so that a field of blanks would ask nothing. */
  readonly mayBeBlank: boolean
}

/**
 * Finds the text of fields in records, without parsing them. A record that is not a flat object of strings, numbers and
 * words, or that has anything unusual in it, is left to who parses it.
 */
export class FieldFinder {
  readonly #page: RecordPage
  readonly #bytes: Buffer
  readonly #wanted: Wanted
  readonly #isUtf8: boolean
  /** For each field of each record of the page, where its text begins and ends. */
  readonly places: Uint32Array
  #at = 0
  #end = 0
  /** Whether the string that was read last is what JSON.stringify writes. */
  #isCanonical = true

  constructor(page: RecordPage, wanted: Wanted) {
    this.#page = page
    this.#bytes = page.bytes
    this.#wanted = wanted
    this.#isUtf8 = isUtf8(page.bytes)
    this.places = new Uint32Array(page.count * wanted.names.length * 2)
  }

  /** Finds the fields of a record; false where it is unusual or lacks one. */
  find(index: number): boolean {
    const bytes = this.#bytes
    this.#at = this.#page.startOf(index)
    this.#end = this.#page.ends[index] as number
    if (!this.#isUtf8 || bytes[this.#at++] !== OPEN) return false
    const { names } = this.#wanted
    const from = index * names.length * 2
    let missing = names.length
    for (;;) {
      const keyStart = this.#at + 1
      if (!this.#readString() || !this.#isCanonical) return false
      const keyEnd = this.#at - 1
      if (this.#isUnusual(keyStart, keyEnd) || bytes[this.#at++] !== COLON) return false
      if (bytes[this.#at] === SPACE) this.#at++
      const valueAt = this.#at
      const isString = bytes[valueAt] === QUOTE
      if (!(isString ? this.#readString() : this.#readWord())) return false
      for (let field = 0; field < names.length; field++) {
        if (!this.#is(names[field] as Buffer, keyStart, keyEnd)) continue
        const place = from + 2 * field
        const start = isString ? valueAt + 1 : valueAt
        const end = isString ? this.#at - 1 : this.#at
        // The last of two equal keys counts; that is for who parses it.
        if (this.places[place + 1] !== 0 || !this.#isText(isString, start, end)) return false
        this.places[place] = start
        this.places[place + 1] = end
        missing--
      }
      const behind = bytes[this.#at++]
      if (behind === CLOSE) return missing === 0 && this.#at === this.#end
      if (behind !== COMMA) return false
      if (bytes[this.#at] === SPACE) this.#at++
    }
  }

  /** Reads a string that begins here; false where it is none. */
  #readString(): boolean {
    const bytes = this.#bytes
    const end = this.#end
    let at = this.#at
    this.#isCanonical = true
    if (bytes[at++] !== QUOTE) return false
    while (at < end) {
      const byte = bytes[at++] as number
      if (byte === QUOTE) {
        this.#at = at
        return true
      }
      if (byte < SPACE) return false
      if (byte !== BACKSLASH) continue
      const kind = escapeAt(bytes, at)
      if (kind === 'none') return false
      if (kind === 'other') this.#isCanonical = false
      at += kind === 'other' && bytes[at] === 0x75 ? 5 : 1
    }
    return false
  }

  /** Reads a number, true, false or null; false where there is something else. */
  #readWord(): boolean {
    const from = this.#at
    let at = from
    while (at < this.#end && isOfWord(this.#bytes[at] as number)) at++
    this.#at = at
    return WORD.test(this.#bytes.toString('latin1', from, at))
  }

  /** Whether a value can stand in a prompt as it is. */
  #isText(isString: boolean, start: number, end: number): boolean {
    const first = this.#bytes[start]
    if (!isString) return first !== 0x6e
    if (!this.#isCanonical) return false
    // What other blanks there are is for who trims it.
    const isBlank = first === undefined || first <= SPACE || first >= 0x7f || first === BACKSLASH
    return !this.#wanted.mayBeBlank || (start < end && !isBlank)
  }

  #isUnusual(start: number, end: number): boolean {
    for (const name of this.#wanted.unusual) if (this.#is(name, start, end)) return true
    return false
  }

  #is(name: Buffer, start: number, end: number): boolean {
    if (name.length !== end - start) return false
    for (let index = 0; index < name.length; index++)
      if (name[index] !== this.#bytes[start + index]) return false
    return true
  }
}

const WORD = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/
const HEX = /^[0-9a-fA-F]{4}$/

/** What stands behind a backslash: what JSON.stringify writes, another escape, or none. */
function escapeAt(bytes: Buffer, at: number): 'usual' | 'other' | 'none' {
  switch (bytes[at]) {
    case QUOTE:
    case BACKSLASH:
    case 0x62: // b
    case 0x66: // f
    case 0x6e: // n
    case 0x72: // r
    case 0x74: // t
      return 'usual'
    case 0x2f: // a slash
      return 'other'
    case 0x75: // u
      return HEX.test(bytes.toString('latin1', at + 1, at + 5)) ? 'other' : 'none'
    default:
      return 'none'
  }
}

/** Letters, digits, and what else a number has. */
function isOfWord(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || (byte >= 0x61 && byte <= 0x7a) || NUMBER.has(byte)
}

const NUMBER = new Set([0x2b, 0x2d, 0x2e, 0x45])
