import type { Token } from 'stream-json/core/parser.js'
import { KEPT_CHARACTERS } from './bad-record.ts'

/**
 * A value rewritten on one line from its tokens, with the source's digits of numbers and order of keys. Of more than `max`
 * characters only the first 1,000 are kept.
 */
export class JsonElement {
  /** Physical line on which it starts. */
  readonly line: number
  readonly isObject: boolean
  text = ''
  tooLong = false
  /** Its maximum nesting depth. */
  depth = 0
  /** Offset in the input of its first byte that is not valid UTF-8. */
  invalidAt: number | undefined
  readonly #max: number
  // For each open level, whether a comma must precede the next item.
  readonly #commas: boolean[] = []
  #afterKey = false

  constructor(line: number, first: Token, max: number) {
    this.line = line
    this.isObject = first.name === 'startObject'
    this.#max = Math.max(max, KEPT_CHARACTERS)
  }

  /** Adds a token; returns true if it was the last one. */
  add(token: Token): boolean {
    switch (token.name) {
      case 'startObject':
        return this.#open('{')
      case 'startArray':
        return this.#open('[')
      case 'endObject':
        return this.#close('}')
      case 'endArray':
        return this.#close(']')
      case 'startKey':
        this.#separate()
        return this.#write('"')
      case 'endKey':
        this.#afterKey = true
        return this.#write('":')
      case 'startString':
        this.#separate()
        return this.#write('"')
      case 'endString':
        this.#write('"')
        return this.#whole()
      case 'stringChunk':
        return this.#write(JSON.stringify(token.value).slice(1, -1))
      case 'startNumber':
        this.#separate()
        return false
      case 'numberChunk':
        return this.#write(token.value)
      case 'endNumber':
        return this.#whole()
      default:
        this.#separate()
        this.#write(String(token.value))
        return this.#whole()
    }
  }

  #open(bracket: string): boolean {
    this.#separate()
    this.#commas.push(false)
    this.depth = Math.max(this.depth, this.#commas.length)
    return this.#write(bracket)
  }

  #close(bracket: string): boolean {
    this.#commas.pop()
    this.#write(bracket)
    return this.#whole()
  }

  #separate(): void {
    const last = this.#commas.length - 1
    if (this.#commas[last] && !this.#afterKey) this.#write(',')
    if (last >= 0) this.#commas[last] = true
    this.#afterKey = false
  }

  #whole(): boolean {
    return this.#commas.length === 0
  }

  #write(text: string): false {
    if (this.tooLong) return false
    this.text += text
    if (this.text.length <= this.#max) return false
    this.tooLong = true
    this.text = this.text.slice(0, KEPT_CHARACTERS)
    return false
  }
}
