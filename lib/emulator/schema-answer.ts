import { hash } from 'node:crypto'

type Schema = Readonly<Record<string, unknown>>

/** Depth at which references are cut. The API allows no recursive schema, but a test may send one. */
const DEEPEST = 8

/**
 * A value that conforms to a JSON Schema, deterministic for a schema and seed. Keywords that the API does not support are
 * ignored.
 */
export function valueFor(schema: unknown, seed: string): unknown {
  return new Filler(schema, seed).value(schema, '', 0)
}

class Filler {
  readonly #root: unknown
  readonly #seed: string

  constructor(root: unknown, seed: string) {
    this.#root = root
    this.#seed = seed
  }

  value(given: unknown, at: string, depth: number): unknown {
    const schema = this.#resolve(given)
    if ('const' in schema) return schema['const']
    if (Array.isArray(schema['enum'])) return this.#pick(schema['enum'], at)
    const choices = schema['anyOf'] ?? schema['oneOf']
    if (Array.isArray(choices))
      return this.value(depth < DEEPEST ? this.#pick(choices, at) : choices.at(-1), at, depth + 1)
    if (Array.isArray(schema['allOf'])) {
      const parts = schema['allOf'].map((part: unknown) => this.#resolve(part))
      return this.value({ ...schema, allOf: undefined, ...mergeAll(parts) }, at, depth + 1)
    }
    switch (typeOf(schema)) {
      case 'object':
        return this.#object(schema, at, depth)
      case 'array':
        return this.#array(schema, at, depth)
      case 'string':
        return this.#string(schema, at)
      case 'integer':
        return this.#number(schema, at, 1)
      case 'number':
        return this.#number(schema, at, 0.5)
      case 'boolean':
        return this.#dice(at) % 2 === 0
      default:
        return null
    }
  }

  #object(schema: Schema, at: string, depth: number): object {
    // Object.fromEntries treats `__proto__` as a plain name.
    const required = Array.isArray(schema['required']) ? schema['required'] : []
    const all = Object.entries(asSchema(schema['properties']))
    const wanted = depth < DEEPEST ? all : all.filter(([name]) => required.includes(name))
    return Object.fromEntries(
      wanted.map(([name, inner]) => [name, this.value(inner, `${at}.${name}`, depth + 1)]),
    )
  }

  #array(schema: Schema, at: string, depth: number): unknown[] {
    const least = numberOf(schema['minItems']) ?? 0
    const most = numberOf(schema['maxItems']) ?? Infinity
    const wished = depth < DEEPEST && schema['items'] !== undefined ? 1 + (this.#dice(at) % 2) : 0
    const length = Math.min(Math.max(wished, least), most)
    return Array.from({ length }, (_, i) => this.value(schema['items'], `${at}.${i}`, depth + 1))
  }

  #string(schema: Schema, at: string): string {
    const digits = this.#hash(at)
    const formatted = FORMATS.get(schema['format'])
    if (formatted !== undefined) return formatted
    const least = numberOf(schema['minLength']) ?? 0
    const most = numberOf(schema['maxLength']) ?? Infinity
    return `text ${digits.slice(0, 8)}`.padEnd(least, digits).slice(0, most)
  }

  #number(schema: Schema, at: string, step: number): number {
    const multiple = numberOf(schema['multipleOf']) ?? step
    const above = numberOf(schema['exclusiveMinimum'])
    const below = numberOf(schema['exclusiveMaximum'])
    const least =
      numberOf(schema['minimum']) ?? (above === undefined ? undefined : above + multiple)
    const most = numberOf(schema['maximum']) ?? (below === undefined ? undefined : below - multiple)
    const from = least ?? (most === undefined ? 0 : Math.min(0, most))
    const first = Math.ceil(from / multiple)
    const room = Math.max(0, Math.min(100, Math.floor((most ?? Infinity) / multiple) - first))
    return (first + (this.#dice(at) % (room + 1))) * multiple
  }

  #pick(choices: readonly unknown[], at: string): unknown {
    return choices[this.#dice(at) % choices.length]
  }

  #dice(at: string): number {
    return parseInt(this.#hash(at).slice(0, 8), 16)
  }

  #hash(at: string): string {
    return hash('sha256', `${this.#seed}\n${at}`)
  }

  /** Resolves `#/$defs/...`. */
  #resolve(given: unknown): Schema {
    let schema = asSchema(given)
    for (let i = 0; i < DEEPEST && typeof schema['$ref'] === 'string'; i++) {
      let found: unknown = this.#root
      for (const step of schema['$ref'].split('/').slice(1)) found = asSchema(found)[step]
      schema = asSchema(found)
    }
    return schema
  }
}

const FORMATS: ReadonlyMap<unknown, string> = new Map(
  Object.entries({
    'date-time': '2026-11-20T12:00:00Z',
    date: '2026-11-20',
    time: '12:00:00Z',
    duration: 'P1D',
    email: 'someone@example.com',
    hostname: 'example.com',
    uri: 'https://example.com/',
    ipv4: '192.0.2.1',
    ipv6: '2001:db8::1',
    uuid: '123e4567-e89b-42d3-a456-426614174000',
  }),
)

function typeOf(schema: Schema): unknown {
  const type = schema['type']
  if (Array.isArray(type)) return type.find(one => one !== 'null') ?? 'null'
  return type ?? (schema['properties'] ? 'object' : schema['items'] ? 'array' : 'null')
}

function mergeAll(parts: readonly Schema[]): Schema {
  const properties = Object.assign({}, ...parts.map(part => asSchema(part['properties'])))
  return {
    ...Object.assign({}, ...parts),
    ...(Object.keys(properties).length > 0 ? { properties } : {}),
  }
}

function asSchema(value: unknown): Schema {
  // Any JSON object can be read as a schema; other values have no keywords.
  return typeof value === 'object' && value !== null ? (value as Schema) : {}
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}
