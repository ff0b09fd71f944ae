import { BatchStreamError, lineOf } from '../errors.ts'
import type { SourceRecord } from '../flow.ts'
import type { PartialParams } from './options.ts'

/**
 * Asks the user's function what a record's prompt is: a text, or params with `messages`.
 *
 * @throws BatchStreamError `CBS_STAGE` naming the record's line, when the function throws or gives something else
 */
export function callPrompt(
  prompt: (record: SourceRecord) => string | PartialParams,
  record: SourceRecord,
): string | PartialParams {
  let given: unknown
  try {
    given = prompt(record)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw failed(record, `failed: ${why}`, cause)
  }
  if (typeof given === 'string' || isParams(given)) return given
  if (isThenable(given))
    throw failed(record, 'gave a promise; put what it waits for in a stage before')
  throw failed(record, 'gave neither text nor params with `messages`')
}

function isParams(given: unknown): given is PartialParams {
  return typeof given === 'object' && given !== null && 'messages' in given
}

function isThenable(given: unknown): boolean {
  return typeof given === 'object' && given !== null && 'then' in given
}

function failed(record: SourceRecord, how: string, cause?: unknown): BatchStreamError {
  const { source, line } = record
  return new BatchStreamError('CBS_STAGE', `the prompt function ${how} (${lineOf(record)})`, {
    cause,
    place: { source, line },
  })
}
