import { isUtf8 } from 'node:buffer'
import type { FileMetaData, ParquetParsers, SchemaElement, SchemaTree } from 'hyparquet'
import { deeperThan, mayNestDeeper } from '../../core/json/depth.ts'
import { MAX_JSON_DEPTH } from '../../core/limits.ts'
import { dateText, intervalText, timestampText, timeText } from './parquet-time.ts'

/** A value of a column as JSON. */
export type JsonWriter = (value: unknown) => string

/** Digits of a fraction of a second. */
const DIGITS = { MILLIS: 3, MICROS: 6, NANOS: 9 } as const

/**
 * What the library makes of values: it would make dates of times, which lose digits, and drop invalid bytes of texts. Texts that
 * are not UTF-8 stay bytes.
 */
export const EXACT_PARSERS: Partial<ParquetParsers> = {
  timestampFromMilliseconds: count => timestampText(BigInt(count), DIGITS.MILLIS),
  timestampFromMicroseconds: count => timestampText(BigInt(count), DIGITS.MICROS),
  timestampFromNanoseconds: count => timestampText(BigInt(count), DIGITS.NANOS),
  dateFromDays: days => dateText(days),
  stringFromBytes: textOrBytes,
  jsonFromBytes: textOrBytes,
}

function textOrBytes(bytes: Uint8Array): string | Uint8Array {
  return isUtf8(bytes) ? bufferOf(bytes).toString('utf8') : bytes
}

/**
 * The schema without what makes the library change values: decimals would become doubles, and maps objects whose keys are not
 * text. Annotations that only the newer of the two places has are copied to the older one, which the library reads.
 */
export function exactSchema(metadata: FileMetaData): FileMetaData {
  return { ...metadata, schema: metadata.schema.map(exactElement) }
}

function exactElement(element: SchemaElement): SchemaElement {
  const { converted_type: converted, logical_type: logical, ...plain } = element
  if (logical?.type === 'VARIANT') return element
  switch (converted ?? logical?.type) {
    case 'LIST':
      return { ...plain, converted_type: 'LIST' }
    case 'MAP':
    case 'MAP_KEY_VALUE':
    case 'DECIMAL':
    case 'INTERVAL':
    case 'BSON':
      return plain
    default:
      return element
  }
}

/** Told of a text that is not UTF-8. */
export type OnInvalid = () => void

/** How values of a column become JSON. `node` is from the file's own schema. */
export function jsonWriter(node: SchemaTree, onInvalid: OnInvalid): JsonWriter {
  const one = valueWriter(node, onInvalid)
  const nullable: JsonWriter = value =>
    value === null || value === undefined ? 'null' : one(value)
  return node.element.repetition_type === 'REPEATED' ? listWriter(nullable) : nullable
}

function valueWriter(node: SchemaTree, onInvalid: OnInvalid): JsonWriter {
  const { children, element } = node
  if (element.logical_type?.type === 'VARIANT') return anyJson
  if (children.length === 0) return leafWriter(element, onInvalid)
  const kind = kindOf(element)
  const [only] = children
  if (kind === 'LIST' && only && children.length === 1) return listOf(only, onInvalid)
  const isMap = kind === 'MAP' || kind === 'MAP_KEY_VALUE'
  if (isMap && only?.children.length === 2) return mapOf(only, onInvalid)
  return structWriter(node, onInvalid)
}

function structWriter({ children }: SchemaTree, onInvalid: OnInvalid): JsonWriter {
  const members = children.map((child, index) => ({
    name: child.element.name,
    opening: `${index === 0 ? '{' : ','}${JSON.stringify(child.element.name)}:`,
    write: jsonWriter(child, onInvalid),
  }))
  return value => {
    let json = ''
    for (const { name, opening, write } of members) json += opening + write(memberOf(value, name))
    return `${json}}`
  }
}

/** The library unwraps a list whose repeated group has one member, or is the element itself. */
function listOf(repeated: SchemaTree, onInvalid: OnInvalid): JsonWriter {
  const [element] = repeated.children
  if (repeated.children.length > 1) {
    const write = jsonWriter(repeated, onInvalid)
    return value => write(memberOf(value, repeated.element.name))
  }
  if (element) return listWriter(jsonWriter(element, onInvalid))
  return jsonWriter(repeated, onInvalid)
}

/** A map as an object; a key that is no text is written as its JSON. */
function mapOf(pairs: SchemaTree, onInvalid: OnInvalid): JsonWriter {
  // There are two.
  const [key, value] = pairs.children as [SchemaTree, SchemaTree]
  const keyJson = jsonWriter(key, onInvalid)
  const valueJson = jsonWriter(value, onInvalid)
  return map => {
    const members = listFrom(memberOf(map, pairs.element.name)).map(pair => {
      const name = keyJson(memberOf(pair, key.element.name))
      const quoted = name.startsWith('"') ? name : JSON.stringify(name)
      return `${quoted}:${valueJson(memberOf(pair, value.element.name))}`
    })
    return `{${members.join(',')}}`
  }
}

function listWriter(write: JsonWriter): JsonWriter {
  return value => `[${listFrom(value).map(write).join(',')}]`
}

function leafWriter(element: SchemaElement, onInvalid: OnInvalid): JsonWriter {
  const { type, logical_type: logical, scale = 0 } = element
  switch (kindOf(element)) {
    case 'DECIMAL': {
      const digits = logical?.type === 'DECIMAL' ? logical.scale : scale
      return value => decimalText(unscaled(value), digits)
    }
    case 'TIMESTAMP':
    case 'TIMESTAMP_MILLIS':
    case 'TIMESTAMP_MICROS': {
      const isLocal = logical?.type === 'TIMESTAMP' && !logical.isAdjustedToUTC
      return value => `"${String(value)}${isLocal ? '' : 'Z'}"`
    }
    case 'DATE':
      return value => `"${typeof value === 'number' ? dateText(value) : String(value)}"`
    case 'TIME':
    case 'TIME_MILLIS':
    case 'TIME_MICROS': {
      const old = element.converted_type === 'TIME_MILLIS' ? 'MILLIS' : 'MICROS'
      const digits = DIGITS[logical?.type === 'TIME' ? logical.unit : old]
      // hyparquet reads times as numbers or bigints.
      return value => `"${timeText(BigInt(value as number | bigint), digits)}"`
    }
    case 'INTERVAL':
      return value => JSON.stringify(intervalText(bufferOf(value)))
    case 'JSON':
      return value => {
        const text = typeof value === 'string' ? value : textOrBytes(bufferOf(value))
        return typeof text === 'string' ? embedded(text) : textJson(text, onInvalid)
      }
    case 'STRING':
    case 'UTF8':
    case 'ENUM':
      return value => textJson(value, onInvalid)
    case 'UINT_64':
      // hyparquet reads 64-bit integers as bigints.
      return value => BigInt.asUintN(64, value as bigint).toString()
    case 'INTEGER':
      if (logical?.type === 'INTEGER' && logical.bitWidth === 64 && !logical.isSigned)
        // hyparquet reads 64-bit integers as bigints.
        return value => BigInt.asUintN(64, value as bigint).toString()
      return anyJson
  }
  // hyparquet reads floats as numbers.
  return type === 'FLOAT' ? value => numberJson(value as number, shortFloat) : anyJson
}

function kindOf({ logical_type, converted_type }: SchemaElement): string | undefined {
  return logical_type?.type ?? converted_type
}

/** The JSON of a value that says itself what it is. Bytes are their text, or base64 where they are none. */
function anyJson(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return value.toString()
    case 'number':
      return numberJson(value, String)
    case 'string':
      return JSON.stringify(value)
    case 'boolean':
      return String(value)
  }
  if (value instanceof Uint8Array) {
    const text = textOrBytes(value)
    return JSON.stringify(typeof text === 'string' ? text : bufferOf(value).toString('base64'))
  }
  if (Array.isArray(value)) return `[${value.map(anyJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return 'null'
  const members = Object.entries(value).map(
    ([key, one]) => `${JSON.stringify(key)}:${anyJson(one)}`,
  )
  return `{${members.join(',')}}`
}

function textJson(value: unknown, onInvalid: OnInvalid): string {
  if (typeof value === 'string') return JSON.stringify(value)
  const text = textOrBytes(bufferOf(value))
  if (typeof text === 'string') return JSON.stringify(text)
  onInvalid()
  return JSON.stringify(bufferOf(value).toString('utf8'))
}

/** JSON of the file's own, on one line with its digits; as a text where it is invalid or too deep. */
function embedded(text: string): string {
  try {
    const value: unknown = JSON.parse(text)
    if (!mayNestDeeper(text, MAX_JSON_DEPTH - 2) || !deeperThan(value, MAX_JSON_DEPTH - 2))
      // Between values only, as texts have none of them unescaped.
      return text.replaceAll(/[\r\n\t]/g, ' ').trim()
  } catch {
    // It is kept as it is.
  }
  return JSON.stringify(text)
}

function numberJson(value: number, digits: (value: number) => string): string {
  if (!Number.isFinite(value)) return `"${value}"`
  return Object.is(value, -0) ? '-0' : digits(value)
}

/** The fewest digits that give the same 32-bit number. */
function shortFloat(value: number): string {
  let digits = 6
  // Nine always do.
  while (digits < 9 && Math.fround(Number(value.toPrecision(digits))) !== value) digits++
  return String(Number(value.toPrecision(digits)))
}

/** The whole number that a decimal is stored as. */
function unscaled(value: unknown): bigint {
  if (!(value instanceof Uint8Array)) return BigInt(value as number | bigint)
  const hex = bufferOf(value).toString('hex')
  return hex === '' ? 0n : BigInt.asIntN(hex.length * 4, BigInt(`0x${hex}`))
}

/** A decimal as a JSON number with all its digits: 1250 with a scale of 2 is 12.50. */
export function decimalText(value: bigint, scale: number): string {
  if (scale <= 0) return (value * 10n ** BigInt(-scale)).toString()
  const sign = value < 0n ? '-' : ''
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  return `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

function bufferOf(value: unknown): Buffer {
  // Only columns of bytes come here.
  const { buffer, byteOffset, byteLength } = value as Uint8Array
  return Buffer.from(buffer, byteOffset, byteLength)
}

function listFrom(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  // The reader returns lists of numbers as typed arrays, which are iterable.
  return ArrayBuffer.isView(value) ? [...(value as ArrayBufferView & Iterable<unknown>)] : []
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
