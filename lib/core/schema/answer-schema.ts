import { assertSync, isPromise } from '../assert-sync.ts'
import { wrongOption } from '../errors.ts'
import type { JsonSchema } from './load.ts'

/** A schema of a library that supports Standard JSON Schema: zod 4.2 and newer, ArkType, Valibot's `toStandardJsonSchema`. */
export interface StandardJsonSchema<Input = unknown, Output = unknown> {
  /** What the Standard Schema specification defines. */
  readonly '~standard': {
    /** The version of the specification. */
    readonly version: number
    /** The name of the schema library. */
    readonly vendor: string
    /** Its JSON Schema face. */
    readonly jsonSchema: {
      /** Returns the JSON Schema of what the schema accepts. */
      readonly input: (options: { readonly target: 'draft-2020-12' }) => Record<string, unknown>
    }
    /** If present, it validates after the JSON Schema, and its output is the value. It must be synchronous. */
    readonly validate?: ((value: unknown) => unknown) | undefined
    /** Compile time only: the types of the schema. */
    readonly types?:
      | {
          /** The type that the schema accepts. */
          readonly input: Input
          /** The type of the validated value. */
          readonly output: Output
        }
      | undefined
  }
}

/** The result of the SDK's `zodOutputFormat` and `jsonSchemaOutputFormat`. */
export interface ParseableFormat<Value = unknown> {
  /** The API's type of output formats. */
  readonly type: 'json_schema'
  /** The JSON Schema that is sent. */
  readonly schema: { readonly [key: string]: unknown }
  /** Turns the text of an answer into its value, or throws. */
  parse(content: string): Value
}

/**
 * A schema for answers: a JSON Schema, a schema with Standard JSON Schema support (a zod 4 schema), or an output format of
 * the SDK.
 */
export type AnswerSchema = JsonSchema | StandardJsonSchema | ParseableFormat

/**
 * The type of complete answers: the type of the schema, or text without one. A JSON Schema whose type is only an object
 * gives `unknown`.
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

/** The type of a member of an object type that may be undefined; `unknown` if it has none. */
export type MemberOf<Types, Name extends string> =
  Exclude<Types, undefined> extends Readonly<Record<Name, infer Member>> ? Member : unknown

/** The normalized form of a schema of any kind. */
export interface AnswerShape {
  /** The JSON Schema that answers are validated against. */
  readonly schema: JsonSchema
  /** Whether `schema` is already in the form that the API accepts; otherwise it is transformed. */
  readonly isTransformed: boolean
  /** Turns an answer that is valid by the JSON Schema into its value. Throws an error that says why it is invalid. */
  readonly parse: ((value: unknown, text: string) => unknown) | undefined
}

/**
 * Normalizes a schema of any kind.
 *
 * @throws BatchStreamError `CBS_OPTION` if it is not a schema, with what to pass instead
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
      parse: (_value, text) => assertSync('parse', given.parse(text)),
    }
  }
  const prototype: unknown = Object.getPrototypeOf(given)
  // Also true for a plain object of another realm.
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null
  if (!isPlain) throw wrongOption('schema', WANTED, { class: given.constructor?.name })
  // It is an object and not an array.
  return { schema: given as JsonSchema, isTransformed: false, parse: undefined }
}

const WANTED =
  'a JSON Schema as an object, a schema with Standard JSON Schema support (zod 4.2 or newer), or the result of zodOutputFormat or jsonSchemaOutputFormat of @anthropic-ai/sdk'

function standardOf(given: unknown): AnswerShape | undefined {
  const isObject = typeof given === 'object' ? given !== null : typeof given === 'function'
  if (!isObject) return undefined
  // Any member of an object can be read.
  const { '~standard': standard } = given as Partial<StandardJsonSchema>
  if (standard === undefined) return undefined
  const { jsonSchema, validate, vendor }: Partial<typeof standard> = standard
  if (typeof jsonSchema?.input !== 'function')
    throw wrongOption(
      'schema',
      `one that can be converted to JSON Schema: this version of ${vendor} only validates. Upgrade it (zod 4.2 or newer), or pass zodOutputFormat(schema) of @anthropic-ai/sdk/helpers/zod`,
      { vendor },
    )
  if (validate && isPromise(tried(() => validate.call(standard, undefined))))
    throw wrongOption('schema', 'synchronous, but its validator returns a promise', { vendor })
  return {
    schema: jsonSchema.input({ target: 'draft-2020-12' }),
    isTransformed: false,
    parse: validate && (value => outputOf(validate.call(standard, value))),
  }
}

/** What a trial call returns. A validator may throw, which is the verdict on that value only. */
function tried(call: () => unknown): unknown {
  try {
    return call()
  } catch {
    return undefined
  }
}

/**
 * The output of a Standard Schema validator.
 * @throws Error that lists its issues
 */
function outputOf(verdict: unknown): unknown {
  // zod does so if a function of the schema throws, for this answer only.
  if (isPromise(verdict))
    throw new Error('the validator returned a promise: it throws for this answer, or is async')
  const given: StandardVerdict = Object(verdict)
  if (!given.issues) {
    if (!('value' in given)) throw new Error('the validator returned neither a value nor issues')
    return given.value
  }
  const [first] = given.issues
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
