import { BatchStreamError } from '../../core/errors.ts'
import { didYouMean } from '../../core/nearest.ts'
import type { Field } from '../../core/field.ts'
import type { Template } from './compile.ts'

/** The fields of a template, in order. */
export function fieldsOf(template: Template): readonly Field[] {
  return template.parts.filter(part => typeof part === 'object')
}

/**
 * Checks a template against known columns, such as a CSV header, before anything is spent. Cells are text, so only whole
 * names match, not paths. `hint` is added if no column has a similar name, or there is only one column.
 *
 * @throws BatchStreamError `CBS_INPUT` for an unknown field: its line and column in the template, and the nearest name
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
