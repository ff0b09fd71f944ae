import { wrapError } from '../errors.ts'

/**
 * A value as JSON that the API accepts: a lone surrogate, for example at the end of a text that was cut in an emoji, becomes
 * U+FFFD. The API rejects a whole batch because of one. Undefined if JSON.stringify returns undefined.
 *
 * @throws BatchStreamError `CBS_STAGE` for a value that has no JSON, such as a BigInt or a circular structure
 */
export function wellFormedJson(value: unknown): string | undefined {
  const json = jsonOf(value)
  // It escapes only lone surrogates, so an escape that starts with \ud is one.
  return json?.includes('\\ud') ? json.replace(ESCAPE, replaceHalf) : json
}

function jsonOf(value: unknown): string | undefined {
  try {
    // JSON.stringify may return undefined, although its type says otherwise.
    return JSON.stringify(value) as string | undefined
  } catch (cause) {
    throw wrapError('CBS_STAGE', 'a request cannot be serialized as JSON', cause)
  }
}

/** The value itself, or a copy with lone surrogates replaced by U+FFFD. */
export function wellFormed<T>(value: T): T {
  const json = wellFormedJson(value)
  // The same value, read back from its own JSON.
  return json?.includes(REPLACEMENT) ? (JSON.parse(json) as T) : value
}

const REPLACEMENT = '\ufffd'

/** A lone surrogate or any other escape (`\\ud83d` is an escaped backslash and five letters). */
const ESCAPE = /\\(?:ud[89a-f][0-9a-f]{2}|.)/g

function replaceHalf(escape: string): string {
  return escape.length > 2 ? REPLACEMENT : escape
}
