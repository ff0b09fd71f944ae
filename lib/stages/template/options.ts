import { BatchStreamError, wholeNumber, wrongOption } from '../../core/errors.ts'
import type { MessageParams, SourceRecord } from '../../core/flow.ts'
import type { Fields } from '../../core/jsonify.ts'
import { DEFAULT_MAX_TOKENS, DEFAULT_MODEL } from '../../core/limits.ts'
import type { AnswerSchema } from '../../core/schema/answer-schema.ts'
import { outputFormat, type OutputFormat } from '../../core/schema/output-format.ts'
import type { AttachOptions } from './attach.ts'
import { DEFAULT_META_FIELD, DEFAULT_RESPONSE_FIELD } from '../../core/answered.ts'
import { cachedPrefix } from './cache.ts'
import type { MostTokens } from './grow.ts'
import { compile, type Template } from './compile.ts'
import { said, sentences } from './fill-in.ts'
import { checkParams } from './params.ts'

/** A Messages request that may leave out what the options fill in: model, max_tokens and system. */
export type PartialParams = Partial<MessageParams> & Pick<MessageParams, 'messages'>

/** A value for every record, or a function of the record's fields that gives one. It must be pure and synchronous. */
export type PerRecord<F extends object, Value> =
  Value | ((fields: F, record: SourceRecord<F>) => Value)

/** `F` is the type of the records' fields, `S` that of the schema. */
export interface TemplateOptions<
  F extends object = Fields,
  S extends AnswerSchema | undefined = AnswerSchema | undefined,
> extends AttachOptions<F> {
  /**
   * What is asked: a template (`'Sentiment of: {{review}}'`), or a function of the record's fields that gives the text or
   * the params. The function must be pure, as it may be called more than once, and synchronous. A record whose prompt
   * contains `undefined`, `NaN` or `[object Object]`, where neither the record nor the function's own code does, is
   * rejected: a property that the function reads is missing. Without a prompt a record's own `params`, `messages` or
   * `prompt` is asked.
   */
  readonly prompt?:
    string | ((fields: F, record: SourceRecord<F>) => string | PartialParams) | undefined
  /** The system prompt, a template. One that renders empty is left out. */
  readonly system?: string | undefined
  /** The model's id, or a function that gives that of each record. @default 'claude-haiku-5-5', the cheapest current one */
  readonly model?: PerRecord<F, string> | undefined
  /** Answer tokens at most, at least 1, or a function that gives those of each record. @default 1024 */
  readonly maxTokens?: PerRecord<F, number> | undefined
  /** Any other parameter of the Messages API, for every request. It wins over `model`, `maxTokens` and `system`. */
  readonly params?:
    (Partial<Omit<MessageParams, 'messages'>> & Readonly<Record<string, unknown>>) | undefined
  /** The custom_id, a template; taken verbatim. @default made from the record's place in the job */
  readonly id?: string | undefined
  /** Values of `{{$key}}`. */
  readonly vars?: Readonly<Record<string, string>> | undefined
  /** Each record is a Messages request itself: `{"custom_id","params"}`, or bare params. @default false */
  readonly ready?: boolean | undefined
  /**
   * The field that the row's answer will have, or the fields of a row that spreads it. A record that has one of them is
   * rejected; false sends it.
   * @default 'response'
   */
  readonly responseField?: string | readonly string[] | false | undefined
  /** The field in which rows say what became of them. @default '_batch' */
  readonly metaField?: string | undefined
  /**
   * Send records that are failed rows of an earlier run, too. Without it a record whose meta field has a status other than
   * `succeeded` is not sent: its row passes through as it is, with the status `skipped`.
   * @default false
   */
  readonly askFailed?: boolean | undefined
  /**
   * What answers are to look like: a JSON Schema, a schema with Standard Schema's JSON Schema face (a zod 4 schema), or an
   * output format of the SDK. The API is asked for it (`output_config.format`), and `fetchResults` holds each answer to it.
   */
  readonly schema?: S | undefined
  /**
   * Set a one-hour breakpoint of the prompt cache at the end of what all requests share: the system prompt, else the tools.
   * A record that brings a system prompt of its own is asked without it.
   * @default false
   */
  readonly cache?: boolean | undefined
  /**
   * What the model answers at most, where `retry` asks again for answers that max_tokens has cut: up to that it is doubled.
   * @default none: it is never doubled
   */
  readonly mostTokens?: MostTokens | undefined
}

/** Options for records of any type: each function is called with what it was typed for. */
export type AnyTemplateOptions = TemplateOptions<never>

type RecordFunction<Value> = (fields: Fields, record: SourceRecord) => Value

/** What the user gave as a function of records. */
export interface RecordFunctions {
  readonly model?: RecordFunction<unknown>
  readonly maxTokens?: RecordFunction<unknown>
}

/** The options, checked and with their templates read. */
export interface TemplateSettings {
  readonly prompt: Template | RecordFunction<string | PartialParams> | undefined
  /** What is called for each record in place of a default. */
  readonly perRecord: RecordFunctions | undefined
  readonly system: Template | undefined
  readonly id: Template | undefined
  /** What every request has where its record says nothing else; already checked. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly ready: boolean
  readonly responseFields: readonly string[]
  readonly metaField: string
  readonly askFailed: boolean
  readonly format: OutputFormat | undefined
  readonly mostTokens: MostTokens | undefined
}

/**
 * Checks the options of `template` and reads its templates.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function settingsOf(given: AnyTemplateOptions): TemplateSettings {
  // Records of the type that its functions take reach it: the compiler has checked that where stages were joined.
  const options = given as TemplateOptions
  const { prompt, system, id, vars, ready = false } = options
  const { responseField = DEFAULT_RESPONSE_FIELD } = options
  if (prompt !== undefined && typeof prompt !== 'string' && typeof prompt !== 'function') {
    throw wrongOption('prompt', 'a template or a function', prompt)
  }
  if (prompt !== undefined && ready)
    throw wrongOption('ready', 'left out where a prompt is given', ready)
  const { model = DEFAULT_MODEL, maxTokens = DEFAULT_MAX_TOKENS } = options
  const isModel = typeof model === 'string' ? model !== '' : typeof model === 'function'
  if (!isModel) throw wrongOption('model', 'the id of a model', model)
  const systemTemplate = read('system', system, vars)
  // Where each record may say its own, the record's request is checked.
  const fixedTokens =
    typeof prompt === 'string' && typeof maxTokens === 'number' ? maxTokens : undefined
  const fixedModel = typeof model === 'string' ? model : undefined
  const defaults = {
    ...(typeof model === 'string' && { model }),
    ...(typeof maxTokens !== 'function' && {
      max_tokens: wholeNumber('maxTokens', maxTokens, 1, Infinity),
    }),
    ...said(checkedParams(options.params ?? {}, fixedModel, fixedTokens)),
  }
  const perRecord = {
    ...(typeof model === 'function' && { model }),
    ...(typeof maxTokens === 'function' && { maxTokens }),
  }
  return {
    prompt: typeof prompt === 'function' ? prompt : read('prompt', prompt, vars),
    perRecord: Object.keys(perRecord).length > 0 ? perRecord : undefined,
    system: systemTemplate,
    id: read('id', id, vars),
    defaults: options.cache ? cachedPrefix(defaults, systemTemplate) : defaults,
    ready,
    format: formatOf(options),
    mostTokens: options.mostTokens,
    responseFields: [responseField || []].flat(),
    metaField: options.metaField ?? DEFAULT_META_FIELD,
    askFailed: options.askFailed ?? false,
  }
}

function formatOf({ schema, params }: TemplateOptions): OutputFormat | undefined {
  if (schema === undefined) return undefined
  if (params?.output_config?.format)
    throw wrongOption('schema', 'left out where `params.output_config` has a format', schema)
  return outputFormat(schema)
}

function read(
  name: string,
  text: string | undefined,
  vars: TemplateOptions['vars'],
): Template | undefined {
  if (text === undefined) return undefined
  if (typeof text !== 'string') throw wrongOption(name, 'a template', text)
  return compile(text, { name, vars })
}

function checkedParams(
  params: Readonly<Record<string, unknown>>,
  model: string | undefined,
  maxTokens: number | undefined,
): Readonly<Record<string, unknown>> {
  if (typeof params !== 'object' || Array.isArray(params))
    throw wrongOption('params', 'an object', params)
  if (Object.hasOwn(params, 'messages')) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '`params.messages` is made from the prompt; leave it out, or give a prompt function that returns messages',
    )
  }
  const problems = checkParams({
    ...(model && { model }),
    ...(maxTokens && { max_tokens: maxTokens }),
    ...params,
  })
  if (problems.length === 0) return params
  throw new BatchStreamError(
    'CBS_OPTION',
    `\`params\` holds what the API refuses: ${sentences(problems)}`,
  )
}
