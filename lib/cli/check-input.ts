import { BatchStreamError } from '../core/errors.ts'
import type { Problem, SourceRecord } from '../core/flow.ts'
import { alreadyAnswered, ownMeta } from '../core/answered.ts'
import { attacher } from '../stages/template/attach.ts'
import { checkFields, fieldsOf } from '../stages/template/check-fields.ts'
import { compile, isFixed } from '../stages/template/compile.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { requestMaker } from '../stages/template/request.ts'
import { FIRST, isBad } from '../run/guard.ts'
import { responseFields } from './request-settings.ts'
import { isEndless, type Settings } from './settings.ts'

/**
 * Checks the first records before a job is created or a byte is sent: most mistakes show here and cost nothing. Returns a
 * hint about a probable mistake.
 */
export async function checkInput(
  first: readonly SourceRecord[],
  format: string,
  settings: Settings,
  options: TemplateOptions,
): Promise<string | undefined> {
  const requestOf = requestMaker(options)
  const attach = attacher(options)
  const readable = first.find(record => !record.problem)
  const isTable = format === 'csv' || format === 'tsv'
  if (readable && isTable) checkColumns(Object.keys(readable.fields), settings)
  for (const record of first) checkResponse(record, settings)
  const problems: (Problem | undefined)[] = []
  for (const record of first) {
    const made = requestOf(record)
    const whole = attach ? await attach(made) : made
    problems.push(isBad(whole) ? whole.problem : undefined)
  }
  const [problem] = problems
  const inside = problem && recordsInside(first, format, settings)
  // Without a prompt no readable record can be sent: that is a mistake in the command.
  const asked = problems.filter((_, at) => !first[at]?.problem)
  if (asked.length > 0 && asked.every(one => one?.type === 'no_prompt')) {
    throw new BatchStreamError(
      'CBS_OPTION',
      `there is no prompt: give -p, -f or --template, or records with a field "prompt", "messages" or "params"${inside === undefined ? '' : `; ${inside}`}`,
    )
  }
  if (first.length >= FIRST && problem && problems.every(one => one !== undefined)) {
    const hint = problem.type === 'wrong_column_count' ? DELIMITER_HINT : ''
    throw new BatchStreamError(
      'CBS_INPUT',
      `the first ${first.length} records are all invalid, so nothing was sent; the first one: ${problem.message}${hint}`,
    )
  }
  return inside
}

/**
 * A hint if no part of a record goes into its request, as in a prompt without a `{{field}}`; undefined if the first records
 * do not tell.
 */
export function sameQuestion(
  first: readonly SourceRecord[],
  { prompt, system = '', attach = [], vars }: TemplateOptions,
): string | undefined {
  const readable = first.find(record => !record.problem)
  if (prompt === undefined || !readable) return undefined
  const usesNothing = [prompt, system, attach]
    .flat()
    .every(text => typeof text === 'string' && isFixed(compile(text, { name: 'prompt', vars })))
  if (!usesNothing) return undefined
  const [field] = Object.keys(readable.fields)
  const hint = field === undefined ? '' : `; {{${field}}} would insert a field`
  return `the prompt names no field, so every record asks the same question${hint}`
}

/**
 * A hint if the input is one JSON object with a list of objects, which are more likely the records; undefined if it is not,
 * or if it has several lists.
 */
function recordsInside(
  [only, another]: readonly SourceRecord[],
  format: string,
  settings: Settings,
): string | undefined {
  const isJson = format === 'json' || format === 'jsonl'
  // Of an endless input only the first record was read.
  if (!isJson || settings.jsonPath !== undefined || isEndless(settings) || !only || another)
    return undefined
  if (only.problem?.type === 'too_long')
    return 'the input is one JSON document that is longer than a record may be: --json-path names the list of records in it'
  const [path, more] = only.problem ? [] : listsIn(only.fields, '', 0)
  if (path === undefined || more !== undefined) return undefined
  return `the input is one JSON object, and is one record; to make a record of each object in its list: --json-path ${path}`
}

/** Levels of objects searched for lists. */
const LIST_DEPTH = 5

/** The paths of lists of objects, as --json-path takes them. */
function listsIn(value: object, before: string, depth: number): string[] {
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    if (typeof inner !== 'object' || inner === null || key === '' || key.includes('.')) return []
    const path = before + key
    if (Array.isArray(inner)) return inner.length > 1 && inner.every(isObject) ? [path] : []
    return depth < LIST_DEPTH ? listsIn(inner, `${path}.`, depth + 1) : []
  })
}

function isObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** If columns are unexpected, the detected delimiter may be wrong. */
const DELIMITER_HINT =
  '; if its columns are separated by another character, name it with --delimiter'

/** Lines of text become one column, named after the first of them. */
const TEXT_HINT = '; for lines of plain text, add --from text'

/** CSV names its columns up front, so a template with an unknown column is wrong for every record. */
export function checkColumns(columns: readonly string[], settings: Settings): void {
  const check = (text: string, name: string): void => {
    const template = compile(text, { name, vars: settings.vars })
    const isText = columns.length === 1 && fieldsOf(template).some(({ name }) => name === 'input')
    checkFields(template, columns, isText ? TEXT_HINT : DELIMITER_HINT)
  }
  for (const name of ['prompt', 'system', 'id'] as const) {
    const text = settings[name]
    if (text !== undefined) check(text, name)
  }
  for (const text of settings.attach ?? []) check(text, 'attach')
}

function checkResponse(record: SourceRecord, settings: Settings): void {
  const { metaField, spread, responseField } = settings
  if (record.problem) return
  const taken =
    responseFields(settings).find(name => alreadyAnswered(record, name, metaField)) ??
    (ownMeta(record, metaField) && metaField)
  if (taken === undefined) return
  const advice =
    taken === metaField
      ? 'name another with --meta-field'
      : spread && taken !== responseField
        ? 'the answer would replace it. Leave out --spread, or rename the property in the schema'
        : 'name another with --response-field'
  throw new BatchStreamError(
    'CBS_INPUT',
    `the record on line ${record.line} already has a field "${taken}", so nothing was sent: ${advice}`,
    { place: { source: record.source, line: record.line } },
  )
}
