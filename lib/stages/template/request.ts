import type { BatchRequest, Problem, RejectedRecord, SourceRecord } from '../../core/flow.ts'
import { alreadyAnswered, failedEarlier, ownMeta } from '../../core/answered.ts'
import { checkCustomId } from '../../core/check-custom-id.ts'
import { fillIn } from './fill-in.ts'
import { settingsOf, type AnyTemplateOptions, type TemplateSettings } from './options.ts'
import { ownRequest, readyRequest, textRequest, type OwnRequest } from './own-request.ts'
import { callPrompt } from './prompt-function.ts'
import { render } from './render.ts'

/**
 * The logic of `template` without a stream: a pure function from a record to its request, or to the reason why it cannot be
 * sent.
 *
 * @throws BatchStreamError `CBS_OPTION` at once for invalid options; the function itself throws `CBS_STAGE` if the user's
 * prompt function fails
 */
export function requestMaker(
  options: AnyTemplateOptions,
): (record: SourceRecord) => BatchRequest | RejectedRecord {
  const settings = settingsOf(options)
  return record => {
    const { askFailed, metaField } = settings
    const asked =
      record.problem ??
      (askFailed ? undefined : failedEarlier(record, metaField)) ??
      answered(record, settings) ??
      request(record, settings)
    return 'params' in asked ? asked : { record, problem: asked }
  }
}

function answered(record: SourceRecord, settings: TemplateSettings): Problem | undefined {
  const { responseFields, metaField } = settings
  for (const field of responseFields) {
    const problem = alreadyAnswered(record, field, metaField)
    if (problem) return problem
  }
  return ownMeta(record, metaField)
}

function request(record: SourceRecord, settings: TemplateSettings): BatchRequest | Problem {
  const own = wanted(record, settings)
  if (!('params' in own)) return own
  const params = fillIn(own, record, settings)
  if (!('messages' in params)) return params
  const custom_id = idOf(own, record, settings)
  if (custom_id === undefined) return { params, record }
  return typeof custom_id === 'string' ? { custom_id, params, record } : custom_id
}

/** The id from the options, else the record's own; null counts as none. */
function idOf(
  own: OwnRequest,
  record: SourceRecord,
  settings: TemplateSettings,
): string | Problem | undefined {
  if (settings.id) {
    const id = render(settings.id, record)
    return typeof id === 'string' ? (checkCustomId(id) ?? id) : id
  }
  const { custom_id } = own
  if (custom_id === undefined || custom_id === null) return undefined
  return checkCustomId(custom_id) ?? String(custom_id)
}

function wanted(record: SourceRecord, settings: TemplateSettings): OwnRequest | Problem {
  const { prompt, ready, responseFields, metaField } = settings
  if (typeof prompt === 'function') {
    const given = callPrompt(prompt, record)
    if (typeof given === 'string') return textRequest(given, record)
    return 'messages' in given ? { params: { ...given } } : given
  }
  if (prompt) {
    const text = render(prompt, record)
    return typeof text === 'string' ? textRequest(text, record) : text
  }
  if (!ready) return ownRequest(record)
  return readyRequest(record, [metaField, ...responseFields])
}
