import { skipBlanks } from './scan.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const OPEN_BRACKET = 0x5b
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACKET = 0x5d
const CLOSE_BRACE = 0x7d
const LETTER_U = 0x75

/** What is returned where there is no valid JSON. */
export const INVALID = -1

/** So many open objects and arrays are told by the bits of one number. */
const LEVELS = 31

/**
 * The index behind the JSON value that begins at `from`; -1 where there is none. It takes and refuses what JSON.parse does
 * (bytes that are no UTF-8 aside), builds nothing, keeps its own stack, and costs a fifth of it.
 */
export function endOfValid(json: Buffer, from: number): number {
  // What is open, the innermost in the lowest bit, 1 for an object: a list of them would be garbage for each value.
  let open = 0
  let depth = 0
  const outer: number[] = []
  let at = from
  for (;;) {
    const byte = json[at]
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      // In ASCII either closing bracket is two behind its opening one.
      const closer = byte + 2
      at = skipBlanks(json, at + 1)
      if (json[at] !== closer) {
        if (depth > 0 && depth % LEVELS === 0) {
          outer.push(open)
          open = 0
        }
        open = (open << 1) | (byte === OPEN_BRACE ? 1 : 0)
        depth += 1
        if (byte === OPEN_BRACE) at = startOfMember(json, at)
        if (at === INVALID) return INVALID
        continue
      }
      at += 1
    } else {
      at = byte === QUOTE ? endOfValidString(json, at) : endOfScalar(json, at)
      if (at === INVALID) return INVALID
    }
    for (;;) {
      if (depth === 0) return at
      const closer = (open & 1) === 1 ? CLOSE_BRACE : CLOSE_BRACKET
      at = skipBlanks(json, at)
      if (json[at] === closer) {
        open >>= 1
        depth -= 1
        // Of each so many levels there is one.
        if (depth > 0 && depth % LEVELS === 0) open = outer.pop() as number
        at += 1
        continue
      }
      if (json[at] !== COMMA) return INVALID
      at = skipBlanks(json, at + 1)
      if (closer === CLOSE_BRACE) at = startOfMember(json, at)
      if (at === INVALID) return INVALID
      break
    }
  }
}

/** The index of the value of the member whose key begins at `at`; -1 where no member does. */
function startOfMember(json: Buffer, at: number): number {
  if (json[at] !== QUOTE) return INVALID
  const end = endOfValidString(json, at)
  if (end === INVALID) return INVALID
  const colon = skipBlanks(json, end)
  return json[colon] === COLON ? skipBlanks(json, colon + 1) : INVALID
}

/** Bytes that stand for themselves in a string. A table spares three comparisons for each byte of an answer. */
const PLAIN = new Uint8Array(256).fill(1, 0x20)
PLAIN[QUOTE] = 0
PLAIN[BACKSLASH] = 0

/** So much of a string is looked at byte by byte: most are keys and ids, and four at a time has a price to begin with. */
const SHORT = 128

/** The index behind the string whose quote is at `open`; -1 where it does not end or holds what a string may not. */
export function endOfValidString(json: Buffer, open: number): number {
  const near = open + SHORT
  let words: Int32Array | undefined
  let offset = 0
  let at = open + 1
  for (;;) {
    // Behind the end there is undefined, which is in no table.
    while (at < near && PLAIN[json[at] as number] === 1) at++
    if (at >= near) {
      if (words === undefined) {
        words = wordsOf(json)
        offset = json.byteOffset
      }
      at = endOfPlain(json, words, offset, at)
    }
    if (json[at] === QUOTE) return at + 1
    if (json[at] !== BACKSLASH) return INVALID
    at = endOfEscape(json, at + 1)
    if (at === INVALID) return INVALID
  }
}

let lastWords: Int32Array = new Int32Array(0)

/** The memory that a line lies in, four bytes at a time. Lines of a chunk share it, and a view for each would be garbage. */
function wordsOf({ buffer }: Buffer): Int32Array {
  if (lastWords.buffer !== buffer) lastWords = new Int32Array(buffer, 0, buffer.byteLength >> 2)
  return lastWords
}

/**
 * The first index from `from` on whose byte does not stand for itself in a string; `json` begins at `offset` of the memory.
 * Four bytes at a time halve the time for a long answer.
 */
function endOfPlain(json: Buffer, words: Int32Array, offset: number, from: number): number {
  let at = from
  while (((at + offset) & 3) !== 0 && PLAIN[json[at] as number] === 1) at++
  if (((at + offset) & 3) === 0) {
    const last = (json.length + offset) >> 2
    let index = (at + offset) >> 2
    while (index < last && isPlain(words[index] as number)) index++
    at = (index << 2) - offset
  }
  while (PLAIN[json[at] as number] === 1) at++
  return at
}

/**
 * True when none of four bytes is below a space, a quote or a backslash. `(x - n) & ~x & 0x80…` has a bit for each byte of x
 * below n (for n up to 0x80; a byte above such a one may be taken for one too, which then is looked at singly).
 */
function isPlain(word: number): boolean {
  const quote = word ^ 0x22222222
  const backslash = word ^ 0x5c5c5c5c
  const below = (word - 0x20202020) & ~word
  const same = ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)
  return ((below | same) & 0x80808080) === 0
}

/** What may stand behind a backslash. */
const ESCAPES = new Uint8Array(256)
for (const letter of Buffer.from('"\\/bfnrt')) ESCAPES[letter] = 1

function endOfEscape(json: Buffer, at: number): number {
  const letter = json[at]
  if (ESCAPES[letter as number] === 1) return at + 1
  const isCode =
    letter === LETTER_U && /^[0-9a-fA-F]{4}$/.test(json.toString('latin1', at + 1, at + 5))
  return isCode ? at + 5 : INVALID
}

const TRUE = Buffer.from('true')
const FALSE = Buffer.from('false')
const NULL = Buffer.from('null')

function endOfScalar(json: Buffer, at: number): number {
  switch (json[at]) {
    case TRUE[0]:
      return endOfLiteral(json, at, TRUE)
    case FALSE[0]:
      return endOfLiteral(json, at, FALSE)
    case NULL[0]:
      return endOfLiteral(json, at, NULL)
    default:
      return endOfNumber(json, at)
  }
}

function endOfLiteral(json: Buffer, at: number, literal: Buffer): number {
  for (let index = 1; index < literal.length; index++)
    if (json[at + index] !== literal[index]) return INVALID
  return at + literal.length
}

const MINUS = 0x2d
const PLUS = 0x2b
const POINT = 0x2e
const ZERO = 0x30

function endOfNumber(json: Buffer, from: number): number {
  const first = json[from] === MINUS ? from + 1 : from
  let at = json[first] === ZERO ? first + 1 : endOfDigits(json, first)
  if (json[at] === POINT) at = endOfDigits(json, at + 1)
  // The letter e, of either case.
  if (at !== INVALID && ((json[at] ?? 0) | 0x20) === 0x65) {
    const sign = json[at + 1]
    at = endOfDigits(json, sign === MINUS || sign === PLUS ? at + 2 : at + 1)
  }
  return at
}

/** The index behind one digit or more; -1 where there is none. */
function endOfDigits(json: Buffer, from: number): number {
  let at = from
  while (isDigit(json[at])) at++
  return at > from ? at : INVALID
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte < ZERO + 10
}
