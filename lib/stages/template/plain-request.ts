// Requests that differ only in field text: their JSON is written once, and the bytes of each record are inserted.
import { isUtf8 } from 'node:buffer'
import { DEFAULT_META_FIELD } from '../../core/answered.ts'
import { SourceRecord, type BatchRequest, type RejectedRecord } from '../../core/flow.ts'
import { FlatJson } from '../../core/json/flat.ts'
import { wellFormedJson } from '../../core/json/well-formed.ts'
import type { RecordPage } from '../../core/record-page.ts'
import { RequestPage, type RequestShape } from '../../core/request-page.ts'
import { isFixed, type Template } from './compile.ts'
import { fieldsOf } from './check-fields.ts'
import { settingsOf, type AnyTemplateOptions } from './options.ts'
import { isBlank } from './render.ts'
import { requestMaker } from './request.ts'

/** A placeholder for field text while the shape of a request is determined. No prompt contains it by chance. */
const MARK = 'field-4c0b7b1e9d3f4a6f'

/** Makes the requests of plain records. */
export interface PlainRequests {
  readonly shape: RequestShape
  /** Reads the records of a page. */
  readonly finderIn: (page: RecordPage) => FieldFinder
}

/**
 * Prepares requests without an object for each; undefined if more than whole field texts differ: a function for the prompt
 * or a parameter, an optional field or a path, or records with their own ids, files or params.
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
  // Params are an object, so JSON.stringify returns a string. Half of a surrogate pair might meet its other half in a
  // field.
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

/** The requests of a page of records in order: pages of plain ones, and the result for each other record. */
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

interface Wanted {
  /** The fields whose text is needed, in prompt order. */
  readonly names: readonly Buffer[]
  /** Fields that make a record unusual. */
  readonly unusual: readonly Buffer[]
  /** Whether the prompt has no text of its own, so that a blank field would make an empty prompt. */
  readonly mayBeBlank: boolean
}

/**
 * Finds the text of fields in records without parsing them. A record that is not a flat object of strings, numbers and
 * literals, or that is unusual in any way, is left to the parser.
 */
export class FieldFinder {
  readonly #page: RecordPage
  readonly #wanted: Wanted
  readonly #isUtf8: boolean
  readonly #json: FlatJson
  /** The start and end of each field's text in each record of the page. */
  readonly places: Uint32Array

  constructor(page: RecordPage, wanted: Wanted) {
    this.#page = page
    this.#wanted = wanted
    this.#isUtf8 = isUtf8(page.bytes)
    this.#json = new FlatJson(page.bytes)
    this.places = new Uint32Array(page.count * wanted.names.length * 2)
  }

  /** Finds the fields of a record; false if it is unusual or lacks one. */
  find(index: number): boolean {
    const json = this.#json
    const { names } = this.#wanted
    const from = index * names.length * 2
    let missing = names.length
    // Every index is in range.
    if (!this.#isUtf8 || !json.open(this.#page.startOf(index), this.#page.ends[index] as number))
      return false
    while (json.next()) {
      if (this.#isUnusual()) return false
      for (let field = 0; field < names.length; field++) {
        // Every index is in range.
        if (!this.#isKey(names[field] as Buffer)) continue
        const place = from + 2 * field
        // The last of two equal keys counts, which the parser handles.
        if (this.places[place + 1] !== 0 || !this.#isText()) return false
        this.places[place] = json.valueStart
        this.places[place + 1] = json.valueEnd
        missing--
      }
      if (json.isLast) return missing === 0
    }
    return false
  }

  /** Whether the value of the member can stand in a prompt as it is. */
  #isText(): boolean {
    const { isString, isCanonical, valueStart, valueEnd } = this.#json
    const first = this.#page.bytes[valueStart] as number
    if (!isString) return first !== LOWER_N
    if (!isCanonical) return false
    // The parser handles other kinds of blanks.
    const isVisible = valueStart < valueEnd && first > 0x20 && first < 0x7f && first !== BACKSLASH
    return !this.#wanted.mayBeBlank || isVisible
  }

  #isUnusual(): boolean {
    for (const name of this.#wanted.unusual) if (this.#isKey(name)) return true
    return false
  }

  #isKey(name: Buffer): boolean {
    const { keyStart, keyEnd } = this.#json
    if (name.length !== keyEnd - keyStart) return false
    for (let index = 0; index < name.length; index++)
      if (name[index] !== this.#page.bytes[keyStart + index]) return false
    return true
  }
}

const BACKSLASH = 0x5c

/** What null begins with. */
const LOWER_N = 0x6e
