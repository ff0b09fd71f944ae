import { secretForms } from '../core/without-keys.ts'

/**
 * Names of headers, and of members of JSON in them, that carry a secret: `authorization`, `x-api-key`, and those of gateways
 * (`x-portkey-api-key`, `helicone-auth`, `cf-access-jwt-assertion`, `cookie`).
 */
const SECRET_NAME =
  /(?:^|[-_.])(?:api-?key|key|token|secret|auth|authorization|pass(?:word|wd)?|credentials?|cookie|jwt|assertion|session(?:[-_]?id)?|sid|signature)$/i

/** The secrets in the headers of a request, in each form in which a reply may echo them. */
export function secretsIn(headers: Headers): string[] {
  const secrets = [...headers].flatMap(([name, value]) => [
    ...(SECRET_NAME.test(name) ? partsOf(value) : []),
    ...membersOf(value),
  ])
  return [...new Set(secrets.flatMap(secretForms))]
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
      if (typeof member === 'string' && SECRET_NAME.test(name)) secrets.push(member)
    })
  } catch {
    // Not JSON after all.
  }
  return secrets
}
