import { wrongOption } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import {
  DEFAULT_META_FIELD,
  DEFAULT_RESPONSE_FIELD,
  NO_META_FIELD,
  type RowFields,
} from '../../core/answered.ts'

/** The names of added fields, and what they contain. `meta` is undefined for rows without a meta field. */
export interface FieldNames {
  readonly response: string
  readonly meta: string | undefined
  /** Whether rows include content blocks that are not text. */
  readonly blocks?: boolean | undefined
  /** The cost of an answer, as JSON; without it, rows have no cost. */
  readonly costOf?: ((result: Result) => string) | undefined
}

/**
 * Reads the names of added fields from the options.
 *
 * @throws BatchStreamError `CBS_OPTION` for an empty name, or the same name for both
 */
export function fieldNames(options: RowFields): FieldNames {
  const { responseField = DEFAULT_RESPONSE_FIELD, metaField = DEFAULT_META_FIELD } = options
  if (typeof responseField !== 'string' || responseField === '') {
    throw wrongOption('responseField', 'the name of a field', responseField)
  }
  if (typeof metaField !== 'string' || metaField === '') {
    throw wrongOption('metaField', "the name of a field, or 'none'", metaField)
  }
  if (metaField === responseField)
    throw wrongOption('metaField', 'another name than `responseField`', metaField)
  return { response: responseField, meta: metaField === NO_META_FIELD ? undefined : metaField }
}
