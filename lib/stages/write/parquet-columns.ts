import type { SourceRecord } from '../../core/flow.ts'
import { textOf } from '../../core/field.ts'
import { members } from '../../core/json/scan.ts'
import type { Result } from '../../core/results/result.ts'
import { isUnsent } from '../../core/results/status.ts'
import { shapeOf, type AnswerSchema } from '../../core/schema/answer-schema.ts'
import { propertiesOfAnswer, responseJson, textOfJson } from './answer.ts'
import { errorCell } from './cells.ts'
import type { TableLayout } from './columns.ts'

/** The types of columns. Values of other types become text, nested ones JSON. */
export type ColumnKind = 'STRING' | 'INT64' | 'DOUBLE' | 'BOOLEAN'

/** A cell; null is empty. */
export type ParquetCell = string | bigint | number | boolean | null

/** The kinds of values in a column, as bits. */
const TEXT = 1
const BOOLEAN = 2
/** 64-bit integers that a double represents exactly, those that it does not, and other numbers that it represents exactly. */
const SMALL_INTEGER = 4
const LARGE_INTEGER = 8
const DOUBLE = 16
/** A number that neither type represents exactly. */
const OTHER_NUMBER = 32

/** Determines, for each field, the type that represents all its values exactly. */
export class FieldKinds {
  readonly #seen: Map<string, number> = new Map()

  add(record: SourceRecord): void {
    if (record.problem) return
    const { raw } = record
    for (const { key, valueStart, valueEnd } of members(raw)) {
      const kind = kindOfValue(raw, valueStart, valueEnd)
      if (kind !== 0) this.#seen.set(key, (this.#seen.get(key) ?? 0) | kind)
    }
  }

  of(field: string): ColumnKind {
    const seen = this.#seen.get(field) ?? TEXT
    if (seen === BOOLEAN) return 'BOOLEAN'
    if ((seen & ~(SMALL_INTEGER | LARGE_INTEGER)) === 0) return 'INT64'
    if ((seen & ~(SMALL_INTEGER | DOUBLE)) === 0) return 'DOUBLE'
    return 'STRING'
  }
}

function kindOfValue(json: Buffer, start: number, end: number): number {
  switch (json[start]) {
    case 0x6e: // null
      return 0
    case 0x74: // true
    case 0x66: // false
      return BOOLEAN
    case 0x22:
    case 0x5b:
    case 0x7b:
      return TEXT
    default:
      return kindOfNumber(json.toString('latin1', start, end))
  }
}

function kindOfNumber(text: string): number {
  if (/^(?:0|-?[1-9]\d{0,18})$/.test(text)) {
    const value = BigInt(text)
    if (BigInt.asIntN(64, value) === value)
      return BigInt(Number(value)) === value ? SMALL_INTEGER : LARGE_INTEGER
  }
  return isExactDouble(text) ? DOUBLE : OTHER_NUMBER
}

/** Whether the text of a number is the shortest one of its double, or short enough that a double preserves its digits. */
function isExactDouble(text: string): boolean {
  const value = Number(text)
  if (!Number.isFinite(value)) return false
  const [mantissa = ''] = text.toLowerCase().split('e')
  const digits = mantissa.replace(/[-.]/g, '').replace(/^0+/, '')
  return String(value) === text || (digits.length <= 15 && (value !== 0 || digits === ''))
}

/** A column of the file. */
export interface ParquetColumn {
  readonly name: string
  readonly kind: ColumnKind
  readonly cellOf: (result: Result) => ParquetCell
}

/** The columns of a file: those of a CSV table, typed. */
export function parquetColumns(
  columns: TableLayout,
  kinds: FieldKinds,
  schema: AnswerSchema | undefined,
): readonly ParquetColumn[] {
  const input = columns.input.map(name => {
    const kind = kinds.of(name)
    return { name, kind, cellOf: inputCell(name, kind) }
  })
  const answerOf = oncePerRow()
  const answers = answerColumns(columns.properties ?? [], columns.own, schema, answerOf)
  const responseOf = (result: Result): string | null =>
    ownResponse(result, columns) ?? response(result)
  const errorOf = (result: Result): string | null =>
    errorCell(result, columns) || withoutCell(result, answers, answerOf)
  return [
    ...input,
    ...(columns.properties ? answers : [textColumn(columns.own[0], responseOf)]),
    textColumn(columns.own.at(-2), result => result.status),
    textColumn(columns.own.at(-1), errorOf),
  ]
}

function textColumn(
  name: string | undefined,
  cellOf: (result: Result) => string | null,
): ParquetColumn {
  // Every table has its own columns.
  return { name: name as string, kind: 'STRING', cellOf }
}

function inputCell(name: string, kind: ColumnKind): (result: Result) => ParquetCell {
  return ({ record, customId }) => {
    if (!record) return name === 'custom_id' ? (customId ?? null) : null
    const value = Object.hasOwn(record.fields, name) ? record.fields[name] : null
    if (value === null || value === undefined) return null
    if (kind === 'STRING') return textOf(record, { path: [name], value })
    if (kind === 'INT64') return BigInt(textOf(record, { path: [name], value }))
    // All values of the column have this type.
    return value as number | boolean
  }
}

/** A record that was not sent keeps the response that it has. */
function ownResponse(
  { record, status }: Result,
  { own: [name = ''] }: TableLayout,
): string | undefined {
  if (!isUnsent(status) || !record || !Object.hasOwn(record.fields, name)) return undefined
  const value = record.fields[name]
  return value === null ? undefined : textOf(record, { path: [name], value })
}

function response(result: Result): string | null {
  if (!result.checked) return result.response
  const json = responseJson(result)
  return json === 'null' ? null : textOfJson(json)
}

/** A column for each property of the answers; their names are the first added columns. */
function answerColumns(
  properties: readonly string[],
  names: readonly string[],
  schema: AnswerSchema | undefined,
  answerOf: AnswerOf,
): readonly AnswerColumn[] {
  const types = schema && shapeOf(schema).schema['properties']
  return properties.map((property, index) => {
    const kind = kindOfSchema(memberOf(types, property))
    const fit = (result: Result): ParquetCell | undefined => {
      const json = answerOf(result).get(property) ?? 'null'
      return json === 'null' ? null : typedCell(json, kind)
    }
    // There are as many names as columns.
    const name = names[index] as string
    return { name, property, kind, fit, cellOf: result => fit(result) ?? null }
  })
}

/** A column of a property. */
interface AnswerColumn extends ParquetColumn {
  readonly property: string
  /** The cell; undefined if the type of the column does not hold the value. */
  readonly fit: (result: Result) => ParquetCell | undefined
}

/** The properties of an answer. */
type AnswerOf = typeof propertiesOfAnswer

/** The same, found once for all columns of a row. */
function oncePerRow(): AnswerOf {
  let last: Result | undefined
  let properties: ReturnType<AnswerOf> = new Map()
  return result => {
    if (result !== last) properties = propertiesOfAnswer((last = result))
    return properties
  }
}

/** The values of an answer for which its columns have no cell; null if there is none. */
function withoutCell(
  result: Result,
  columns: readonly AnswerColumn[],
  answerOf: AnswerOf,
): string | null {
  const misfits = columns.filter(({ fit }) => fit(result) === undefined)
  if (misfits.length === 0) return null
  const values = misfits.map(
    ({ property, kind }) =>
      `${JSON.stringify(property)}: ${answerOf(result).get(property)}, which ${kind} cannot hold`,
  )
  return `number_too_large: the answer has ${values.join('; ')}`
}

function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.hasOwn(value, name) ? Reflect.get(value, name) : undefined
}

function kindOfSchema(schema: unknown): ColumnKind {
  const types = [memberOf(schema, 'type')].flat().filter(type => type !== 'null')
  switch (types.length === 1 ? types[0] : undefined) {
    case 'integer':
      return 'INT64'
    case 'number':
      return 'DOUBLE'
    case 'boolean':
      return 'BOOLEAN'
    default:
      return 'STRING'
  }
}

/** The cell of a value, from its JSON; undefined if the type cannot hold it. A decimal is rounded to the nearest double. */
function typedCell(json: string, kind: ColumnKind): ParquetCell | undefined {
  if (kind === 'STRING') return textOfJson(json)
  // A valid answer has the type that its schema specifies.
  if (kind === 'BOOLEAN') return json === 'true'
  const number = Number(json)
  const integer = /^-?\d+$/.test(json) ? BigInt(json) : undefined
  if (kind === 'DOUBLE')
    return integer === undefined || BigInt(number) === integer ? number : undefined
  // 1e3 and 5.0 are integers, too.
  const whole = integer ?? BigInt(number)
  return BigInt.asIntN(64, whole) === whole ? whole : undefined
}
