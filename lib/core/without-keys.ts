/** Maximum characters of an API message that are kept. */
export const MAX_TEXT = 1000

/** Cuts an API message to a readable length. */
export function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** Removes the given secrets, whatever they look like. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  return secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
}

/** Removes anything that looks like a key: a gateway may echo one, and messages go into rows. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/\bsk-ant-[\w-]+/g, 'sk-ant-***').replaceAll(/\b(bearer) \S+/gi, '$1 ***')
}
