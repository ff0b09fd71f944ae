import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { DEFAULT_RESPONSE_FIELD } from '../core/answered.ts'
import { BatchStreamError } from '../core/errors.ts'
import { DEFAULT_MAX_TOKENS, DEFAULT_MODEL } from '../core/limits.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { JsonSchema } from '../core/schema/load.ts'
import { propertiesOf } from '../stages/write/csv.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { json, jsonIn, pairs, textIn, whole, withoutUndefined, wrongFlag } from './values.ts'

/** The requests for records, and the row fields for their answers. */
export interface RequestSettings {
  readonly prompt?: string
  readonly system?: string
  /** The path of a module. */
  readonly template?: string
  /** SHA-256 of the module when the job was created: a changed module sends other requests. */
  readonly templateHash?: string
  /** Templates of paths. */
  readonly attach?: readonly string[]
  /** The folder for relative paths of attachments; absent if no file is read. */
  readonly filesDir?: string
  readonly vars: Readonly<Record<string, string>>
  readonly model: string
  readonly maxTokens: number
  readonly params: Readonly<Record<string, unknown>>
  readonly schema?: JsonSchema
  /** Whether properties of answers become fields of the row. */
  readonly spread?: true
  readonly cache?: true | 'prime'
  readonly id?: string
  /** Whether failed rows of an earlier run are sent too. */
  readonly askFailed?: true
  readonly responseField: string
  readonly metaField: string
}

export async function requestIn(flags: Flags, env: Io['env']): Promise<RequestSettings> {
  const settings = {
    prompt: await textOrFile(flags, 'prompt'),
    system: await textOrFile(flags, 'system'),
    ...(await moduleOf(flags)),
    ...attachmentsOf(flags),
    vars: pairs('--var', flags.texts('var')),
    model: flags.read('model', named) ?? (env['ANTHROPIC_MODEL'] || DEFAULT_MODEL),
    maxTokens: flags.read('max-tokens', (flag, text) => whole(flag, text, 1)) ?? DEFAULT_MAX_TOKENS,
    params: await paramsOf(flags),
    ...(await schemaOf(flags)),
    cache: cacheIn(flags),
    id: flags.text('id'),
    askFailed: flags.has('ask-failed') || undefined,
    responseField: responseFieldIn(flags),
    metaField: flags.text('meta-field') ?? '_batch',
  }
  if (settings.template !== undefined && settings.prompt !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--template and --prompt are alternatives: give one of them',
    )
  }
  return withoutUndefined(settings)
}

function attachmentsOf(flags: Flags): { attach?: readonly string[]; filesDir?: string } {
  const attach = flags.texts('attach')
  if (attach.length > 0) return { attach, filesDir: resolve('.') }
  return flags.text('from') === 'files' ? { filesDir: resolve('.') } : {}
}

function named(flag: string, text: string): string {
  if (text.trim() !== '') return text
  throw wrongFlag(flag, 'a name', text)
}

/** The module of --template, as an absolute path, and its text. */
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
      `--${name} and --${name}-file are alternatives: give one of them`,
    )
  // The newline at the end of a text file is not part of the prompt.
  const read = (await textIn(`--${name}-file`, file)).replace(/\r?\n$/, '')
  if (read.trim() === '') throw wrongFlag(`--${name}-file`, 'a file that holds a text', file)
  return read
}

/** The schema of answers, and whether rows have a field for each of its properties. */
async function schemaOf(flags: Flags): Promise<Pick<RequestSettings, 'schema' | 'spread'>> {
  const given = flags.text('schema')
  const values = flags.text('enum')
  if (given !== undefined && values !== undefined) {
    throw new BatchStreamError(
      'CBS_OPTION',
      '--schema and --enum are alternatives: give one of them',
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
  // Reported before anything is read or sent.
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

/** A schema with one property, named like the response field: rows contain only its value. */
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
export function responseFields({
  responseField,
  schema,
  spread,
}: RequestSettings): readonly string[] {
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

/** The value of --cache: a switch whose value may be `prime`. In the environment a switch is on as `1`, `true` or `yes`. */
function cacheIn(flags: Flags): true | 'prime' | undefined {
  const text = flags.text('cache')
  if (text === 'prime') return text
  if (!flags.has('cache')) return undefined
  if (text === undefined || ['1', 'true', 'yes'].includes(text)) return true
  throw wrongFlag('--cache', 'prime, or nothing', text)
}
