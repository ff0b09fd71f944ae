import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import {
  DEFAULT_BODY_BYTES,
  DEFAULT_MAX_TOKENS,
  DEFAULT_MODEL,
  DEFAULT_RECORD_BYTES,
  DEFAULT_REQUESTS,
  MAX_BODY_BYTES,
  MAX_REQUESTS,
} from '../core/limits.ts'
import { givenPrice } from '../cost/price.ts'
import { parseUsd } from '../cost/usd.ts'
import type { SizedShard } from '../core/shard.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import { DEFAULT_RESPONSE_FIELD } from '../core/answered.ts'
import type { JsonSchema } from '../core/schema/load.ts'
import { propertiesOf } from '../stages/write/csv.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { endIn } from './job-end/end-options.ts'
import { tableIn, type TableSettings } from './table-flags.ts'
import {
  countOrShare,
  duration,
  json,
  jsonIn,
  oneOf,
  pairs,
  size,
  textIn,
  whole,
  wrongFlag,
} from './values.ts'

const FROM = ['auto', 'csv', 'tsv', 'jsonl', 'json', 'text', 'files', 'requests'] as const

/** What decides a run's requests. It is kept with the job, so that going on needs none of these flags again. */
export interface Settings extends TableSettings {
  readonly input: readonly string[]
  readonly from: (typeof FROM)[number]
  readonly jsonPath?: string
  readonly limit?: number
  /** The part of the input that this worker takes. */
  readonly shard?: SizedShard
  readonly skip: number
  /** Records of a random sample, and what chooses them. */
  readonly sample?: number
  readonly seed?: string
  readonly maxInvalid: { readonly count: number } | { readonly share: number }
  readonly maxRecordBytes: number
  readonly prompt?: string
  readonly system?: string
  /** The path of a module. */
  readonly template?: string
  /** What the module said when the job was made: another text would ask other things. */
  readonly templateHash?: string
  /** Templates of paths. */
  readonly attach?: readonly string[]
  /** Where relative paths of attached files start; where no file is read, the folder decides nothing. */
  readonly filesDir?: string
  readonly vars: Readonly<Record<string, string>>
  readonly model: string
  readonly maxTokens: number
  readonly params: Readonly<Record<string, unknown>>
  readonly schema?: JsonSchema
  /** Whether properties of answers are fields of the row. */
  readonly spread?: true
  readonly cache?: true | 'prime'
  readonly id?: string
  readonly batchSize: number
  readonly batchBytes: number
  readonly batchWaitMs?: number
  readonly batchAgeMs?: number
  readonly dedupe?: boolean
  readonly canary?: number
  readonly retries: number
  readonly retryIncomplete?: true
  /** Whether failed rows of an earlier run are sent, too. */
  readonly askFailed?: true
  readonly responseField: string
  readonly metaField: string
  readonly baseUrl?: string
  /** What the whole job may cost in USD, and list prices, as --max-cost and --price have them. */
  readonly maxCost?: string
  readonly price?: string
  /** The command that is run, and the URL that is told, when a run of the job ends. */
  readonly onComplete?: string
  readonly notify?: string
  readonly workspace?: string
  readonly betas: readonly string[]
}

export async function settingsOf(flags: Flags, env: Io['env']): Promise<Settings> {
  const optional = <Value>(
    name: string,
    read: (flag: string, text: string) => Value,
  ): Value | undefined => {
    const text = flags.text(name)
    return text === undefined ? undefined : read(`--${name}`, text)
  }
  const settings = {
    input: flags.texts('input').length > 0 ? flags.texts('input') : ['-'],
    from: optional('from', (flag, text) => oneOf(flag, text, FROM)) ?? 'auto',
    ...tableIn(flags),
    jsonPath: flags.text('json-path'),
    limit: optional('limit', (flag, text) => whole(flag, text, 1)),
    skip: optional('skip', (flag, text) => whole(flag, text, 0)) ?? 0,
    sample: optional('sample', (flag, text) => whole(flag, text, 1)),
    seed: flags.text('seed'),
    maxInvalid: maxInvalidOf(flags) ?? { count: 1000 },
    maxRecordBytes:
      optional('max-record-bytes', (flag, text) => size(flag, text, 1)) ?? DEFAULT_RECORD_BYTES,
    prompt: await textOrFile(flags, 'prompt'),
    system: await textOrFile(flags, 'system'),
    ...(await moduleOf(flags)),
    ...attachmentsOf(flags),
    vars: pairs('--var', flags.texts('var')),
    model: optional('model', named) ?? (env['ANTHROPIC_MODEL'] || DEFAULT_MODEL),
    maxTokens: optional('max-tokens', (flag, text) => whole(flag, text, 1)) ?? DEFAULT_MAX_TOKENS,
    params: await paramsOf(flags),
    ...(await schemaOf(flags)),
    cache: cacheIn(flags),
    id: flags.text('id'),
    batchSize:
      optional('batch-size', (flag, text) => whole(flag, text, 1, MAX_REQUESTS)) ??
      DEFAULT_REQUESTS,
    batchBytes:
      optional('batch-bytes', (flag, text) => size(flag, text, 1, MAX_BODY_BYTES)) ??
      DEFAULT_BODY_BYTES,
    batchWaitMs: optional('batch-wait', (flag, text) => duration(flag, text, 1)),
    batchAgeMs: optional('batch-age', (flag, text) => duration(flag, text, 1)),
    dedupe: flags.has('dedupe') || undefined,
    canary: optional('canary', (flag, text) => whole(flag, text, 1)),
    retries: optional('retries', (flag, text) => whole(flag, text, 0, 1000)) ?? 2,
    retryIncomplete: flags.has('retry-incomplete') || undefined,
    askFailed: flags.has('ask-failed') || undefined,
    responseField: responseFieldIn(flags),
    metaField: flags.text('meta-field') ?? '_batch',
    baseUrl: flags.text('base-url') ?? (env['ANTHROPIC_BASE_URL'] || undefined),
    ...moneyIn(flags),
    ...endIn(flags),
    workspace: optional('workspace', headerWord),
    betas: flags.texts('beta').map(text => headerWord('--beta', text)),
  }
  if (settings.template !== undefined && settings.prompt !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--template and --prompt both say what to ask: give one of them',
    )
  }
  if (settings.from === 'requests' && (settings.template ?? settings.prompt) !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--from requests reads whole requests, which say what to ask: leave out --prompt and --template',
    )
  }
  if (settings.seed !== undefined && settings.sample === undefined)
    throw new BatchStreamError('CBS_OPTION', '--seed is the seed of --sample: give both')
  if (settings.sample !== undefined && settings.batchWaitMs !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--sample reads the whole input first; it does not go with --batch-wait, which is for input without an end',
    )
  }
  return withoutUndefined(settings)
}

/** What decides that a command is the same: how it is watched over and what it may cost does not. */
export function decidingSettings(settings: Settings): Partial<Settings> {
  const { maxInvalid: _, price: __, maxCost: ___, canary: ____, ...rest } = settings
  const { onComplete: _____, notify: ______, ...deciding } = rest
  return deciding
}

function attachmentsOf(flags: Flags): { attach?: readonly string[]; filesDir?: string } {
  const attach = flags.texts('attach')
  if (attach.length > 0) return { attach, filesDir: resolve('.') }
  return flags.text('from') === 'files' ? { filesDir: resolve('.') } : {}
}

export function maxInvalidOf(flags: Flags): Settings['maxInvalid'] | undefined {
  const text = flags.text('max-invalid')
  return text === undefined ? undefined : countOrShare('--max-invalid', text)
}

/** The cap and the price that flags give, checked; their texts are what the job keeps. */
export function moneyIn(flags: Flags): Pick<Settings, 'maxCost' | 'price'> {
  const price = flags.text('price')
  const maxCost = flags.text('max-cost')
  if (price !== undefined) givenPrice(price)
  if (maxCost !== undefined && !parseUsd(maxCost))
    throw wrongFlag('--max-cost', 'an amount in USD above 0, such as 12.50', maxCost)
  return { ...(maxCost !== undefined && { maxCost }), ...(price !== undefined && { price }) }
}

function named(flag: string, text: string): string {
  if (text.trim() !== '') return text
  throw wrongFlag(flag, 'a name', text)
}

/** What goes into a header may not break out of it. */
function headerWord(flag: string, text: string): string {
  if (/^[\w.,-]+$/.test(text)) return text
  throw wrongFlag(flag, 'letters, digits, ".", "_" and "-"', text)
}

/** The module of --template, by a path that holds in every folder, and its text. */
async function moduleOf(flags: Flags): Promise<{ template?: string; templateHash?: string }> {
  const path = flags.text('template')
  if (path === undefined) return {}
  const template = resolve(path)
  return { template, templateHash: await hashOfModule(template) }
}

export async function hashOfModule(path: string): Promise<string> {
  const text = await textIn('--template', path)
  return createHash('sha256').update(text).digest('hex')
}

async function textOrFile(flags: Flags, name: 'prompt' | 'system'): Promise<string | undefined> {
  const text = flags.text(name)
  const file = flags.text(`${name}-file`)
  if (text?.trim() === '') throw wrongFlag(`--${name}`, 'a text', text)
  if (file === undefined) return text
  if (text !== undefined)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--${name} and --${name}-file say the same: give one of them`,
    )
  // The newline that ends a text file is not part of the prompt.
  const read = (await textIn(`--${name}-file`, file)).replace(/\r?\n$/, '')
  if (read.trim() === '') throw wrongFlag(`--${name}-file`, 'a file that holds a text', file)
  return read
}

/** The schema of the answers, and whether rows have a field for each of its properties. */
async function schemaOf(flags: Flags): Promise<Pick<Settings, 'schema' | 'spread'>> {
  const given = flags.text('schema')
  const values = flags.text('enum')
  if (given !== undefined && values !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--schema and --enum both say what answers look like: give one of them',
    )
  }
  if (values !== undefined)
    return { schema: enumSchema(values, responseFieldIn(flags)), spread: true }
  const spread = flags.has('spread') && { spread: true as const }
  if (given === undefined) {
    if (!spread) return {}
    throw new BatchStreamError(
      'CBS_OPTION',
      '--spread needs a --schema: its properties become fields',
    )
  }
  const read = given.trimStart().startsWith('{')
    ? json('--schema', given)
    : await jsonIn('--schema', given)
  // Found out before anything is read or sent.
  answerCheck(read)
  // It is JSON and a schema, so it is an object.
  const schema = read as JsonSchema
  if (spread && !propertiesOf(schema)) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--spread needs a --schema of type "object" with "properties": they become fields',
    )
  }
  return { schema, ...spread }
}

/** Answers of one property, which is called as the response field is: rows that spread it hold the value alone. */
function enumSchema(text: string, name: string): JsonSchema {
  const values = text.split(',').map(value => value.trim())
  if (values.length < 2 || values.includes('') || new Set(values).size < values.length)
    throw wrongFlag('--enum', 'two or more different values, such as positive,negative', text)
  return {
    type: 'object',
    properties: { [name]: { type: 'string', enum: values } },
    required: [name],
    additionalProperties: false,
  }
}

function responseFieldIn(flags: Flags): string {
  return flags.text('response-field') ?? DEFAULT_RESPONSE_FIELD
}

/** The fields that answers are written to. */
export function responseFields({ responseField, schema, spread }: Settings): readonly string[] {
  return (spread && propertiesOf(schema)) || [responseField]
}

async function paramsOf(flags: Flags): Promise<Record<string, unknown>> {
  const file = flags.text('params')
  const fromFile = file === undefined ? {} : await jsonIn('--params', file)
  if (typeof fromFile !== 'object' || fromFile === null || Array.isArray(fromFile)) {
    throw new BatchStreamError('CBS_OPTION', `--params ${file} must hold a JSON object`)
  }
  const given = Object.entries(pairs('--param', flags.texts('param'))).map(
    ([key, text]) => [key, json(`--param ${key}`, text)] as const,
  )
  return { ...fromFile, ...Object.fromEntries(given) }
}

/** What --cache says: a switch whose value may be `prime`. In the environment a switch is on as `1`, `true` or `yes`. */
function cacheIn(flags: Flags): true | 'prime' | undefined {
  const text = flags.text('cache')
  if (text === 'prime') return text
  if (!flags.has('cache')) return undefined
  if (text === undefined || ['1', 'true', 'yes'].includes(text)) return true
  throw wrongFlag('--cache', 'prime, or nothing', text)
}

type Defined<T> = { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>
}

/** An object without the members that are undefined: JSON drops them, and so do comparisons of it. */
function withoutUndefined<T extends object>(object: T): Defined<T> {
  // Dropping the undefined members is what makes it so.
  return Object.fromEntries(
    Object.entries(object).filter(([, value]) => value !== undefined),
  ) as Defined<T>
}
