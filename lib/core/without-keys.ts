/** Characters of what the API says that are kept. */
export const MAX_TEXT = 1000

/** A text of the API, cut to a length that people read. */
export function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** A text without what looks like a key: a gateway may echo a key, and what it says goes into rows. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/\bsk-ant-[\w-]+/g, 'sk-ant-***').replaceAll(/\b(bearer) \S+/gi, '$1 ***')
}
