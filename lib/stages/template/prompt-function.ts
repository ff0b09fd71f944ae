import { types } from 'node:util'
import { isPromise } from '../../core/assert-sync.ts'
import { BatchStreamError, lineOf, messageOf } from '../../core/errors.ts'
import type { Problem, SourceRecord } from '../../core/flow.ts'
import type { Template } from './compile.ts'
import type { PartialParams, TemplateSettings } from './options.ts'

type PromptFunction = Exclude<TemplateSettings['prompt'], Template | undefined>

/**
 * Calls the user's prompt function. Returns a text, params with `messages`, or the problem that it reads a missing
 * property.
 *
 * @throws BatchStreamError `CBS_STAGE` with the record's line if the function throws or returns something else
 */
export function callPrompt(
  prompt: PromptFunction,
  record: SourceRecord,
): string | PartialParams | Problem {
  let given: unknown
  try {
    given = prompt(record.fields, record)
  } catch (cause) {
    throw failed(record, `failed: ${messageOf(cause)}`, cause)
  }
  if (typeof given === 'string') return missingValue([given], prompt, record) ?? given
  if (given === undefined || given === null) return gaveNothing(record)
  if (isParams(given)) return missingValue(textsOf(given), prompt, record) ?? copyOf(given)
  if (isPromise(given))
    throw failed(record, 'returned a promise; move asynchronous work to an earlier stage')
  throw failed(record, 'returned neither text nor params with `messages`')
}

/**
 * A copy of the params. The function may return the same object for each record and change it, and a request is serialized
 * only later.
 */
function copyOf<T>(value: T, parents: readonly unknown[] = []): T {
  // JSON.stringify reports a circle.
  if (!hasMembers(value) || parents.includes(value)) return value
  const within = [...parents, value]
  const members: unknown = Array.isArray(value)
    ? value.map(item => copyOf(item, within))
    : Object.fromEntries(
        Object.entries(value).map(([name, member]) => [name, copyOf(member, within)]),
      )
  // JSON sees the same members in the copy.
  return members as T
}

/** Whether its JSON is that of its members. */
function hasMembers(value: unknown): value is object {
  return (
    typeof value === 'object' &&
    value !== null &&
    !('toJSON' in value) &&
    !types.isBoxedPrimitive(value)
  )
}

function gaveNothing(record: SourceRecord): Problem {
  const message = `the prompt function returned nothing for ${lineOf(record)}; nothing was sent`
  return { type: 'empty_prompt', message }
}

/** What JavaScript writes into a string for a missing value. */
const NO_VALUES = ['undefined', 'NaN', '[object Object]']

/** The problem of a prompt with such a text that neither the record nor the function's code contains. */
function missingValue(
  texts: readonly string[],
  prompt: PromptFunction,
  record: SourceRecord,
): Problem | undefined {
  const found = NO_VALUES.find(word => texts.some(text => text.includes(word)))
  if (found === undefined || holds(record, found) || String(prompt).includes(found))
    return undefined
  return {
    type: 'missing_value',
    message: `the prompt of ${lineOf(record)} contains "${found}", which the record does not: the prompt function reads a property that is missing or not text; nothing was sent`,
  }
}

function holds(record: SourceRecord, text: string): boolean {
  // Its bytes may contain escaped letters.
  return record.raw.includes(text) || JSON.stringify(record.fields).includes(text)
}

/** The texts of returned params, without file data. */
function textsOf({ system, messages }: PartialParams): string[] {
  const contents: readonly unknown[] = [system, ...[messages].flat().map(contentOf)]
  return contents.flat().flatMap(part => (typeof part === 'string' ? [part] : textOf(part)))
}

function contentOf(message: unknown): unknown {
  return Object(message).content
}

function textOf(block: unknown): string[] {
  const { text }: { readonly text?: unknown } = Object(block)
  return typeof text === 'string' ? [text] : []
}

function isParams(given: unknown): given is PartialParams {
  return typeof given === 'object' && given !== null && 'messages' in given
}

function failed(record: SourceRecord, how: string, cause?: unknown): BatchStreamError {
  const { source, line } = record
  return new BatchStreamError('CBS_STAGE', `the prompt function ${how} (${lineOf(record)})`, {
    cause,
    place: { source, line },
  })
}
