import { lineOf } from '../../core/errors.ts'
import { SourceRecord, type UnreadRecord } from '../../core/flow.ts'
import type { RecordPlace } from './bad-record.ts'
import type { InputNote } from './note.ts'

/** Maximum renamed columns listed in a note; the others are counted. */
const LISTED_COLUMNS = 10

/** The columns of a file, which turn rows into objects of strings. */
export class Columns {
  readonly #names: readonly string[]
  // Each name serialised once, as it appears in the JSON of a row.
  readonly #openings: readonly string[]
  readonly #proto: boolean

  constructor(names: readonly string[]) {
    this.#names = names
    this.#openings = names.map(
      (name, index) => `${index === 0 ? '{' : ','}${JSON.stringify(name)}:`,
    )
    this.#proto = names.includes('__proto__')
  }

  get names(): readonly string[] {
    return this.#names
  }

  /** The JSON before the value of each column. */
  get openings(): readonly string[] {
    return this.#openings
  }

  get count(): number {
    return this.#names.length
  }

  /** A row with a value for each column, as a record. */
  record(row: readonly string[], place: RecordPlace): SourceRecord {
    return new SourceRecord(new Row(this, row), place)
  }

  /** A row as JSON, identical to JSON.stringify of its fields. */
  json(row: readonly string[]): string {
    let json = ''
    for (let index = 0; index < this.#openings.length; index++) {
      // There are as many values as names, and the index is below both.
      const value = row[index] as string
      json += `${this.#openings[index]}${NEEDS_ESCAPE.test(value) ? JSON.stringify(value) : `"${value}"`}`
    }
    return json + '}'
  }

  fields(row: readonly string[]): Readonly<Record<string, string>> {
    // Assigning `__proto__` would lose it; parsing makes it a plain property.
    if (this.#proto) return JSON.parse(this.json(row))
    const fields: Record<string, string> = {}
    for (const [index, name] of this.#names.entries()) fields[name] = row[index] as string
    return fields
  }
}

/** The values of a row until they are read. */
class Row implements UnreadRecord {
  readonly #columns: Columns
  readonly #values: readonly string[]

  constructor(columns: Columns, values: readonly string[]) {
    this.#columns = columns
    this.#values = values
  }

  raw(): Buffer {
    return Buffer.from(this.#columns.json(this.#values))
  }

  fields(): Readonly<Record<string, string>> {
    return this.#columns.fields(this.#values)
  }
}

/** The columns of a header, and a note if some were renamed. */
export function headerColumns(
  header: readonly string[],
  place: RecordPlace,
): { readonly columns: Columns; readonly note: InputNote | undefined } {
  const names = uniqueNames(header)
  const renamed = names.flatMap((name, index) =>
    name === header[index] ? [] : [`column ${index + 1} is called ${JSON.stringify(name)}`],
  )
  const columns = new Columns(names)
  if (renamed.length === 0) return { columns, note: undefined }
  const more = renamed.length - LISTED_COLUMNS
  const list = renamed.slice(0, LISTED_COLUMNS).join(', ') + (more > 0 ? ` and ${more} more` : '')
  const message = `${lineOf(place)}: the CSV header has unnamed or duplicate columns; ${list}`
  return { columns, note: { type: 'renamed_columns', message } }
}

/**
 * A unique name for each column: an unnamed column N is `columnN`, the second `a` is `a_2`. Names in the header are never
 * given to another column; the number is raised until it is free.
 */
function uniqueNames(header: readonly string[]): string[] {
  const taken = new Set(header)
  const given = new Set<string>()
  const counts = new Map<string, number>()
  return header.map((written, index) => {
    const base = written === '' ? `column${index + 1}` : written
    const isFree = written === '' ? !taken.has(base) : !given.has(base)
    let name = base
    if (!isFree) {
      let count = counts.get(base) ?? 1
      do name = `${base}_${++count}`
      while (taken.has(name))
      counts.set(base, count)
    }
    taken.add(name)
    given.add(name)
    return name
  })
}

/** The columns of a file without a header: column1, column2 and so on. */
export function numberedColumns(row: readonly string[]): Columns {
  return new Columns(row.map((_, index) => `column${index + 1}`))
}

/** The faults of column names in an option, with positions from 1. */
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

// Most values need none, and then adding quotes is faster. Decoded UTF-8 contains no lone surrogates.
const NEEDS_ESCAPE = /["\\\u0000-\u001f]/
