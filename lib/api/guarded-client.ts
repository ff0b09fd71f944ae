import type Anthropic from '@anthropic-ai/sdk'
import type { ClientOptions } from '@anthropic-ai/sdk'
import type { AnthropicClient } from './client.ts'
import { MAX_REPLY_BYTES } from '../core/limits.ts'
import { isUndecodable, MalformedReply } from './sdk-error.ts'
import { shorten, withoutKeys } from '../core/without-keys.ts'
import { leanFetch, mayReplaceFetch } from './transport.ts'

type Fetch = NonNullable<ClientOptions['fetch']>

/** Clients behind the boundary, and the user's client in front of it. */
const guarded = new WeakMap<object, Anthropic>()

/**
 * The user's client behind the one boundary that everything from the API passes. Each request goes to the base URL's origin
 * and follows no redirect. Each reply but a result set is read here, up to `MAX_REPLY_BYTES`, without the key that it was
 * asked with; what an error says is text, and short. A result set is a stream, which `stages/results` checks line by line.
 */
export function guardedClient(given: AnthropicClient): Anthropic {
  // Every 1.x client has the members that are called here, of whichever copy of the SDK it is.
  const client = given as Anthropic
  return guarded.has(client) ? client : withGuard(client, callerOf(client).fetch)
}

/** The same for creates and downloads: over a faster transport, unless the user has chosen how to call. */
export function bulkClient(client: Anthropic): Anthropic {
  const given = guarded.get(client) ?? client
  return mayReplaceFetch(callerOf(given)) ? withGuard(given, leanFetch) : guardedClient(client)
}

/** The SDK hides these from the compiler; every client has them. */
function callerOf(client: Anthropic): { readonly fetch: Fetch; readonly fetchOptions?: unknown } {
  return client as unknown as ReturnType<typeof callerOf>
}

function withGuard(client: Anthropic, fetch: Fetch): Anthropic {
  const copy: Anthropic = client.withOptions({
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers)
      checkOrigin(input, copy.baseURL)
      // A redirect would carry the key, and a body, to another host.
      const response = await fetch(input, { ...init, redirect: 'manual' })
      if (response.ok && headers.get('accept') === RESULT_SET) return response
      return await untilAborted(init?.signal, checkedReply(response, secretsIn(headers)))
    },
  })
  guarded.set(copy, client)
  return copy
}

/** What the SDK accepts where it asks for a result set. */
export const RESULT_SET = 'application/binary'

/** Where a request of the SDK goes: a URL or a text, never a Request of its own. */
function checkOrigin(input: Parameters<Fetch>[0], baseURL: string): void {
  const url = new URL(String(input))
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:'
  if (!isHttp || url.origin !== new URL(baseURL).origin || url.username || url.password)
    throw new MalformedReply(
      `refused to send a request to ${url.origin}, which is not the base URL's`,
    )
}

/** A shorter secret could be a part of any word. */
const MIN_SECRET = 8

/** The key that a request carries, as it may be echoed. */
function secretsIn(headers: Headers): string[] {
  const token = headers.get('authorization')?.replace(/^\S+ /, '')
  return [headers.get('x-api-key'), token].flatMap(secret =>
    secret && secret.length >= MIN_SECRET ? [secret, encodeURIComponent(secret)] : [],
  )
}

/** Not every fetch ends a body when its call is aborted, and the SDK keeps its timer until the reply is here. */
function untilAborted<T>(signal: AbortSignal | null | undefined, work: Promise<T>): Promise<T> {
  if (!signal) return work
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop)
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

async function checkedReply(response: Response, secrets: readonly string[]): Promise<Response> {
  const { status, statusText } = response
  const clean = (text: string): string =>
    secrets.reduce((rest, secret) => rest.replaceAll(secret, '***'), text)
  const headers = new Headers(response.headers)
  for (const [name, value] of response.headers) headers.set(name, clean(value))
  // They describe the bytes that came, not the text that is handed on.
  headers.delete('content-encoding')
  headers.delete('content-length')
  const text = await textOf(response)
  const body = response.ok ? cleanJson(text, clean) : errorBody(text, clean)
  // These statuses allow no body.
  const isBare = status === 204 || status === 205 || status === 304
  return new Response(isBare ? null : body, { status, statusText, headers })
}

/** The text of a reply. What is too long is cut, and what cannot be decoded is empty: neither is JSON then. */
async function textOf({ body }: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  try {
    // Any fetch gives a body that can be iterated, which the compiler does not know of all of them.
    for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
      parts.push(part)
      size += part.length
      if (size > MAX_REPLY_BYTES) break
    }
  } catch (cause) {
    if (!isUndecodable(cause)) throw cause
    return ''
  }
  return Buffer.concat(parts).toString('utf8')
}

/** JSON whose strings are clean; the text itself, cut short, where it is none or nests too deep. */
function cleanJson(text: string, clean: (text: string) => string): string {
  try {
    return JSON.stringify(
      JSON.parse(text, (_, value: unknown) => (typeof value === 'string' ? clean(value) : value)),
    )
  } catch {
    return shorten(clean(text))
  }
}

/** An error as the API describes them, with the types it promises and no more than its message needs; another text as it is. */
function errorBody(text: string, clean: (text: string) => string): string {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    body = undefined
  }
  const tidy = (value: unknown): string | undefined => {
    const said = textOfValue(value)
    return said === undefined ? undefined : shorten(withoutKeys(clean(said)))
  }
  // Each member is read with care: `Object` makes an object without members of what is none.
  const { error, request_id } = Object(body)
  if (typeof error !== 'object' || error === null) return shorten(withoutKeys(clean(text)))
  const code: unknown = Object(error.details).error_code
  const details = typeof code === 'string' ? { error_code: shorten(clean(code)) } : undefined
  const cleaned = { type: tidy(error.type), message: tidy(error.message), details }
  return JSON.stringify({ type: 'error', error: cleaned, request_id: tidy(request_id) })
}

function textOfValue(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value
  try {
    return JSON.stringify(value)
  } catch {
    return 'a value that nests too deep'
  }
}
