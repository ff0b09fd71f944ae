import type { ErrorObject } from 'ajv'
import { wrapError } from '../errors.ts'
import type { Problem } from '../flow.ts'
import { checkSchema, loadValidator } from './load.ts'

/** What an answer is worth: its value, or what breaks the schema. */
export type Checked = { readonly value: unknown } | { readonly problem: Problem }

/** Checks the text of an answer; null where it has none. */
export type AnswerCheck = (text: string | null) => Checked

/**
 * Reads answers as JSON and holds them to a schema.
 *
 * @throws BatchStreamError `CBS_OPTION` where the schema itself is wrong
 */
export function answerCheck(schema: unknown): AnswerCheck {
  checkSchema(schema)
  let fits: ReturnType<ReturnType<typeof loadValidator>['compile']>
  try {
    fits = loadValidator(schema).compile(schema)
  } catch (cause) {
    throw wrapError('CBS_OPTION', 'the schema is wrong', cause)
  }
  return text => {
    if (text === null) return invalid('it has no text')
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return invalid('it is no JSON')
    }
    return fits(value) ? { value } : invalid(sentence(fits.errors?.[0]))
  }
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
  return { problem: { type: 'invalid_response', message: `the answer breaks the schema: ${why}` } }
}
