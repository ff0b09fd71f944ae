const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const BACKSLASH = 0x5c
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d

/** A range of bytes; `end` is exclusive. */
export interface Range {
  readonly start: number
  readonly end: number
}

/** A member of an object: its decoded key, and the positions of key (including quotes) and value. */
export interface Member {
  readonly key: string
  readonly keyStart: number
  readonly valueStart: number
  readonly valueEnd: number
}

/**
 * The members of the object at `from`, in order, found without building a value. The bytes must be valid JSON. Any value other
 * than an object has no members.
 */
export function* members(json: Buffer, from = 0): Generator<Member, void, undefined> {
  let at = skipBlanks(json, from)
  if (json[at] !== OPEN_BRACE) return
  at = skipBlanks(json, at + 1)
  while (json[at] === QUOTE) {
    const keyStart = at
    const keyEnd = stringEnd(json, at)
    const valueStart = skipBlanks(json, json.indexOf(COLON, keyEnd) + 1)
    const valueEnd = endOfValue(json, valueStart)
    yield { key: decodeKey(json, keyStart, keyEnd), keyStart, valueStart, valueEnd }
    at = skipBlanks(json, valueEnd)
    if (json[at] === COMMA) at = skipBlanks(json, at + 1)
  }
}

/** The elements of the array at `from`, found in the same way. */
export function* elements(json: Buffer, from = 0): Generator<Range, void, undefined> {
  let at = skipBlanks(json, from)
  if (json[at] !== OPEN_BRACKET) return
  at = skipBlanks(json, at + 1)
  while (at < json.length && json[at] !== CLOSE_BRACKET) {
    const end = endOfValue(json, at)
    yield { start: at, end }
    at = skipBlanks(json, end)
    if (json[at] === COMMA) at = skipBlanks(json, at + 1)
  }
}

/** The end of the value at `at`. */
export function endOfValue(json: Buffer, at: number): number {
  switch (json[at]) {
    case QUOTE:
      return stringEnd(json, at)
    case OPEN_BRACE:
    case OPEN_BRACKET:
      return nestEnd(json, at)
    default:
      return scalarEnd(json, at)
  }
}

/** The first index from `at` on that is not JSON whitespace. */
export function skipBlanks(json: Buffer, at: number): number {
  // A quick test first: all whitespace is at or below the space.
  while ((json[at] as number) <= 0x20 && isBlank(json[at])) at++
  return at
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

function stringEnd(json: Buffer, open: number): number {
  let close = json.indexOf(QUOTE, open + 1)
  while (close !== -1 && isEscaped(json, close)) close = json.indexOf(QUOTE, close + 1)
  return close === -1 ? json.length : close + 1
}

/** A quote is escaped if an odd number of backslashes precedes it. */
function isEscaped(json: Buffer, quote: number): boolean {
  let first = quote
  while (json[first - 1] === BACKSLASH) first--
  return (quote - first) % 2 === 1
}

function nestEnd(json: Buffer, open: number): number {
  let depth = 0
  for (let at = open; at < json.length; at++) {
    const byte = json[at]
    if (byte === QUOTE) at = stringEnd(json, at) - 1
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth++
    else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && --depth === 0) return at + 1
  }
  return json.length
}

function scalarEnd(json: Buffer, at: number): number {
  while (at < json.length) {
    const byte = json[at]
    if (byte === COMMA || byte === CLOSE_BRACE || byte === CLOSE_BRACKET || isBlank(byte)) break
    at++
  }
  return at
}

function decodeKey(json: Buffer, start: number, end: number): string {
  const inside = json.toString('utf8', start + 1, end - 1)
  return inside.includes('\\') ? JSON.parse(`"${inside}"`) : inside
}
