import type { Problem, SourceRecord } from './flow.ts'
import { STATUSES } from './results/status.ts'

/** The two fields that an output row adds to its record. */
export interface RowFields {
  /** @default 'response' */
  readonly responseField?: string | undefined
  /**
   * @default '_batch'; 'none' for rows without it
   */
  readonly metaField?: string | undefined
}

export const DEFAULT_RESPONSE_FIELD = 'response'
export const DEFAULT_META_FIELD = '_batch'
/** The name that means no meta field. */
export const NO_META_FIELD = 'none'

/** The problem type of a record that is not sent because it failed in an earlier run. Such a record is not invalid. */
export const SKIPPED = 'skipped'

/**
 * Why a record is skipped: it is a failed row of an earlier run, as its meta field says. A `status` column of the user does
 * not count.
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
 * The problem of a record that already has the response field, which the answer would overwrite. A failed row of an earlier
 * run is exempt: a new answer replaces its response.
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
    message: `the record already has a field ${name}; choose another name for the response field, or drop that field`,
  }
}

/**
 * The problem of a record with a field of its own under the meta field's name, which the row would replace. What an earlier
 * run wrote there is replaced, and so is null or an empty object.
 */
export function ownMeta({ fields }: SourceRecord, metaField: string): Problem | undefined {
  if (metaField === NO_META_FIELD || !Object.hasOwn(fields, metaField)) return undefined
  const meta: unknown = fields[metaField]
  if (meta === null) return undefined
  if (typeof meta === 'object' && !Array.isArray(meta)) {
    const isOfRun = 'status' in meta && STATUSES.some(one => one === meta.status)
    if (isOfRun || Object.keys(meta).length === 0) return undefined
  }
  const name = JSON.stringify(metaField)
  return {
    type: 'meta_exists',
    message: `the record already has a field ${name}; choose another name for the meta field, or drop that field`,
  }
}
