/** Maximum characters of an API message that are kept. */
export const MAX_TEXT = 1000

/** Cuts an API message to a readable length. */
export function shorten(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text
}

/** A shorter secret could be part of any word. */
const MIN_SECRET = 8

/**
 * A secret in the forms in which a text may have it; `withoutSecrets` adds those whose characters are escaped. None for a secret
 * that is too short.
 */
export function secretForms(secret: string | null | undefined): readonly string[] {
  if (!secret || secret.length < MIN_SECRET) return []
  const base64 = base64Of(secret)
  const urlSafe = base64.map(digits => digits.replaceAll('+', '-').replaceAll('/', '_'))
  const bytes = Buffer.from(secret).toString('latin1')
  return [...new Set([secret, bytes, ...base64, ...urlSafe])]
}

/** What the base64 of any text with the secret contains: the digits that depend on the secret alone, for each of three offsets. */
function base64Of(secret: string): string[] {
  return [0, 1, 2].map(offset => {
    const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(secret)])
    const digits = bytes.toString('base64')
    return digits.slice(Math.ceil((offset * 8) / 6), Math.floor((bytes.length * 8) / 6))
  })
}

/** A text, and where each of its characters, and its end, is in the original text. */
interface Layer {
  readonly text: string
  readonly places: Uint32Array
}

/**
 * JSON inside a string of JSON is escaped more than once, so a whole row of backslashes is one escape. Markdown, regular expressions and
 * shells escape any punctuation.
 */
const BACKSLASH_ESCAPE = String.raw`\\+u([0-9a-fA-F]{4})|\\+([!-/:-@[\]^-\x60{-~])|\\+`
const PERCENT_ESCAPE = '%([0-9a-fA-F]{2})'
/** The characters with names are those that HTML or a template engine escapes. */
const NAMED: Readonly<Record<string, string>> = {
  ...{ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", sol: '/', bsol: '\\', grave: '`' },
  ...{ plus: '+', equals: '=', colon: ':', period: '.', lowbar: '_', hyphen: '-', dash: '-' },
}
const HTML_ESCAPE = `&(?:#0*(\\d{1,5})|#[xX]0*([0-9a-fA-F]{1,4})|(${Object.keys(NAMED).join('|')}));?`

const ESCAPES = new RegExp(`${BACKSLASH_ESCAPE}|${PERCENT_ESCAPE}|${HTML_ESCAPE}`, 'g')

/** How often a text may be percent-encoded or escaped for HTML. */
const MAX_LAYERS = 5

/**
 * Removes the given secrets, also if their characters are escaped as in JSON, Markdown, URLs or HTML, once or several times. It takes
 * linear time.
 */
export function withoutSecrets(text: string, secrets: readonly string[]): string {
  if (secrets.length === 0) return text
  if (!/[\\%&]/.test(text)) return secrets.reduce((rest, one) => rest.replaceAll(one, '***'), text)
  const forms = new Set(secrets.flatMap(decodedForms))
  return cut(
    text,
    layers(text).flatMap(layer => spansIn(layer, forms)),
  )
}

/** A secret may contain what looks like an escape: where the text around it was decoded, so was the secret. */
function decodedForms(secret: string): string[] {
  return layers(secret)
    .map(layer => layer.text)
    .filter(form => form.length >= MIN_SECRET)
}

/** A text, and what it is after each decoding. */
function layers(text: string): Layer[] {
  const places = Uint32Array.from({ length: text.length + 1 }, (_, at) => at)
  const all: Layer[] = []
  let layer: Layer | undefined = { text, places }
  while (layer && all.length <= MAX_LAYERS) {
    all.push(layer)
    layer = decoded(layer)
  }
  return all
}

type Span = readonly [start: number, end: number]

/** Where the secrets are, in the original text. */
function spansIn({ text, places }: Layer, secrets: ReadonlySet<string>): Span[] {
  const spans: Span[] = []
  for (const secret of secrets)
    for (let at = text.indexOf(secret); at !== -1; at = text.indexOf(secret, at + secret.length))
      // Both are in range.
      spans.push([places[at] as number, places[at + secret.length] as number])
  return spans
}

/** Decodes each escape once; undefined if there is none. */
function decoded({ text, places }: Layer): Layer | undefined {
  const parts: string[] = []
  const next = new Uint32Array(text.length + 1)
  let size = 0
  let from = 0
  const take = (end: number): void => {
    parts.push(text.slice(from, end))
    next.set(places.subarray(from, end), size)
    size += end - from
  }
  for (const match of text.matchAll(ESCAPES)) {
    const character = characterOf(match)
    if (character === match[0]) continue
    take(match.index)
    parts.push(character)
    // In range, as every match is.
    next[size++] = places[match.index] as number
    from = match.index + match[0].length
  }
  if (parts.length === 0) return undefined
  take(text.length)
  next[size] = places[text.length] as number
  return { text: parts.join(''), places: next }
}

/** The character that an escape stands for. */
function characterOf(match: RegExpMatchArray): string {
  const [, unicode, short, percent, decimal, hex, name] = match
  const digits = unicode ?? percent ?? hex
  if (digits !== undefined) return String.fromCharCode(parseInt(digits, 16))
  if (decimal !== undefined) return String.fromCharCode(Number(decimal))
  return short ?? (name === undefined ? '\\' : (NAMED[name] as string))
}

/** Replaces spans of a text, which may overlap. */
function cut(text: string, spans: Span[]): string {
  spans.sort(([a], [b]) => a - b)
  let rest = ''
  let from = 0
  for (const [start, end] of spans) {
    if (end <= from) continue
    // Backslashes before it would escape what takes its place.
    let until = Math.max(start, from)
    while (until > from && text[until - 1] === '\\') until -= 1
    if (start >= from) rest += `${text.slice(from, until)}***`
    from = end
  }
  return rest + text.slice(from)
}

/** Removes anything that looks like a key: a gateway may echo one, and messages go into rows. */
export function withoutKeys(text: string): string {
  return text.replaceAll(/\bsk-ant-[\w-]+/g, 'sk-ant-***').replaceAll(/\b(bearer) \S+/gi, '$1 ***')
}
