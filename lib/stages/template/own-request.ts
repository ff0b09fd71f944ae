import { lineOf } from '../../core/errors.ts'
import type { Problem, SourceRecord } from '../../core/flow.ts'
import { textOf } from '../../core/field.ts'
import { changedNumber } from '../../core/json/changed-number.ts'
import { valueAt } from '../../core/json/find.ts'
import { isBlank } from './render.ts'

/** The parts of a request that a record specifies; options fill in the rest. */
export interface OwnRequest {
  readonly params: Readonly<Record<string, unknown>>
  /** The record's value, unchecked; undefined if absent. */
  readonly custom_id?: unknown
  /** The params are a single text, which needs no check. */
  readonly fromText?: true
}

/**
 * The request of a record without a prompt: its `params` (a whole Messages request, with the record's `custom_id`), else
 * its `messages`, else its `prompt` as one user message. The text of a record is never a template.
 */
export function ownRequest(record: SourceRecord): OwnRequest | Problem {
  const { fields } = record
  const params = own(fields, 'params')
  if (isObject(params))
    return (
      changedIn(record, ['params', 'messages']) ?? {
        params,
        custom_id: own(fields, 'custom_id'),
      }
    )
  const messages = own(fields, 'messages')
  if (Array.isArray(messages)) return changedIn(record, ['messages']) ?? { params: { messages } }
  const prompt = own(fields, 'prompt')
  if (typeof prompt === 'string' || typeof prompt === 'number') {
    return textRequest(textOf(record, { path: ['prompt'], value: prompt }), record)
  }
  return noPrompt(record)
}

/**
 * The request in a `ready` line: `{"custom_id","params"}`, or bare params without `custom_id` and the fields that an
 * earlier run added.
 */
export function readyRequest(
  record: SourceRecord,
  rowFields: readonly string[],
): OwnRequest | Problem {
  const { fields } = record
  if (isObject(own(fields, 'params'))) return ownRequest(record)
  if (!Array.isArray(own(fields, 'messages'))) return noMessages(record)
  const notParams = new Set(['custom_id', ...rowFields])
  const params = Object.entries(fields).filter(([name]) => !notParams.has(name))
  const problem = changedIn(record, ['messages'])
  if (problem) return problem
  return { params: Object.fromEntries(params), custom_id: own(fields, 'custom_id') }
}

/** A text as the only user message; a blank text is a problem. */
export function textRequest(content: string, record: SourceRecord): OwnRequest | Problem {
  if (!isBlank(content)) {
    return { params: { messages: [{ role: 'user', content }] }, fromText: true }
  }
  const message = `the prompt of ${lineOf(record)} is empty; nothing was sent`
  return { type: 'empty_prompt', message }
}

/** Messages are sent as they are, or not at all: a number in them that JavaScript would change is a problem. Schemas may have one. */
function changedIn(record: SourceRecord, path: readonly string[]): Problem | undefined {
  const range = valueAt(record.raw, path)
  const number = range && changedNumber(record.raw, range)
  if (number === undefined) return undefined
  return {
    type: 'number_too_large',
    message: `\`messages\` of ${lineOf(record)} has the number ${number}, which would not be sent exactly: write it as a string`,
  }
}

function noPrompt(record: SourceRecord): Problem {
  const wanted =
    'give a prompt, or records with a field `prompt` (text), `messages` (a list) or `params` (an object)'
  return { type: 'no_prompt', message: `${lineOf(record)} has no prompt: ${wanted}` }
}

function noMessages(record: SourceRecord): Problem {
  const wanted = 'give it `params` with `messages`, or `messages` of its own'
  return { type: 'no_prompt', message: `${lineOf(record)} is not a Messages request: ${wanted}` }
}

function own(fields: Readonly<Record<string, unknown>>, name: string): unknown {
  return Object.hasOwn(fields, name) ? fields[name] : undefined
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
