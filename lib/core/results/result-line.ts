import { isUtf8 } from 'node:buffer'
import { BatchStreamError } from '../errors.ts'
import { memberOf } from '../json/find.ts'
import { endOfValue, skipBlanks } from '../json/scan.ts'
import { endOfValid, endOfValidString, INVALID } from '../json/valid.ts'
import { MEMBERS, type KnownMember, type LineRange } from './line-members.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
/** Of all JSON values only null begins with an n. */
const LETTER_N = 0x6e

/** The number of bytes of a damaged line that the error shows. */
const SHOWN = 100

const NONE: readonly LineRange[] = []

/**
 * A line of a result set and the places of the parts that a row needs. The line is walked once without building values, since
 * most of an answer is copied to its row as bytes. Of duplicate keys the last wins, as in JSON.parse.
 */
export class ResultLine {
  readonly json: Buffer
  readonly #isProven: boolean
  customId: LineRange | undefined
  type: LineRange | undefined
  message: LineRange | undefined
  /** The API's outer `error` object, which contains the useful one. */
  error: LineRange | undefined
  model: LineRange | undefined
  stopReason: LineRange | undefined
  stopDetails: LineRange | undefined
  usage: LineRange | undefined
  /** Whether the message's content is an array, possibly empty, of blocks with a type, and with a text if they are text. */
  hasContent = false
  #texts: LineRange[] | undefined
  /** Members of the current block. */
  blockType: LineRange | undefined
  blockText: LineRange | undefined

  private constructor(json: Buffer, isProven: boolean) {
    this.json = json
    this.#isProven = isProven
  }

  /** Reads arbitrary bytes; undefined if they are not a result line. All of it must be JSON, since the start of a cut line looks good. */
  static check(json: Buffer): ResultLine | undefined {
    const line = new ResultLine(json, false).#read()
    return line && line.#isString(line.customId) && line.#isString(line.type) ? line : undefined
  }

  /**
   * Reads a line that was checked before. Bytes that are not UTF-8 become U+FFFD, because rows must be UTF-8.
   *
   * @throws BatchStreamError `CBS_STATE` if the line has changed since
   */
  static read(bytes: Buffer): ResultLine {
    const json = isUtf8(bytes) ? bytes : Buffer.from(bytes.toString('utf8'))
    const line = new ResultLine(json, true).#read()
    if (line) return line
    throw new BatchStreamError(
      'CBS_STATE',
      `a kept result line is damaged: ${json.toString('utf8', 0, SHOWN)}; see \`claude-batch-stream doctor\``,
    )
  }

  /** The string of each text block, including its quotes. */
  get texts(): readonly LineRange[] {
    return this.#texts ?? NONE
  }

  /** A value of this line, parsed; undefined if it is absent. */
  parse(place: LineRange | undefined): unknown {
    return place && JSON.parse(this.json.toString('utf8', place.start, place.end))
  }

  /** A value of this line if it is a string. */
  string(place: LineRange | undefined): string | undefined {
    if (!place || this.json[place.start] !== QUOTE) return undefined
    const inside = this.json.toString('utf8', place.start + 1, place.end - 1)
    return inside.includes('\\') ? JSON.parse(`"${inside}"`) : inside
  }

  /** A value of this line as text: a string itself, any other value as JSON; undefined if it is null or absent. */
  text(place: LineRange | undefined): string | undefined {
    if (!place || this.json[place.start] === LETTER_N) return undefined
    return this.string(place) ?? this.json.toString('utf8', place.start, place.end)
  }

  /** A member of an object of this line; undefined if the value is not an object or has no such member. */
  member(object: LineRange | undefined, key: string): LineRange | undefined {
    const found = object && memberOf(this.json, key, object.start)
    return found && { start: found.valueStart, end: found.valueEnd }
  }

  #read(): this | undefined {
    const { json } = this
    const start = skipBlanks(json, 0)
    if (json[start] !== OPEN_BRACE) return undefined
    const end = this.#object(MEMBERS.line, start)
    if (end === INVALID || skipBlanks(json, end) !== json.length) return undefined
    return this
  }

  #isString(place: LineRange | undefined): place is LineRange {
    return place !== undefined && this.json[place.start] === QUOTE
  }

  #skip(at: number): number {
    return this.#isProven ? endOfValue(this.json, at) : endOfValid(this.json, at)
  }

  /** Walks the object that starts at `from`; returns the index after it, or -1 if it is not an object. */
  #object(looked: readonly KnownMember[], from: number): number {
    const { json } = this
    let at = skipBlanks(json, from + 1)
    if (json[at] === CLOSE_BRACE) return at + 1
    while (json[at] === QUOTE) {
      const keyEnd = this.#isProven ? endOfValue(json, at) : endOfValidString(json, at)
      if (keyEnd === INVALID) return INVALID
      const colon = skipBlanks(json, keyEnd)
      if (json[colon] !== COLON) return INVALID
      const end = this.#member(looked, at, keyEnd, skipBlanks(json, colon + 1))
      if (end === INVALID) return INVALID
      at = skipBlanks(json, end)
      if (json[at] === CLOSE_BRACE) return at + 1
      if (json[at] !== COMMA) return INVALID
      at = skipBlanks(json, at + 1)
    }
    return INVALID
  }

  /** Reads one member; returns the index after its value. */
  #member(looked: readonly KnownMember[], key: number, keyEnd: number, start: number): number {
    const member = this.#named(looked, key, keyEnd)
    if (!member) return this.#skip(start)
    switch (member.part) {
      case 'result':
        return this.#result(start)
      case 'message':
        return this.#message(start)
      case 'content':
        return this.#content(start)
      default: {
        const end = this.#skip(start)
        this[member.part] = { start, end }
        return end
      }
    }
  }

  #result(start: number): number {
    this.type = this.error = undefined
    this.#forgetMessage()
    return this.json[start] === OPEN_BRACE ? this.#object(MEMBERS.result, start) : this.#skip(start)
  }

  #message(start: number): number {
    this.#forgetMessage()
    if (this.json[start] !== OPEN_BRACE) return this.#skip(start)
    const end = this.#object(MEMBERS.message, start)
    this.message = { start, end }
    return end
  }

  #forgetMessage(): void {
    this.message = this.model = this.stopReason = this.stopDetails = this.usage = undefined
    this.#forgetContent()
  }

  #forgetContent(): void {
    this.hasContent = false
    this.#texts = undefined
  }

  #content(start: number): number {
    const { json } = this
    this.#forgetContent()
    if (json[start] !== OPEN_BRACKET) return this.#skip(start)
    this.hasContent = true
    let at = skipBlanks(json, start + 1)
    if (json[at] === CLOSE_BRACKET) return at + 1
    for (;;) {
      if (json[at] === OPEN_BRACE) at = this.#block(at)
      else {
        this.hasContent = false
        at = this.#skip(at)
      }
      if (at === INVALID) return INVALID
      at = skipBlanks(json, at)
      if (json[at] === CLOSE_BRACKET) return at + 1
      if (json[at] !== COMMA) return INVALID
      at = skipBlanks(json, at + 1)
    }
  }

  #block(start: number): number {
    this.blockType = this.blockText = undefined
    const end = this.#object(MEMBERS.block, start)
    const { blockType, blockText } = this
    if (!this.#isString(blockType)) this.hasContent = false
    if (this.string(blockType) !== 'text') return end
    if (!this.#isString(blockText)) this.hasContent = false
    else if (this.#texts) this.#texts.push(blockText)
    else this.#texts = [blockText]
    return end
  }

  #named(looked: readonly KnownMember[], key: number, keyEnd: number): KnownMember | undefined {
    for (const member of looked) if (this.#is(key, keyEnd, member.bytes)) return member
    // A key may contain escapes.
    for (let at = key; at < keyEnd; at++) {
      if (this.json[at] !== BACKSLASH) continue
      const name = this.string({ start: key, end: keyEnd })
      return looked.find(member => member.name === name)
    }
    return undefined
  }

  #is(key: number, keyEnd: number, name: Buffer): boolean {
    if (keyEnd - key !== name.length) return false
    for (let index = 1; index < name.length; index++)
      if (this.json[key + index] !== name[index]) return false
    return true
  }
}
