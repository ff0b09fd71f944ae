import type { Job } from '../../core/job/job.ts'
import { BatchStreamError, wholeNumber, wrongOption } from '../../core/errors.ts'
import type { MessageParams, SourceRecord } from '../../core/flow.ts'
import { DEFAULT_MAX_TOKENS, DEFAULT_MODEL } from '../../core/limits.ts'
import type { JsonSchema } from '../../core/schema/load.ts'
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

export interface TemplateOptions extends AttachOptions {
  /**
   * What is asked: a template (`'Sentiment of: {{review}}'`), or a function of the record's fields that gives the text or
   * the params. The function must be pure, as it may be called more than once, and synchronous. A record whose prompt
   * contains `undefined`, `NaN` or `[object Object]`, where neither the record nor the function's own code does, is
   * rejected: a property that the function reads is missing. Without a prompt a record's own `params`, `messages` or
   * `prompt` is asked.
   */
  readonly prompt?:
    | string
    | ((fields: Readonly<Record<string, unknown>>, record: SourceRecord) => string | PartialParams)
    | undefined
  /** The system prompt, a template. One that renders empty is left out. */
  readonly system?: string | undefined
  /** @default DEFAULT_MODEL, the cheapest current one */
  readonly model?: string | undefined
  /** Answer tokens at most, at least 1. @default 1024 */
  readonly maxTokens?: number | undefined
  /** Any other parameter of the Messages API, for every request. It wins over `model`, `maxTokens` and `system`. */
  readonly params?:
    (Partial<Omit<MessageParams, 'messages'>> & Readonly<Record<string, unknown>>) | undefined
  /** The custom_id, a template; taken verbatim. @default made from the record's place in the job */
  readonly id?: string | undefined
  /** Values of `{{$key}}`. */
  readonly vars?: Readonly<Record<string, string>> | undefined
  /** Each record is a Messages request itself: `{"custom_id","params"}`, or bare params. @default false */
  readonly ready?: boolean | undefined
  /** The field that the row's answer will have; false asks records that have it already. @default 'response' */
  readonly responseField?: string | false | undefined
  /** The field in which rows say what became of them. @default '_batch' */
  readonly metaField?: string | undefined
  /**
   * Send records that are failed rows of an earlier run, too. Without it a record whose meta field has a status other than
   * `succeeded` is not sent: its row passes through as it is, with the status `skipped`.
   * @default false
   */
  readonly askFailed?: boolean | undefined
  /**
   * A JSON Schema that answers are to have: `output_config.format`, transformed as the API needs it. Give it to
   * `fetchResults` too, which holds each answer to it.
   */
  readonly schema?: JsonSchema | undefined
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
  /** Taken as every stage takes it; nothing of a template is kept. */
  readonly job?: Job | undefined
}

/** The options, checked and with their templates read. */
export interface Settings {
  readonly prompt: Template | Exclude<TemplateOptions['prompt'], string | undefined> | undefined
  readonly system: Template | undefined
  readonly id: Template | undefined
  /** What every request has where its record says nothing else; already checked. */
  readonly defaults: Readonly<Record<string, unknown>>
  readonly ready: boolean
  readonly responseField: string | false
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
export function settingsOf(options: TemplateOptions): Settings {
  const { prompt, system, id, vars, ready = false } = options
  if (prompt !== undefined && typeof prompt !== 'string' && typeof prompt !== 'function') {
    throw wrongOption('prompt', 'a template or a function', prompt)
  }
  if (prompt !== undefined && ready)
    throw wrongOption('ready', 'left out where a prompt is given', ready)
  const { model = DEFAULT_MODEL, maxTokens = DEFAULT_MAX_TOKENS } = options
  if (typeof model !== 'string' || model === '')
    throw wrongOption('model', 'the id of a model', model)
  const systemTemplate = read('system', system, vars)
  // Where each record may say its own, the record's request is checked.
  const fixedTokens = typeof prompt === 'string' ? maxTokens : undefined
  const defaults = {
    model,
    max_tokens: wholeNumber('maxTokens', maxTokens, 1, Infinity),
    ...said(checkedParams(options.params ?? {}, model, fixedTokens)),
  }
  return {
    prompt: typeof prompt === 'function' ? prompt : read('prompt', prompt, vars),
    system: systemTemplate,
    id: read('id', id, vars),
    defaults: options.cache ? cachedPrefix(defaults, systemTemplate) : defaults,
    ready,
    format: formatOf(options),
    mostTokens: options.mostTokens,
    responseField: options.responseField ?? DEFAULT_RESPONSE_FIELD,
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
  model: string,
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
  const problems = checkParams({ model, ...(maxTokens && { max_tokens: maxTokens }), ...params })
  if (problems.length === 0) return params
  throw new BatchStreamError(
    'CBS_OPTION',
    `\`params\` holds what the API refuses: ${sentences(problems)}`,
  )
}
