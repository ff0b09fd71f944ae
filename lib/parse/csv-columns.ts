import { BatchStreamError } from '../errors.ts'
import { SourceRecord } from '../flow.ts'
import type { RecordPlace } from './bad-record.ts'

/** The columns of a file: rows become objects of strings in their order. */
export class Columns {
  readonly #names: readonly string[]
  // Each name as it stands in the JSON of a row, serialised once.
  readonly #openings: readonly string[]
  readonly #proto: boolean

  constructor(names: readonly string[]) {
    this.#names = names
    this.#openings = names.map(
      (name, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`,
    )
    this.#proto = names.includes('__proto__')
  }

  get count(): number {
    return this.#names.length
  }

  /** A row with a value for each column, as a record. */
  record(row: readonly string[], place: RecordPlace): SourceRecord {
    const names = this.#names
    const fields: Record<string, string> = {}
    let json = ''
    for (let index = 0; index < names.length; index++) {
      // There are as many values as names, and the index stays below both.
      const value = row[index] as string
      json += `${this.#openings[index]}${NEEDS_ESCAPE.test(value) ? JSON.stringify(value) : `"${value}"`}`
      fields[names[index] as string] = value
    }
    // An assignment to `__proto__` would be lost; parsing makes a plain property of it.
    const parsed = this.#proto ? undefined : fields
    return new SourceRecord(Buffer.from(json + '}'), {
      line: place.line,
      source: place.source,
      fields: parsed,
    })
  }
}

/** The columns that a header names. Throws `CBS_INPUT` for names that are empty or stand there twice. */
export function headerColumns(header: readonly string[], place: RecordPlace): Columns {
  const faults = nameFaults(header)
  if (faults.length === 0) return new Columns(header)
  const message = `line ${place.line}: the CSV header ${faults.join('; ')}; give each column a name of its own`
  throw new BatchStreamError('CBS_INPUT', message, { place })
}

/** The columns of a file without header: column1, column2 and so on. */
export function numberedColumns(row: readonly string[]): Columns {
  return new Columns(row.map((_, index) => `column${index + 1}`))
}

/** What is wrong with column names, with their positions from 1. */
export function nameFaults(names: readonly string[]): string[] {
  const positions = new Map<string, number[]>()
  for (const [index, name] of names.entries())
    positions.set(name, [...(positions.get(name) ?? []), index + 1])
  const faults: string[] = []
  for (const [name, at] of positions) {
    if (name === '') faults.push(`has no name for column ${at.join(' and ')}`)
    else if (at.length > 1)
      faults.push(`names ${JSON.stringify(name)} as column ${at.join(' and ')}`)
  }
  return faults
}

// Most values need none, and then quotes around them are faster. Decoded UTF-8 holds no lone surrogates.
const NEEDS_ESCAPE = /["\\\u0000-\u001f]/
