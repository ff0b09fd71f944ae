// Result lines of a batch -> proof that they are JSON, and where their parts lie. One pass; no value is built.
//
// Conservative: a line that is unusual in any way (a looked-at key twice or anything with an escape in its key, deep nesting, no
// string for custom_id, bytes that are no JSON) is reported as ODD, and JavaScript judges it. Each line must end with a
// newline, which no JSON string, number or blank within a line holds: so no index is ever compared with an end.

/** Where the table of lines begins in memory; below it are the labels of rows(). */
export const TABLE: i32 = 0x10000
/** Numbers of 32 bits that the table has for each line. */
export const STRIDE: i32 = 16

// What the table says of a line, as indices of its numbers; a part has a start and an end.
const START: i32 = 0
const END: i32 = 1
const CUSTOM_ID: i32 = 2
const MODEL: i32 = 4
const STOP_REASON: i32 = 6
const USAGE: i32 = 8
const TEXT: i32 = 10
const TYPE: i32 = 12
const LINE_NUMBER: i32 = 14
const KIND: i32 = 15

/** Kinds of lines. PLAIN: an answer that succeeded with exactly one text block. */
const ODD: i32 = 0
const PROVEN: i32 = 1
const PLAIN: i32 = 2

const MAX_DEPTH: i32 = 100

// The objects whose members are looked at.
const ANY: i32 = 0
const LINE: i32 = 1
const RESULT: i32 = 2
const MESSAGE: i32 = 3
const BLOCK: i32 = 4

/** The entry of the line that is being walked. */
let entry: usize = 0
let isOdd: bool = false
let depth: i32 = 0
let hasResult: bool = false
let hasContent: bool = false
let isContentSound: bool = true
let texts: i32 = 0
let isTextBlock: bool = false
let hasBlockType: bool = false
let blockText: i32 = 0
let blockTextEnd: i32 = 0

@inline function get(part: i32): i32 {
  return load<i32>(entry + (<usize>part << 2))
}

@inline function put(part: i32, value: i32): void {
  store<i32>(entry + (<usize>part << 2), value)
}

/** Notes a part; one that comes twice is odd. */
function note(part: i32, start: i32, end: i32): i32 {
  if (get(part) != 0) isOdd = true
  put(part, start)
  put(part + 1, end)
  return end
}

@inline function skipBlanks(at: i32): i32 {
  while (true) {
    const byte = load<u8>(at)
    if (byte != 0x20 && byte != 0x09 && byte != 0x0d) return at
    at++
  }
}

// Each of the following gives the index behind a value, 0 where there is none.

function string(at: i32): i32 {
  at++
  while (true) {
    const bytes = v128.load(at)
    const stops = v128.or(
      v128.or(i8x16.eq(bytes, i8x16.splat(0x22)), i8x16.eq(bytes, i8x16.splat(0x5c))),
      i8x16.lt_u(bytes, i8x16.splat(0x20)),
    )
    const mask = i8x16.bitmask(stops)
    if (mask == 0) {
      at += 16
      continue
    }
    at += ctz(mask)
    const byte = load<u8>(at)
    if (byte == 0x22) return at + 1
    if (byte != 0x5c) return 0
    at = escape(at + 1)
    if (at == 0) return 0
  }
}

function escape(at: i32): i32 {
  const letter = load<u8>(at)
  if (letter == 0x75) {
    for (let digit = at + 1; digit < at + 5; digit++) if (!isHex(load<u8>(digit))) return 0
    return at + 5
  }
  const isKnown =
    letter == 0x22 || letter == 0x6e || letter == 0x5c || letter == 0x2f ||
    letter == 0x62 || letter == 0x66 || letter == 0x72 || letter == 0x74
  return isKnown ? at + 1 : 0
}

@inline function isDigit(byte: u8): bool {
  return byte >= 0x30 && byte <= 0x39
}

@inline function isHex(byte: u8): bool {
  return isDigit(byte) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
}

function digits(at: i32): i32 {
  const start = at
  while (isDigit(load<u8>(at))) at++
  return at > start ? at : 0
}

function number(at: i32): i32 {
  if (load<u8>(at) == 0x2d) at++
  at = load<u8>(at) == 0x30 ? at + 1 : digits(at)
  if (at == 0) return 0
  if (load<u8>(at) == 0x2e) {
    at = digits(at + 1)
    if (at == 0) return 0
  }
  if ((load<u8>(at) | 0x20) != 0x65) return at
  const sign = load<u8>(at + 1)
  return digits(sign == 0x2b || sign == 0x2d ? at + 2 : at + 1)
}

function value(at: i32): i32 {
  const byte = load<u8>(at)
  if (byte == 0x22) return string(at)
  if (byte == 0x7b) return object(at, ANY)
  if (byte == 0x5b) return array(at, ANY)
  if (byte == 0x6e) return load<u32>(at) == 0x6c6c756e ? at + 4 : 0 // null
  if (byte == 0x74) return load<u32>(at) == 0x65757274 ? at + 4 : 0 // true
  if (byte == 0x66) return load<u32>(at + 1) == 0x65736c61 ? at + 5 : 0 // false
  return number(at)
}

/** An array; `elements` is BLOCK for the content of a message. */
function array(at: i32, elements: i32): i32 {
  if (++depth > MAX_DEPTH) return tooDeep()
  at = skipBlanks(at + 1)
  if (load<u8>(at) == 0x5d) {
    depth--
    return at + 1
  }
  while (true) {
    at = elements == BLOCK ? block(at) : value(at)
    if (at == 0) return 0
    at = skipBlanks(at)
    const byte = load<u8>(at)
    if (byte == 0x5d) {
      depth--
      return at + 1
    }
    if (byte != 0x2c) return 0
    at = skipBlanks(at + 1)
  }
}

function tooDeep(): i32 {
  isOdd = true
  return 0
}

function block(at: i32): i32 {
  if (load<u8>(at) != 0x7b) {
    isContentSound = false
    return value(at)
  }
  isTextBlock = hasBlockType = false
  blockText = 0
  const end = object(at, BLOCK)
  if (end == 0) return end
  if (!hasBlockType) isContentSound = false
  if (!isTextBlock) return end
  if (blockText == 0 || load<u8>(blockText) != 0x22) isContentSound = false
  else if (++texts == 1) note(TEXT, blockText, blockTextEnd)
  return end
}

function object(at: i32, kind: i32): i32 {
  if (++depth > MAX_DEPTH) return tooDeep()
  at = skipBlanks(at + 1)
  if (load<u8>(at) == 0x7d) {
    depth--
    return at + 1
  }
  while (true) {
    if (load<u8>(at) != 0x22) return 0
    const key = at + 1
    const keyEnd = string(at)
    if (keyEnd == 0) return 0
    at = skipBlanks(keyEnd)
    if (load<u8>(at) != 0x3a) return 0
    at = skipBlanks(at + 1)
    at = kind == ANY ? value(at) : member(kind, key, keyEnd - 1 - key, at)
    if (at == 0) return 0
    at = skipBlanks(at)
    const byte = load<u8>(at)
    if (byte == 0x7d) {
      depth--
      return at + 1
    }
    if (byte != 0x2c) return 0
    at = skipBlanks(at + 1)
  }
}

// Keys as little-endian numbers of their first eight bytes.
const CUSTOM_I: u64 = 0x695f6d6f74737563
const RESULT_6: u64 = 0x746c75736572
const TYPE_4: u64 = 0x65707974
const MESSAGE_7: u64 = 0x6567617373656d
const MODEL_5: u64 = 0x6c65646f6d
const USAGE_5: u64 = 0x6567617375
const CONTENT_7: u64 = 0x746e65746e6f63
const STOP_REA: u64 = 0x6165725f706f7473
/** The last four bytes of stop_reason. */
const A_SON: u32 = 0x6e6f7361
const TEXT_4: u64 = 0x74786574

/** A member of an object that is looked at. */
function member(kind: i32, key: i32, length: i32, at: i32): i32 {
  if (hasEscape(key, length)) isOdd = true
  const name = load<u64>(key) & (length < 8 ? ((<u64>1) << (length << 3)) - 1 : ~(<u64>0))
  if (kind == BLOCK) {
    if (length == 4 && name == TYPE_4) return blockType(at)
    if (length == 4 && name == TEXT_4) return textOf(at)
  } else if (kind == MESSAGE) {
    if (length == 5 && name == MODEL_5) return note(MODEL, at, value(at))
    if (length == 5 && name == USAGE_5) return note(USAGE, at, value(at))
    if (length == 7 && name == CONTENT_7) return content(at)
    if (length == 11 && name == STOP_REA && load<u32>(key + 7) == A_SON) return note(STOP_REASON, at, value(at))
  } else if (kind == RESULT) {
    if (length == 4 && name == TYPE_4) return note(TYPE, at, value(at))
    if (length == 7 && name == MESSAGE_7) return message(at)
  } else {
    if (length == 9 && name == CUSTOM_I && load<u8>(key + 8) == 0x64) return note(CUSTOM_ID, at, value(at))
    if (length == 6 && name == RESULT_6) return result(at)
  }
  return value(at)
}

function hasEscape(key: i32, length: i32): bool {
  for (let at = key; at < key + length; at++) if (load<u8>(at) == 0x5c) return true
  return false
}

function blockType(at: i32): i32 {
  if (hasBlockType) isOdd = true
  hasBlockType = true
  if (load<u8>(at) != 0x22) isContentSound = false
  const end = value(at)
  isTextBlock = end - at == 6 && load<u32>(at + 1) == <u32>TEXT_4
  // A type may be written with escapes.
  if (end != 0 && hasEscape(at, end - at)) isOdd = true
  return end
}

function textOf(at: i32): i32 {
  if (blockText != 0) isOdd = true
  blockText = at
  blockTextEnd = value(at)
  return blockTextEnd
}

function content(at: i32): i32 {
  if (hasContent) isOdd = true
  hasContent = true
  if (load<u8>(at) == 0x5b) return array(at, BLOCK)
  isContentSound = false
  return value(at)
}

let hasMessage: bool = false

function message(at: i32): i32 {
  if (hasMessage) isOdd = true
  hasMessage = true
  return load<u8>(at) == 0x7b ? object(at, MESSAGE) : value(at)
}

function result(at: i32): i32 {
  if (hasResult) isOdd = true
  hasResult = true
  return load<u8>(at) == 0x7b ? object(at, RESULT) : value(at)
}

@inline function isString(part: i32): bool {
  return get(part) != 0 && load<u8>(get(part)) == 0x22
}

/** A stop reason that says that the answer is whole. */
function isWhole(at: i32, length: i32): bool {
  const head = load<u64>(at + 1)
  if (length == 10) return head == 0x6e7275745f646e65 || head == 0x6573755f6c6f6f74 // end_turn, tool_use
  return length == 15 && head == 0x7165735f706f7473 && load<u64>(at + 6) == 0x65636e6575716573 // stop_sequence
}

function isPlain(): bool {
  const type = get(TYPE)
  if (get(TYPE + 1) - type != 11 || load<u64>(type + 1) != 0x6564656563637573 || load<u8>(type + 9) != 0x64) return false
  if (!hasContent || !isContentSound || texts != 1 || !isString(MODEL) || !isString(STOP_REASON)) return false
  if (get(USAGE) == 0 || load<u8>(get(USAGE)) != 0x7b) return false
  return isWhole(get(STOP_REASON), get(STOP_REASON + 1) - get(STOP_REASON))
}

function kindOf(): i32 {
  if (isOdd || !isString(CUSTOM_ID) || !isString(TYPE)) return ODD
  if (hasEscape(get(CUSTOM_ID), get(CUSTOM_ID + 1) - get(CUSTOM_ID))) return ODD
  if (hasEscape(get(TYPE), get(TYPE + 1) - get(TYPE))) return ODD
  return isPlain() ? PLAIN : PROVEN
}

/** Where scan() stopped. */
export let scanned: i32 = 0

/** Walks the lines in [from, to), the last of which ends with a newline; fills at most `most` entries and gives how many. */
export function scan(from: i32, to: i32, most: i32): i32 {
  let lines = 0
  let at = from
  entry = TABLE
  while (at < to && lines < most) {
    memory.fill(entry, 0, <usize>STRIDE << 2)
    isOdd = hasResult = hasMessage = hasContent = false
    isContentSound = true
    depth = texts = 0
    const start = at
    at = skipBlanks(at)
    let end = load<u8>(at) == 0x7b ? object(at, LINE) : 0
    if (end != 0) end = skipBlanks(end)
    const isSound = end != 0 && load<u8>(end) == 0x0a
    if (!isSound) end = lineEnd(at)
    at = end + 1
    put(START, start)
    // A carriage return before the newline is no part of the line.
    put(END, end > start && load<u8>(end - 1) == 0x0d ? end - 1 : end)
    put(KIND, isSound ? kindOf() : ODD)
    entry += <usize>STRIDE << 2
    lines++
  }
  scanned = at
  return lines
}

function lineEnd(at: i32): i32 {
  while (load<u8>(at) != 0x0a) at++
  return at
}

/** Copies bytes. Few of them go by 16 at a time: what follows the end is overwritten by the next piece. */
@inline function copy(to: usize, from: usize, length: i32): usize {
  if (length > 64) memory.copy(to, from, length)
  else for (let at = 0; at < length; at += 16) v128.store(to + at, v128.load(from + at))
  return to + length
}

@inline function copyPart(to: usize, base: i32, part: i32): usize {
  return copy(to, base + get(part), get(part + 1) - get(part))
}

@inline function copyLabel(to: usize, label: i32): usize {
  return copy(to, load<i32>(<usize>label << 3), load<i32>(4 + (<usize>label << 3)))
}

function decimal(to: usize, number: u32): usize {
  let width: usize = 1
  for (let rest = number; rest >= 10; rest /= 10) width++
  for (let at = to + width; at > to; number /= 10) store<u8>(--at, 0x30 + (number % 10))
  return to + width
}

/**
 * Joins records and lines to merged rows, for the first `count` entries of the table: START and END are those of the record from
 * `records` on, TYPE is the address of the line, and the other parts lie within the line. Between the parts stand seven labels, whose
 * addresses and lengths are the first numbers of the memory. Writes to `to` and gives the end.
 */
export function rows(count: i32, records: i32, to: usize): usize {
  entry = TABLE
  for (let row = 0; row < count; row++) {
    const base = get(TYPE)
    to = copy(to, records + get(START), get(END) - get(START) - 1)
    to = copyLabel(to, 0)
    to = copyPart(to, base, TEXT)
    to = copyLabel(to, 1)
    to = copyPart(to, base, CUSTOM_ID)
    to = copyLabel(to, 2)
    to = decimal(to, <u32>get(LINE_NUMBER))
    to = copyLabel(to, 3)
    to = copyPart(to, base, STOP_REASON)
    to = copyLabel(to, 4)
    to = copyPart(to, base, MODEL)
    to = copyLabel(to, 5)
    to = copyPart(to, base, USAGE)
    to = copyLabel(to, 6)
    entry += <usize>STRIDE << 2
  }
  return to
}
