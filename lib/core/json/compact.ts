import { endOfValue, skipBlanks } from './scan.ts'

const QUOTE = 0x22
const SPACE = 0x20

/**
 * Valid JSON as bytes, without whitespace between its tokens. Unlike with JSON.stringify, numbers keep all their digits
 * (12345678901234567890, 1.0) and objects their members. Lone surrogates in strings become escapes.
 */
export function compactJson(text: string): Buffer {
  const json = Buffer.from(text.replace(LONE_SURROGATE, escapeOf))
  let from = 0
  let end = 0
  const keepUntil = (to: number): void => {
    if (from !== end) json.copyWithin(end, from, to)
    end += to - from
  }
  for (let at = 0; at < json.length;) {
    // Every index is in range.
    const byte = json[at] as number
    if (byte === QUOTE) at = endOfValue(json, at)
    else if (byte > SPACE) at++
    else {
      keepUntil(at)
      from = at = skipBlanks(json, at)
    }
  }
  keepUntil(json.length)
  return json.subarray(0, end)
}

/** With the flag `u`, a pair is one character, which is not in this range. */
const LONE_SURROGATE = /[\ud800-\udfff]/gu

function escapeOf(half: string): string {
  return `\\u${half.charCodeAt(0).toString(16)}`
}
