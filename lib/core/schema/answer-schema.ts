import { wrongOption } from '../errors.ts'
import type { JsonSchema } from './load.ts'

/** A schema of any library with Standard Schema's JSON Schema face: zod 4.2 and newer, ArkType, Valibot's `toStandardJsonSchema`. */
export interface StandardJsonSchema<Input = unknown, Output = unknown> {
  readonly '~standard': {
    readonly version: number
    readonly vendor: string
    readonly jsonSchema: {
      readonly input: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
    }
    /** Where it is there, it decides after the JSON Schema, and what it gives is the value. It must be synchronous. */
    readonly validate?: ((value: unknown) => unknown) | undefined
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What the SDK's `zodOutputFormat` and `jsonSchemaOutputFormat` give. */
export interface ParseableFormat<Value = unknown> {
  readonly type: 'json_schema'
  readonly schema: { readonly [key: string]: unknown }
  parse(content: string): Value
}

/**
 * What says how answers look: a JSON Schema, a schema with Standard Schema's JSON Schema face (a zod 4 schema), or an output
 * format of the SDK.
 */
export type AnswerSchema = JsonSchema | StandardJsonSchema | ParseableFormat

/**
 * The type of full answers: that of the schema, texts without one. A JSON Schema that is no more than an object says nothing to
 * the compiler, so its answers are `unknown`.
 */
export type AnswerOf<S> = [S] extends [undefined]
  ? string
  : S extends { readonly '~standard': { readonly types?: infer Types } }
    ? S extends { readonly '~standard': { readonly validate: unknown } }
      ? MemberOf<Types, 'output'>
      : MemberOf<Types, 'input'>
    : S extends ParseableFormat<infer Value>
      ? Value
      : unknown

export type MemberOf<Types, Name extends string> =
  Exclude<Types, undefined> extends Readonly<Record<Name, infer Member>> ? Member : unknown

/** What a schema is made of, whichever kind it is. */
export interface AnswerShape {
  /** What answers are held to. */
  readonly schema: JsonSchema
  /** Whether `schema` is what the API takes already; another one has to be transformed. */
  readonly isTransformed: boolean
  /** Makes the value of an answer that the JSON Schema allows. Throws an error that says why it is none. */
  readonly parse: ((value: unknown, text: string) => unknown) | undefined
}

/**
 * Reads a schema of any kind.
 *
 * @throws BatchStreamError `CBS_OPTION` for what is none, with what to give instead
 */
export function shapeOf(given: unknown): AnswerShape {
  const standard = standardOf(given)
  if (standard) return standard
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw wrongOption('schema', WANTED, given)
  if (isFormat(given)) {
    return {
      schema: given.schema,
      isTransformed: true,
      parse: (_value, text) => given.parse(text),
    }
  }
  const prototype: unknown = Object.getPrototypeOf(given)
  // Also an object of another realm, whose prototype is that realm's own.
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null
  if (!isPlain) throw wrongOption('schema', WANTED, { class: given.constructor?.name })
  // It is an object and no list.
  return { schema: given as JsonSchema, isTransformed: false, parse: undefined }
}

const WANTED =
  'a JSON Schema as an object, a schema with Standard Schema’s JSON Schema face (zod 4.2 or newer), or what zodOutputFormat and jsonSchemaOutputFormat of @anthropic-ai/sdk give'

function standardOf(given: unknown): AnswerShape | undefined {
  const isObject = typeof given === 'object' ? given !== null : typeof given === 'function'
  if (!isObject) return undefined
  const { '~standard': standard } = given as Partial<StandardJsonSchema>
  if (standard === undefined) return undefined
  const { jsonSchema, validate, vendor }: Partial<typeof standard> = standard
  if (typeof jsonSchema?.input !== 'function')
    throw wrongOption(
      'schema',
      `one that can be written as JSON Schema: this version of ${vendor} validates only. Upgrade it (zod 4.2 or newer), or pass zodOutputFormat(schema) of @anthropic-ai/sdk/helpers/zod`,
      { vendor },
    )
  if (validate && isThenable(validate.call(standard, undefined)))
    throw wrongOption('schema', 'synchronous: this one validates with a promise', { vendor })
  return {
    schema: jsonSchema.input({ target: 'draft-2020-12' }),
    isTransformed: false,
    parse: validate && (value => outputOf(validate.call(standard, value))),
  }
}

/** What a validator of Standard Schema says: a value, or issues. */
function outputOf(verdict: unknown): unknown {
  const { issues, value }: StandardVerdict = Object(verdict)
  if (!issues) return value
  const [first] = issues
  const at = (first?.path ?? []).map(part => String(Object(part).key ?? part)).join('/')
  throw new Error(`${at === '' ? 'it' : `/${at}`}: ${first?.message}`)
}

interface StandardVerdict {
  readonly value?: unknown
  readonly issues?: readonly {
    readonly message: string
    readonly path?: readonly unknown[] | undefined
  }[]
}

function isFormat(given: object): given is ParseableFormat {
  const { type, schema, parse }: Partial<ParseableFormat> = given
  return type === 'json_schema' && typeof schema === 'object' && typeof parse === 'function'
}

function isThenable(value: unknown): boolean {
  return typeof Object(value).then === 'function'
}
