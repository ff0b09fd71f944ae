import type { Problem } from '../flow.ts'

/**
 * The outcome of a record, as shown in its row.
 *
 * `succeeded`, `incomplete` (the answer was cut; the text so far is kept), `refused`, `invalid` (the answer does not match the
 * schema), `errored`, `expired`, `canceled`, `rejected` (never sent), `unanswered` (the API ended the batch without a line for
 * it) or `skipped` (it failed in an earlier run and was not sent in this one).
 */
export type Status =
  | 'succeeded'
  | 'incomplete'
  | 'refused'
  | 'invalid'
  | 'errored'
  | 'expired'
  | 'canceled'
  | 'rejected'
  | 'unanswered'
  | 'skipped'

export const STATUSES: readonly Status[] = [
  'succeeded',
  'incomplete',
  'refused',
  'invalid',
  'errored',
  'expired',
  'canceled',
  'rejected',
  'unanswered',
  'skipped',
]

/** Statuses of records that were never sent. */
export function isUnsent(status: Status): boolean {
  return status === 'rejected' || status === 'skipped'
}

/**
 * The status of a succeeded line by its `stop_reason`: an answer that was cut or refused must not look like success. So only the reasons
 * that are known to end a whole answer do, and a missing one; a gateway may write `length`.
 */
export function statusOfStop(stopReason: string | null): Status {
  switch (stopReason) {
    case 'end_turn':
    case 'stop_sequence':
    case 'tool_use':
    case null:
      return 'succeeded'
    case 'refusal':
      return 'refused'
    default:
      return 'incomplete'
  }
}

/** The status of a line by its `result.type`. An unknown type counts as errored, never as success. */
export function statusOfType(type: string, stopReason: string | null): Status {
  switch (type) {
    case 'succeeded':
      return statusOfStop(stopReason)
    case 'canceled':
    case 'expired':
      return type
    default:
      return 'errored'
  }
}

/** The error of a request without any answer. */
export function unanswered(why: string | null | undefined): Problem {
  return { type: 'unanswered', message: why ?? 'the API gave no line for this request' }
}
