import type { Problem, SourceRecord } from './flow.ts'
import { STATUSES } from './results/status.ts'

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

/** The type of the problem of a record that is not sent because it failed in an earlier run. Such a record is no bad one. */
export const SKIPPED = 'skipped'

/**
 * Why a record is skipped: it is the failed row of an earlier run, whose meta field says so. A column `status` of the user's
 * own says nothing.
 */
export function failedEarlier({ fields }: SourceRecord, metaField: string): Problem | undefined {
  for (const name of [metaField, DEFAULT_META_FIELD]) {
    const meta: unknown = Object.hasOwn(fields, name) ? fields[name] : undefined
    if (typeof meta !== 'object' || meta === null || !('status' in meta)) continue
    const status = STATUSES.find(one => one === meta.status)
    if (status === undefined || status === 'succeeded') continue
    const why = 'error' in meta ? `: ${messageOf(meta.error)}` : ''
    return { type: SKIPPED, message: `${status} in an earlier run, and not sent in this one${why}` }
  }
  return undefined
}

function messageOf(error: unknown): string {
  const { message }: { readonly message?: unknown } = Object(error)
  return typeof message === 'string' ? message : JSON.stringify(error)
}

/**
 * The problem of a record that has the response field already: the answer would land on top of the user's own data. The
 * failed row of an earlier run may come back: a new answer replaces what it has.
 */
export function alreadyAnswered(
  record: SourceRecord,
  responseField: string,
  metaField: string,
): Problem | undefined {
  const { fields } = record
  if (!Object.hasOwn(fields, responseField)) return undefined
  if (fields[responseField] === null && Object.hasOwn(fields, metaField)) return undefined
  if (failedEarlier(record, metaField)) return undefined
  const name = JSON.stringify(responseField)
  return {
    type: 'response_exists',
    message: `the record has a field ${name} already; choose another name for the response field, or drop that field`,
  }
}
