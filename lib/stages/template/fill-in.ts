import { assertSync } from '../../core/assert-sync.ts'
import { lineOf, wrapError } from '../../core/errors.ts'
import type { MessageParams, Problem, SourceRecord } from '../../core/flow.ts'
import type { OutputFormat } from '../../core/schema/output-format.ts'
import { grownMaxTokens } from './grow.ts'
import type { RecordFunctions, TemplateSettings } from './options.ts'
import type { OwnRequest } from './own-request.ts'
import { checkParams, wrongBudget } from './params.ts'
import { isBlank, render } from './render.ts'

/**
 * The whole request: what the record's own params say, and where they say nothing the options. Params that came from
 * outside are checked, as the API would find their faults only when the batch is worked on.
 */
export function fillIn(
  own: OwnRequest,
  record: SourceRecord,
  settings: TemplateSettings,
): MessageParams | Problem {
  const given = own.fromText ? own.params : said(own.params)
  const { defaults, perRecord } = settings
  const params: Record<string, unknown> = {
    ...(perRecord && called(perRecord, record)),
    ...defaults,
    ...given,
  }
  if (settings.system && params['system'] === undefined) {
    const system = render(settings.system, record)
    if (typeof system !== 'string') return system
    if (!isBlank(system)) params['system'] = system
  }
  if (settings.format)
    params['output_config'] = withFormat(params['output_config'], settings.format)
  const whole = params as Record<string, unknown> & Pick<MessageParams, 'model' | 'max_tokens'>
  if (record.doublings > 0)
    params['max_tokens'] = grownMaxTokens(whole, record.doublings, settings.mostTokens)
  const problems =
    own.fromText && !perRecord
      ? wrongBudget(params).map(message => ({ type: 'refused_parameter', message }))
      : checkParams({ messages: [], ...params })
  if (problems.length > 0) return { type: 'refused_parameter', message: sentences(problems) }
  // The API is the judge of the rest: nothing here knows every shape of every parameter.
  return params as unknown as MessageParams
}

/** What the user's functions say of a record; whether that is right is checked with the whole request. */
function called(
  { model, maxTokens }: RecordFunctions,
  record: SourceRecord,
): Record<string, unknown> {
  try {
    return {
      ...(model && { model: assertSync('model', model(record.fields, record)) }),
      ...(maxTokens && { max_tokens: assertSync('maxTokens', maxTokens(record.fields, record)) }),
    }
  } catch (cause) {
    throw wrapError('CBS_STAGE', `\`model\` or \`maxTokens\` failed (${lineOf(record)})`, cause)
  }
}

/** What a record says of its own output (its effort, say) stays. */
function withFormat(config: unknown, format: OutputFormat): object {
  return typeof config === 'object' ? { ...config, format } : { format }
}

/** Params without those that say nothing: null counts as left out. */
export function said(params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).filter(([, value]) => value !== undefined && value !== null),
  )
}

/** Several problems as one text. */
export function sentences(problems: readonly Problem[]): string {
  return problems.map(problem => problem.message).join('; ')
}
