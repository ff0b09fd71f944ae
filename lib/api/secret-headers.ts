import { secretForms } from '../core/without-keys.ts'

/**
 * Names of headers, and of members of JSON in them, that carry a secret: `authorization`, `x-api-key`, and those of gateways
 * (`x-portkey-api-key`, `helicone-auth`, `cf-access-jwt-assertion`, `x-bf-vk`, `cookie`).
 */
const SECRET_NAME =
  /(?:^|[-_.])(?:api-?key|key|vk|token|secret|auth|auth[nz]|authorization|authentication|pass(?:word|wd|phrase|code)?|pwd|pin|pat|access-?code|credentials?|cookie|jwt|assertion|session(?:[-_]?id)?|sid|signature|hmac)$/i

/**
 * A value that looks like a secret, whatever the name of its header: one word with letters and digits that is no URL, no model and no
 * JSON. What is only a word would be cut from every text of the API.
 */
const SECRET_VALUE = /^(?!claude-|\w+:\/\/|[[{])(?=.*[a-z])(?=.*\d)\S{16,}$/i

/** Headers of the SDK, of HTTP and of tracing, whose values are no secrets. */
const PLAIN_NAME =
  /^(?:accept|content|anthropic|x-stainless|user)-|^(?:accept|cache-control|connection|host|traceparent)$|-(?:request|correlation|trace|span)-?id$/i

/** The secrets in the headers of a request, in each form in which a reply may echo them. */
export function secretsIn(headers: Iterable<readonly [name: string, value: string]>): string[] {
  const secrets = [...headers].flatMap(([name, value]) => [
    ...(isSecret(name, value) ? partsOf(value) : []),
    ...membersOf(value),
  ])
  return [...new Set(secrets.flatMap(secretForms))]
}

function isSecret(name: string, value: string): boolean {
  return SECRET_NAME.test(name) || (!PLAIN_NAME.test(name) && SECRET_VALUE.test(value))
}

/** Headers of the SDK and of HTTP that say nothing of an account. */
const TECHNICAL_NAME =
  /^(?:x-stainless-.*|accept(?:-encoding|-language)?|content-(?:encoding|length|type)|anthropic-(?:beta|dangerous-direct-browser-access|version)|cache-control|connection|host|user-agent)$/i

/** Headers that are new for each session or request. */
const CHANGING_NAME =
  /^(?:baggage|date|traceparent|tracestate)$|^x-b3-|idempotency|nonce|timestamp|(?:^|[-_.])(?:assertion|hmac|jwt|sid|signature)$|(?:^|[-_.])(?:build|correlation|invocation|job|request|run|session|span|trace)(?:[-_]?id)?$/i

/**
 * The headers of a request that decide whose account it uses: the key or the token, the workspace, and the user's own, such as the
 * virtual key or the configuration of a gateway. Those that are new for each session or request do not count.
 */
export function accountIn(headers: Iterable<readonly [name: string, value: string]>): string[] {
  return [...headers]
    .filter(([name]) => !TECHNICAL_NAME.test(name) && !CHANGING_NAME.test(name))
    .map(([name, value]) => `${name}: ${value}`)
    .sort()
}

/** A value, and its parts that are secrets: what follows the scheme, the values of cookies, and the password of Basic. */
function partsOf(value: string): string[] {
  const [, scheme = '', rest = value] = /^(\S+) (.*)$/.exec(value) ?? []
  const pairs = value.split(/[;,]\s*/).map(pair => pair.slice(pair.indexOf('=') + 1))
  if (scheme.toLowerCase() !== 'basic') return [value, rest, ...pairs]
  const login = Buffer.from(rest, 'base64').toString()
  return [value, rest, login, login.slice(login.indexOf(':') + 1)]
}

/** The secrets in JSON, which some gateways take as a header. */
function membersOf(value: string): string[] {
  if (!value.startsWith('{')) return []
  const secrets: string[] = []
  try {
    JSON.parse(value, (name: string, member: unknown) => {
      if (typeof member === 'string' && isSecret(name, member)) secrets.push(member)
    })
  } catch {
    // Not JSON after all.
  }
  return secrets
}
