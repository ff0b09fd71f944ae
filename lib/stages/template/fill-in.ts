import { assertSync } from '../../core/assert-sync.ts'
import { lineOf, wrapError } from '../../core/errors.ts'
import type { MessageParams, Problem, SourceRecord } from '../../core/flow.ts'
import type { OutputFormat } from '../../core/schema/output-format.ts'
import { maxTokensAfter } from './max-tokens.ts'
import type { RecordFunctions, TemplateSettings } from './options.ts'
import type { OwnRequest } from './own-request.ts'
import { checkParams, sentences, withoutNulls, wrongBudget } from './params.ts'
import { isBlank, render } from './render.ts'

/**
 * Completes a request: the record's own params, with the options as defaults. Params from records are checked, since the
 * API would report faults only when the batch runs.
 */
export function fillIn(
  own: OwnRequest,
  record: SourceRecord,
  settings: TemplateSettings,
): MessageParams | Problem {
  const given = own.fromText ? own.params : withoutNulls(own.params)
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
  // Both members have these types, or the check below refuses the request.
  const whole = params as Record<string, unknown> & Pick<MessageParams, 'model' | 'max_tokens'>
  if (record.doublings > 0)
    params['max_tokens'] = maxTokensAfter(whole, record.doublings, settings.maxTokensLimit)
  const problems =
    own.fromText && !perRecord
      ? wrongBudget(params).map(message => ({ type: 'refused_parameter', message }))
      : checkParams({ messages: [], ...params })
  if (problems.length > 0) return { type: 'refused_parameter', message: sentences(problems) }
  // The API validates the rest: this code does not know every parameter's shape.
  return params as unknown as MessageParams
}

/** The results of the user's functions for a record; they are checked with the whole request. */
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

/** Adds the format; the record's own output settings (such as effort) stay. */
function withFormat(config: unknown, format: OutputFormat): object {
  return typeof config === 'object' ? { ...config, format } : { format }
}
