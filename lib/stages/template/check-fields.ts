import { BatchStreamError } from '../../core/errors.ts'
import { didYouMean } from '../../core/nearest.ts'
import type { Field } from '../../core/field.ts'
import type { Template } from './compile.ts'

/** The fields that a template names, in the order in which they stand in it. */
export function fieldsOf(template: Template): readonly Field[] {
  return template.parts.filter(part => typeof part === 'object')
}

/**
 * Checks a template against columns that are known up front, as a CSV header's are, before anything is spent. Cells are
 * text, so a path leads nowhere and only whole names count. `hint` says what to do where no column has a similar name, or all is one column.
 *
 * @throws BatchStreamError `CBS_INPUT` for a field that no column has: its line and column in the template, and the nearest name
 */
export function checkFields(template: Template, columns: readonly string[], hint = ''): void {
  const known = new Set(columns)
  const absent = fieldsOf(template).find(field => !field.optional && !known.has(field.name))
  if (!absent) return
  const { name, line, column } = absent
  const where = `${template.name} template, line ${line}, column ${column}`
  const similar = didYouMean(name, columns)
  const isHinted = similar === '' || columns.length === 1
  const names = columns.map(each => JSON.stringify(each)).join(', ')
  throw new BatchStreamError(
    'CBS_INPUT',
    `${where}: the input has no column ${JSON.stringify(name)}${similar}; it has ${names}${isHinted ? hint : ''}`,
    { place: { line, column } },
  )
}
