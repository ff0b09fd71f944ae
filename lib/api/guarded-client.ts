import type Anthropic from '@anthropic-ai/sdk'
import type { ClientOptions } from '@anthropic-ai/sdk'
import type { AnthropicClient } from './client.ts'
import { cacheIn } from './cache-headers.ts'
import { MAX_REPLY_BYTES } from '../core/limits.ts'
import { isUndecodable, MalformedReply } from './sdk-error.ts'
import { shorten, withoutKeys, withoutSecrets } from '../core/without-keys.ts'
import { accountIn, secretsIn } from './secret-headers.ts'
import { leanFetch, mayReplaceFetch } from './transport.ts'

type ClientFetch = NonNullable<ClientOptions['fetch']>

/** What is known about a guarded client. */
interface Guard {
  /** Whether its requests go over this package's own transport. */
  readonly isLean: boolean
  readonly account: Account
}

/** The headers that decide whose account a client uses, as in its first request; empty before that. */
interface Account {
  headers: readonly string[]
}

/** By the guarded copies. */
const guards = new WeakMap<object, Guard>()

/** The accounts of users' clients, by these: a client may renew its token, and each copy of it is the same account. */
const accounts = new WeakMap<object, Account>()

/**
 * Guards the user's client: every request and reply passes here. Requests go to the base URL's origin only and follow no
 * redirect. Replies other than result sets are read up to `MAX_REPLY_BYTES`, and the key is removed from them; error
 * messages become short strings. A result set stays the reply that came: `Api.download` cleans its headers, and `stages/results`
 * checks its lines. Unless the user has chosen a transport, requests go over `leanFetch`.
 */
export function guardedClient(given: AnthropicClient): Anthropic {
  // Every 1.x client has the members that are called here, whichever copy of the SDK made it.
  const client = given as Anthropic
  if (guards.has(client)) return client
  const caller = callerOf(client)
  const isLean = mayReplaceFetch(caller)
  const account = accounts.get(given) ?? { headers: [] }
  accounts.set(given, account)
  const guard = { isLean, account }
  const copy = withGuard(client, isLean ? leanFetch : caller.fetch, guard)
  guards.set(copy, guard)
  return copy
}

/** Whether a guarded client is done with each part of an upload when it requests the next one. */
export function isLean(client: Anthropic): boolean {
  return guards.get(client)?.isLean === true
}

/** The headers that decide whose account a guarded client uses, once it has made a request. A later token may be a renewed one. */
export function accountOf(client: Anthropic): readonly string[] {
  // `Api` has guarded it.
  return (guards.get(client) as Guard).account.headers
}

/** These members are private in the SDK's types, but every client has them. */
function callerOf(client: Anthropic): {
  readonly fetch: ClientFetch
  readonly fetchOptions?: unknown
} {
  return client as unknown as ReturnType<typeof callerOf>
}

function withGuard(client: Anthropic, fetch: ClientFetch, guard: Guard): Anthropic {
  const copy: Anthropic = client.withOptions({
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers)
      checkOrigin(input, copy.baseURL)
      const { account } = guard
      if (account.headers.length === 0) account.headers = accountIn(headers)
      // A redirect would carry the key, and a body, to another host.
      const response = await fetch(input, { ...init, redirect: 'manual' })
      const secrets = secretsIn(headers)
      if (response.ok && headers.get('accept') === RESULT_SET) {
        resultSecrets.set(response, secrets)
        return response
      }
      return await untilAborted(init?.signal, checkedReply(response, secrets))
    },
  })
  return copy
}

/** The SDK's `accept` header when it requests a result set. */
export const RESULT_SET = 'application/binary'

/** The SDK passes a URL or a string, never a Request. */
function checkOrigin(input: Parameters<ClientFetch>[0], baseURL: string): void {
  const url = new URL(String(input))
  const isHttp = url.protocol === 'https:' || url.protocol === 'http:'
  if (!isHttp || url.origin !== new URL(baseURL).origin || url.username || url.password)
    throw new MalformedReply(
      `refused to send a request to ${url.origin}, which is not the base URL's`,
    )
}

const resultSecrets = new WeakMap<Response, readonly string[]>()

/** The forms of the key that a result set may echo, by the reply that carries it. */
export function secretsOf(response: Response): readonly string[] {
  return resultSecrets.get(response) ?? []
}

/**
 * Rejects on abort. Not every fetch ends a body when its call is aborted, and the SDK's timer runs until the reply arrives.
 */
function untilAborted<T>(signal: AbortSignal | null | undefined, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal?.reason)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
    work.then(resolve, reject).finally(() => signal?.removeEventListener('abort', stop))
  })
}

/** The headers of a reply without the key, and without the time if it is a past one, since the reply came from a cache. */
export function cleanHeaders({ headers }: Response, secrets: readonly string[]): Headers {
  const clean = new Headers(headers)
  for (const [name, value] of headers) clean.set(name, withoutSecrets(value, secrets))
  if (cacheIn(clean) !== undefined) clean.delete('date')
  return clean
}

async function checkedReply(response: Response, secrets: readonly string[]): Promise<Response> {
  const { status, statusText } = response
  const clean = (text: string): string => withoutSecrets(text, secrets)
  const headers = cleanHeaders(response, secrets)
  // They describe the received bytes, not the text that is passed on.
  headers.delete('content-encoding')
  headers.delete('content-length')
  const text = await textOf(response)
  const body = response.ok ? cleanJson(text, clean) : errorBody(text, clean)
  // These statuses allow no body.
  const isBare = status === 204 || status === 205 || status === 304
  return new Response(isBare ? null : body, { status, statusText: clean(statusText), headers })
}

/**
 * The text of a reply. That of an error is cut if it is overlong, and an undecodable one is empty, so neither parses as JSON.
 * @throws MalformedReply if a reply that is no error is overlong
 */
async function textOf({ ok, body }: Response): Promise<string> {
  const parts: Uint8Array[] = []
  let size = 0
  try {
    // Any fetch returns an iterable body, but not all their types say so.
    for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
      parts.push(part)
      size += part.length
      if (size <= MAX_REPLY_BYTES) continue
      if (ok) throw new MalformedReply(`the reply is longer than ${MAX_REPLY_BYTES} bytes`)
      break
    }
  } catch (cause) {
    if (!isUndecodable(cause)) throw cause
    return ''
  }
  // It drops a byte order mark, which a proxy may have put before the text.
  return new TextDecoder().decode(Buffer.concat(parts))
}

/** JSON with cleaned strings. A text that is not JSON or nests too deep is cleaned and shortened. */
function cleanJson(text: string, clean: (text: string) => string): string {
  try {
    return JSON.stringify(
      JSON.parse(text, (_, value: unknown) => (typeof value === 'string' ? clean(value) : value)),
    )
  } catch {
    return shorten(clean(text))
  }
}

/** An error reduced to the members that the API documents, with the promised types. Any other text is shortened. */
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
  // `Object` turns a value that is not an object into an empty one, so each member can be read.
  const { type, error, request_id } = Object(body)
  if (typeof error !== 'object' || error === null) return shorten(withoutKeys(clean(text)))
  const code: unknown = Object(error.details).error_code
  const details = typeof code === 'string' ? { error_code: shorten(clean(code)) } : undefined
  const cleaned = { type: tidy(error.type), message: tidy(error.message), details }
  // Gateways have errors of their own without this type.
  const form = type === 'error' ? { type } : {}
  return JSON.stringify({ ...form, error: cleaned, request_id: tidy(request_id) })
}

function textOfValue(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'string') return value
  try {
    return JSON.stringify(value)
  } catch {
    return 'a value that nests too deeply'
  }
}
