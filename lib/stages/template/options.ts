import { BatchStreamError, wholeNumber, wrongOption } from '../../core/errors.ts'
import type { MessageParams, SourceRecord } from '../../core/flow.ts'
import type { Fields } from '../../core/jsonify.ts'
import { DEFAULT_MAX_TOKENS, DEFAULT_MODEL } from '../../core/limits.ts'
import type { AnswerSchema } from '../../core/schema/answer-schema.ts'
import { outputFormat, type OutputFormat } from '../../core/schema/output-format.ts'
import type { AttachOptions } from './attach.ts'
import { DEFAULT_META_FIELD, DEFAULT_RESPONSE_FIELD } from '../../core/answered.ts'
import { cachedPrefix } from './cache.ts'
import type { MaxTokensLimit } from './max-tokens.ts'
import { compile, type Template } from './compile.ts'
import { checkParams, sentences, withoutNulls } from './params.ts'

/** A Messages request without what the options fill in: model, max_tokens and system. */
export type PartialParams = Partial<MessageParams> & Pick<MessageParams, 'messages'>

/** A value for every record, or a pure synchronous function of the record's fields. */
export type PerRecord<F extends object, Value> =
  Value | ((fields: F, record: SourceRecord<F>) => Value)

/** `F` is the type of record fields, `S` that of the schema. */
export interface TemplateOptions<
  F extends object = Fields,
  S extends AnswerSchema | undefined = AnswerSchema | undefined,
> extends AttachOptions<F> {
  /**
   * The prompt: a template (`'Sentiment of: {{review}}'`), or a function of the record's fields that returns the text or
   * params. The function must be pure, since it may be called more than once, and synchronous. If a prompt contains
   * `undefined`, `NaN` or `[object Object]` that neither the record nor the function's own code contains, the record is
   * rejected, since the function reads a missing property. Without a prompt, a record's own `params`, `messages` or
   * `prompt` is sent.
   * @default the record's own request
   */
  readonly prompt?:
    string | ((fields: F, record: SourceRecord<F>) => string | PartialParams) | undefined
  /**
   * The system prompt, a template. An empty result is left out.
   * @default none
   */
  readonly system?: string | undefined
  /**
   * The model's id, or a function of the record.
   * @default 'claude-haiku-5-5', the cheapest current one
   */
  readonly model?: PerRecord<F, string> | undefined
  /**
   * Maximum answer tokens, at least 1, or a function of the record.
   * @default 1024
   */
  readonly maxTokens?: PerRecord<F, number> | undefined
  /**
   * Other parameters of the Messages API, for every request. They win over `model`, `maxTokens` and `system`.
   * @default none
   */
  readonly params?:
    (Partial<Omit<MessageParams, 'messages'>> & Readonly<Record<string, unknown>>) | undefined
  /**
   * The custom_id, a template, used verbatim.
   * @default generated from the record's position in the job
   */
  readonly id?: string | undefined
  /**
   * Values of `{{$key}}`.
   * @default none
   */
  readonly vars?: Readonly<Record<string, string>> | undefined
  /**
   * Each record is a Messages request itself: `{"custom_id","params"}`, or bare params.
   * @default false
   */
  readonly ready?: boolean | undefined
  /**
   * The field of the row's answer, or the fields of a row that spreads it. A record with one of these fields is rejected;
   * false allows it.
   * @default 'response'
   */
  readonly responseField?: string | readonly string[] | false | undefined
  /**
   * The field of a row's status and metadata.
   * @default '_batch'
   */
  readonly metaField?: string | undefined
  /**
   * Also send records that are failed rows of an earlier run. By default a record whose meta field has a status other than
   * `succeeded` is not sent, and its row passes through with the status `skipped`.
   * @default false
   */
  readonly askFailed?: boolean | undefined
  /**
   * The schema of answers: a JSON Schema, a schema with Standard JSON Schema support (a zod 4 schema), or an output format
   * of the SDK. It is sent to the API (`output_config.format`), and `fetchResults` validates each answer against it.
   * @default none: answers are text
   */
  readonly schema?: S | undefined
  /**
   * Set a one-hour prompt cache breakpoint at the end of what all requests share: the system prompt, else the tools. A
   * record with its own system prompt is sent without it.
   * @default false
   */
  readonly cache?: boolean | undefined
  /**
   * The model's maximum answer tokens, for `retry` of answers that max_tokens truncated: max_tokens is doubled up to it.
   * @default none: it is never doubled
   */
  readonly maxTokensLimit?: MaxTokensLimit | undefined
}

/** Options for records of any type; the compiler has checked the functions against the records. */
export type AnyTemplateOptions = TemplateOptions<never>

type RecordFunction<Value> = (fields: Fields, record: SourceRecord) => Value

/** The functions of records in the options. */
export interface RecordFunctions {
  readonly model?: RecordFunction<unknown>
  readonly maxTokens?: RecordFunction<unknown>
}

/** The checked options with compiled templates. */
export interface TemplateSettings {
  readonly prompt: Template | RecordFunction<string | PartialParams> | undefined
  /** Functions of the record that replace defaults. */
  readonly perRecord: RecordFunctions | undefined
  readonly system: Template | undefined
  readonly id: Template | undefined
  /** The default params of every request; already checked. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly ready: boolean
  readonly responseFields: readonly string[]
  readonly metaField: string
  readonly askFailed: boolean
  readonly format: OutputFormat | undefined
  readonly maxTokensLimit: MaxTokensLimit | undefined
}

/**
 * Checks the options of `template` and compiles its templates.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export function settingsOf(given: AnyTemplateOptions): TemplateSettings {
  // The compiler checked the functions' record type where stages were joined.
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
  // If records may have their own, each request is checked.
  const fixedTokens =
    typeof prompt === 'string' && typeof maxTokens === 'number' ? maxTokens : undefined
  const fixedModel = typeof model === 'string' ? model : undefined
  const defaults = {
    ...(typeof model === 'string' && { model }),
    ...(typeof maxTokens !== 'function' && {
      max_tokens: wholeNumber('maxTokens', maxTokens, 1, Infinity),
    }),
    ...withoutNulls(checkedParams(options.params ?? {}, fixedModel, fixedTokens)),
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
    maxTokensLimit: options.maxTokensLimit,
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
      { option: 'params' },
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
    `\`params\` contains what the API rejects: ${sentences(problems)}`,
    { option: 'params' },
  )
}
