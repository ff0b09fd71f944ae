import type { Token } from 'stream-json/core/parser.js'

/** Characters of a key that are compared: no path has longer names. */
const KEY_CHARACTERS = 1000

/** Maximum names listed for the level at which a path ends. */
const TOLD_KEYS = 10

/** The role of a token in the search. */
export type PathMatch = 'nothing' | 'array' | 'value'

/** Follows a document's tokens to the value at a path of object keys. */
export class JsonPath {
  readonly #path: readonly string[]
  // The number of keys followed, and of open levels.
  #followed = 0
  #open = 0
  #furthest = 0
  #key = ''
  #matches = true
  #inKey = false
  /** Keys on the furthest level reached. */
  readonly #seen = new Set<string>()

  constructor(path: string) {
    this.#path = path === '' ? [] : path.split('.')
  }

  /** Takes the next token outside records; returns whether the value at the path starts with it. */
  add(token: Token): PathMatch {
    switch (token.name) {
      case 'startKey':
        this.#key = ''
        this.#inKey = true
        return 'nothing'
      case 'stringChunk':
        if (this.#inKey) this.#key = (this.#key + token.value).slice(0, KEY_CHARACTERS)
        return 'nothing'
      case 'endKey':
        this.#inKey = false
        this.#takeKey()
        return 'nothing'
      case 'endObject':
      case 'endArray':
        this.#open--
        this.#followed = Math.min(this.#followed, this.#open)
        return 'nothing'
      case 'startObject':
      case 'startArray':
      case 'startString':
      case 'startNumber':
      case 'trueValue':
      case 'falseValue':
      case 'nullValue':
        return this.#takeValue(token.name)
      default:
        return 'nothing'
    }
  }

  /** What is missing, for an error. */
  get missing(): string {
    const seen = [...this.#seen].map(key => JSON.stringify(key))
    const keys =
      seen.length === 0 ? 'it has no keys there' : `its keys there are ${seen.join(', ')}`
    return `no value at "${this.#path.join('.')}"; ${keys}`
  }

  #takeKey(): void {
    if (this.#open !== this.#followed) return
    this.#matches = this.#key === this.#path[this.#followed - 1]
    if (this.#followed === this.#furthest && this.#seen.size < TOLD_KEYS) this.#seen.add(this.#key)
  }

  #takeValue(name: string): PathMatch {
    const here = this.#open === this.#followed && this.#matches
    this.#matches = false
    if (here && this.#followed === this.#path.length)
      return name === 'startArray' ? 'array' : 'value'
    if (name !== 'startObject' && name !== 'startArray') return 'nothing'
    this.#open++
    if (here && name === 'startObject') {
      this.#followed++
      if (this.#followed > this.#furthest) this.#seen.clear()
      this.#furthest = Math.max(this.#furthest, this.#followed)
    }
    return 'nothing'
  }
}
