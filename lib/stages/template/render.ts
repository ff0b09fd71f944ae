import { lineOf } from '../../core/errors.ts'
import type { Problem, SourceRecord } from '../../core/flow.ts'
import { didYouMean } from '../../core/nearest.ts'
import { WHOLE, type Template } from './compile.ts'
import { find, textOf, type Field, type FieldValue } from '../../core/field.ts'

/**
 * Fills a template from a record: returns the text, or the problem that a field is missing or null. Nothing is escaped, and
 * inserted text is never treated as a template. `{{field?}}` is empty if the field is missing or null.
 */
export function render(template: Template, record: SourceRecord): string | Problem {
  let text = ''
  for (const part of template.parts) {
    if (typeof part === 'string') text += part
    else if (part === WHOLE) text += record.raw.toString('utf8')
    else {
      const found = find(record.fields, part)
      if (found && found.value !== null) text += textOf(record, found)
      else if (!part.optional) return missing(template, part, record, found)
    }
  }
  return text
}

/** Whether a text is blank. */
export function isBlank(text: string): boolean {
  return text.trim() === ''
}

function missing(
  template: Template,
  field: Field,
  record: SourceRecord,
  found: FieldValue | undefined,
): Problem {
  const hint = found ? '' : didYouMean(field.name, Object.keys(record.fields))
  const wanted = `field ${JSON.stringify(field.name)} of the ${template.name} template`
  return {
    type: 'missing_field',
    message: `${wanted} is ${found ? 'null' : 'missing'} on ${lineOf(record)}${hint}; {{${field.name}?}} would leave it empty`,
  }
}
