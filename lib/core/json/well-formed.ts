/**
 * A value as JSON that the API reads: half of a surrogate pair, as a text that was cut in an emoji ends with, becomes U+FFFD. The API
 * refuses a whole batch for one. Undefined where JSON has nothing to say, as for JSON.stringify.
 */
export function wellFormedJson(value: unknown): string | undefined {
  // JSON.stringify gives undefined for undefined, and its type does not say so.
  const json = JSON.stringify(value) as string | undefined
  // It writes whole pairs as they are, so only a lone half is an escape that begins with \ud.
  return json?.includes('\\ud') ? json.replace(ESCAPE, replaceHalf) : json
}

/** The value itself, or a copy of it in which each half of a surrogate pair is U+FFFD. */
export function wellFormed<T>(value: T): T {
  const json = wellFormedJson(value)
  // The same value, read back from its own JSON.
  return json?.includes(REPLACEMENT) ? (JSON.parse(json) as T) : value
}

const REPLACEMENT = '\ufffd'

/** An escape: half of a pair, or any other (`\\ud83d` is a backslash and five letters). */
const ESCAPE = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g

function replaceHalf(escape: string): string {
  return escape.length > 2 ? REPLACEMENT : escape
}
