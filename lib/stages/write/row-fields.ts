import { wrongOption } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import {
  DEFAULT_META_FIELD,
  DEFAULT_RESPONSE_FIELD,
  NO_META_FIELD,
  type RowFields,
} from '../../core/answered.ts'

/** Names of the fields that a row adds; `meta` is undefined for rows without one. */
export interface FieldNames {
  readonly response: string
  readonly meta: string | undefined
  /** Whether rows keep the blocks of an answer that are no text. */
  readonly blocks?: boolean | undefined
  /** What the answer cost, as JSON; without it rows say nothing of money. */
  readonly costOf?: ((result: Result) => string) | undefined
}

/**
 * Reads the names of a row's own fields from the options.
 *
 * @throws BatchStreamError `CBS_OPTION` for an empty name, or one name for both
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
