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
  /^(?:accept|content|anthropic|x-stainless|user)-|^(?:accept|host|traceparent)$|-(?:request|correlation|trace|span)-?id$/i

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
