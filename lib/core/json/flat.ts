// Reads flat JSON objects (of strings, numbers, true, false and null) in place: most records are flat and need not be parsed.

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const COLON = 0x3a
const OPEN = 0x7b
const CLOSE = 0x7d
const SPACE = 0x20

/**
 * Iterates over the members of a flat object in UTF-8 bytes. It is conservative: it accepts only valid JSON, but not every flat
 * object. It allows one space after a colon or comma, since most programs write none or one.
 */
export class FlatJson {
  readonly #bytes: Uint8Array
  #at = 0
  #end = 0
  #isCanonical = true
  #hasEscape = false
  /** The range of the member's key, without quotes; it has no escapes. */
  keyStart = 0
  keyEnd = 0
  /** The range of its value; of a string, without quotes. */
  valueStart = 0
  valueEnd = 0
  /** Whether the value is a string. */
  isString = false
  /** Whether that string is what JSON.stringify writes. */
  isCanonical = false
  /** Whether it was the last member. */
  isLast = false

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** Begins an object in a range. Returns false if there is none. */
  open(from: number, to: number): boolean {
    this.#at = from + 1
    this.#end = to
    return this.#bytes[from] === OPEN
  }

  /** Reads the next member. Returns false if it is not plain, or if bytes follow the object. */
  next(): boolean {
    const bytes = this.#bytes
    this.keyStart = this.#at + 1
    if (!this.#string() || this.#hasEscape) return false
    this.keyEnd = this.#at - 1
    if (bytes[this.#at++] !== COLON) return false
    if (bytes[this.#at] === SPACE) this.#at++
    this.isString = bytes[this.#at] === QUOTE
    this.valueStart = this.isString ? this.#at + 1 : this.#at
    if (!(this.isString ? this.#string() : this.#word())) return false
    this.valueEnd = this.isString ? this.#at - 1 : this.#at
    this.isCanonical = this.#isCanonical
    const behind = bytes[this.#at++]
    this.isLast = behind === CLOSE
    if (this.isLast) return this.#at === this.#end
    if (behind !== COMMA) return false
    if (bytes[this.#at] === SPACE) this.#at++
    return true
  }

  /** Reads a string. Returns false if there is none. */
  #string(): boolean {
    const bytes = this.#bytes
    const end = this.#end
    let at = this.#at
    this.#isCanonical = true
    this.#hasEscape = false
    if (bytes[at++] !== QUOTE) return false
    while (at < end) {
      // Every index is in range.
      const byte = bytes[at++] as number
      if (byte === QUOTE) {
        this.#at = at
        return true
      }
      if (byte < SPACE) return false
      if (byte !== BACKSLASH) continue
      this.#hasEscape = true
      const escape = escapeAt(bytes, at)
      if (escape === 'none') return false
      if (escape === 'other') this.#isCanonical = false
      at += escape === 'other' && bytes[at] === LOWER_U ? 5 : 1
    }
    return false
  }

  /** Reads a number, true, false or null. Returns false if there is something else. */
  #word(): boolean {
    const bytes = this.#bytes
    const from = this.#at
    let at = from
    // Every index is in range.
    while (at < this.#end && isOfWord(bytes[at] as number)) at++
    this.#at = at
    return isNatural(bytes, from, at) || WORD.test(textOf(bytes, from, at))
  }
}

/** Whether a range is exactly one flat object. */
export function isFlatObject(json: FlatJson, from: number, to: number): boolean {
  if (!json.open(from, to)) return false
  while (json.next()) if (json.isLast) return true
  return false
}

const WORD = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/
const HEX = /^[0-9a-fA-F]{4}$/
const LOWER_U = 0x75

/** The kind of an escape after its backslash: one that JSON.stringify writes, another one, or none. */
function escapeAt(bytes: Uint8Array, at: number): 'usual' | 'other' | 'none' {
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
    case LOWER_U:
      return HEX.test(textOf(bytes, at + 1, at + 5)) ? 'other' : 'none'
    default:
      return 'none'
  }
}

/** Whether a byte can be part of a number, true, false or null. */
function isOfWord(byte: number): boolean {
  if (isDigit(byte) || (byte >= 0x61 && byte <= 0x7a)) return true
  return byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x45
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39
}

/** Whether a range is a number of digits without a leading zero: the common case, which needs no regular expression. */
function isNatural(bytes: Uint8Array, from: number, to: number): boolean {
  if (from === to || bytes[from] === 0x30) return false
  for (let at = from; at < to; at++) if (!isDigit(bytes[at] as number)) return false
  return true
}

function textOf(bytes: Uint8Array, from: number, to: number): string {
  return String.fromCharCode(...bytes.subarray(from, to))
}
