import type { SourceRecord } from './flow.ts'
import { valueAt } from './json/find.ts'

/** A placeholder in a template. */
export interface Field {
  /** The name as written, trimmed; includes a trailing `?`. */
  readonly name: string
  /** The name without the `?` that makes a field optional. */
  readonly bare: string
  /** `bare` as a path: `a.b.0` is `['a', 'b', '0']`. */
  readonly path: readonly string[]
  readonly optional: boolean
  /** The position of its braces in the template, both from 1. */
  readonly line: number
  readonly column: number
}

/** A value in a record and its path. */
export interface FieldValue {
  readonly path: readonly string[]
  readonly value: unknown
}

/**
 * Looks up a template field in a record. A field with the whole name wins over a path, so a column `a.b` or `Is it good?`
 * is found by its name. Only own properties count: no prototype, no `length`.
 */
export function find(
  fields: Readonly<Record<string, unknown>>,
  field: Field,
): FieldValue | undefined {
  if (Object.hasOwn(fields, field.name)) return own(fields, field.name)
  if (field.optional && Object.hasOwn(fields, field.bare)) return own(fields, field.bare)
  let value: unknown = fields
  for (const step of field.path) {
    if (!has(value, step)) return undefined
    value = value[step]
  }
  return { path: field.path, value }
}

/**
 * A value as text: a string unchanged, anything else as its bytes in the record's JSON, so that a number keeps its digits
 * (12345678901234567890, 1.0) and an object its order.
 */
export function textOf(record: SourceRecord, found: FieldValue): string {
  if (typeof found.value === 'string') return found.value
  if (found.value === null || typeof found.value === 'boolean') return String(found.value)
  const range = valueAt(record.raw, found.path)
  // A record made by hand may have fields that its bytes lack.
  return range ? record.raw.toString('utf8', range.start, range.end) : JSON.stringify(found.value)
}

function own(fields: Readonly<Record<string, unknown>>, name: string): FieldValue {
  return { path: [name], value: fields[name] }
}

const INDEX = /^(?:0|[1-9]\d*)$/

function has(value: unknown, step: string): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false
  if (Array.isArray(value) && !INDEX.test(step)) return false
  return Object.hasOwn(value, step)
}
