import type { ErrorObject } from 'ajv'
import { createContext, Script } from 'node:vm'
import { messageOf, wrapError } from '../errors.ts'
import type { Problem } from '../flow.ts'
import { deeperThan, mayNestDeeper } from '../json/depth.ts'
import { MAX_JSON_DEPTH } from '../limits.ts'
import { shapeOf } from './answer-schema.ts'
import { loadValidator, type JsonSchema } from './load.ts'

/**
 * The result of checking an answer: its JSON value and the output of the schema's own validator, if any, or the reason why
 * it is invalid.
 */
export type Checked =
  { readonly value: unknown; readonly output?: unknown } | { readonly problem: Problem }

/** Checks the text of an answer; null for an answer without text. */
export interface AnswerCheck {
  (text: string | null): Checked
  /** Whether one check may take as long as its deadline, so that timers and signals need a turn between two of them. */
  readonly isSlow?: boolean
}

/** A row must be a valid record for the next run of a pipe, and its answer is one level deeper than the row. */
const MAX_ANSWER_DEPTH = MAX_JSON_DEPTH - 1

/** Time limit for checking one answer. Only an expensive pattern or a recursive schema reaches it. */
const DEADLINE_MS = 1000

/** Maximum characters of a reason, which may quote keys and values of the answer. */
const MAX_REASON = 500

/**
 * Parses answers as JSON and validates them against a schema. The check never throws: any answer makes at most its own row
 * invalid.
 *
 * @throws BatchStreamError `CBS_OPTION` if the schema itself is invalid
 */
export function answerCheck(given: unknown): AnswerCheck {
  const { schema, parse } = shapeOf(given)
  let validate: ReturnType<ReturnType<typeof loadValidator>['compile']>
  let fits: (value: unknown) => boolean
  try {
    validate = loadValidator(schema).compile(schema)
    fits = isSlow(schema) ? withDeadline(validate) : validate
  } catch (cause) {
    throw wrapError('CBS_OPTION', 'the schema is invalid', cause, 'schema')
  }
  const check = (text: string | null): Checked => {
    if (text === null) return invalid('it has no text')
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return invalid('it is not JSON')
    }
    if (mayNestDeeper(text, MAX_ANSWER_DEPTH) && deeperThan(value, MAX_ANSWER_DEPTH))
      return invalid(`it nests deeper than ${MAX_ANSWER_DEPTH} levels`)
    try {
      if (!fits(value)) return invalid(sentence(validate.errors?.[0]))
    } catch (cause) {
      return invalid(`it cannot be checked: ${messageOf(cause)}`)
    }
    try {
      return parse ? { value, output: parse(value, text) } : { value }
    } catch (cause) {
      return invalid(messageOf(cause))
    }
  }
  return Object.assign(check, { isSlow: fits !== validate })
}

/**
 * Keywords whose cost can grow faster than the answer: regular expressions backtrack, unique items are compared in pairs,
 * and references can check the same part of an answer many times.
 */
const SLOW = /"(?:pattern|patternProperties|uniqueItems|\$(?:dynamic|recursive)?[rR]ef)":/

function isSlow(schema: JsonSchema): boolean {
  return SLOW.test(JSON.stringify(schema))
}

/** Runs a check in a vm script with a timeout, which also stops a regular expression. This costs 0.05 ms per answer. */
function withDeadline(check: (value: unknown) => boolean): (value: unknown) => boolean {
  const script = new Script('check(value)')
  const globals: { check: typeof check; value: unknown } = { check, value: null }
  createContext(globals)
  return value => {
    globals.value = value
    try {
      // The script returns the result of `check`.
      return script.runInContext(globals, { timeout: DEADLINE_MS }) as boolean
    } catch (cause) {
      if (!isTimeout(cause)) throw cause
      throw new Error(`it takes longer than ${DEADLINE_MS} ms; simplify the schema's patterns`)
    }
  }
}

/** The error belongs to the script's realm, so `instanceof` does not recognise it. */
function isTimeout(cause: unknown): boolean {
  return Object(cause).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT'
}

function sentence(error: ErrorObject | undefined): string {
  const where = error?.instancePath ? `${error.instancePath} ` : 'it '
  const allowed: unknown = error?.params['allowedValues']
  const choices = Array.isArray(allowed)
    ? `: ${allowed.map(one => JSON.stringify(one)).join(', ')}`
    : ''
  return `${where}${error?.message}${choices}`
}

function invalid(why: string): Checked {
  const reason = why.length > MAX_REASON ? `${why.slice(0, MAX_REASON)}…` : why
  return {
    problem: { type: 'invalid_response', message: `the answer breaks the schema: ${reason}` },
  }
}
