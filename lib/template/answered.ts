import type { Problem, SourceRecord } from '../flow.ts'

/** The two fields that a merged row adds to its record. */
export interface RowFields {
  /** @default 'response' */
  readonly responseField?: string | undefined
  /** @default '_batch'; 'none' for rows without it */
  readonly metaField?: string | undefined
}

export const DEFAULT_RESPONSE_FIELD = 'response'
export const DEFAULT_META_FIELD = '_batch'
/** The word that stands for no meta field at all. */
export const NO_META_FIELD = 'none'

/**
 * The problem of a record that has the response field already: the answer would land on top of the user's own data. A
 * failed row of an earlier run may come back: its response is null, and it has the meta field.
 */
export function alreadyAnswered(
  record: SourceRecord,
  responseField: string,
  metaField: string,
): Problem | undefined {
  const { fields } = record
  if (!Object.hasOwn(fields, responseField)) return undefined
  if (fields[responseField] === null && Object.hasOwn(fields, metaField)) return undefined
  const name = JSON.stringify(responseField)
  return {
    type: 'response_exists',
    message: `the record has a field ${name} already; choose another name for the response field, or drop that field`,
  }
}
