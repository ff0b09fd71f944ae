/** Maximum characters of an API message that are kept. */
export const MAX_TEXT = 1000

/** Cuts an API message to a readable length. */
export function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** Removes the given secrets, whatever they look like, also if their characters are escaped as in a JSON string. */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return text
  if (!text.includes('\\')) return secrets.reduce((rest, one) => rest.replaceAll(one, '***'), text)
  const forms = patterns.get(secrets) ?? new RegExp(secrets.map(anyForm).join('|'), 'g')
  patterns.set(secrets, forms)
  return text.replace(forms, '***')
}

const patterns = new WeakMap<readonly string[], RegExp>()

/** A whole row of backslashes: JSON inside a string of JSON is escaped more than once. */
const BACKSLASHES = String.raw`(?<!\\)\\+`

/** The source of a regular expression for a text of which any character may be escaped. */
function anyForm(secret: string): string {
  return Array.from({ length: secret.length }, (_, at) => {
    const code = secret.charCodeAt(at).toString(16).padStart(4, '0')
    const hex = code.replaceAll(/[a-f]/g, digit => `[${digit}${digit.toUpperCase()}]`)
    // A backslash before the first character belongs to it, or what is left would be no JSON.
    const short = at === 0 || '/"\\'.includes(secret.charAt(at)) ? `(?:${BACKSLASHES})?` : ''
    return `(?:${short}\\u${code}|${BACKSLASHES}u${hex})`
  }).join('')
}

/** Removes anything that looks like a key: a gateway may echo one, and messages go into rows. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/\bsk-ant-[\w-]+/g, 'sk-ant-***').replaceAll(/\b(bearer) \S+/gi, '$1 ***')
}
