import type { Problem } from '../flow.ts'

/**
 * What became of a record, as its row says it.
 *
 * `succeeded`, and then what else can be: `incomplete` (the answer was cut; the text so far is kept), `refused`,
 * `invalid` (breaks the schema), `errored`, `expired`, `canceled`, `rejected` (never sent), `unanswered` (the API ended
 * the batch and gave no line for it) and `skipped` (it failed in an earlier run, and was not sent in this one).
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

/** What a succeeded line's `stop_reason` makes of it: an answer that was cut or refused must not look like success. */
export function statusOfStop(stopReason: string | null): Status {
  switch (stopReason) {
    case 'max_tokens':
    case 'model_context_window_exceeded':
    case 'pause_turn':
      return 'incomplete'
    case 'refusal':
      return 'refused'
    default:
      return 'succeeded'
  }
}

/** What a line's `result.type` makes of it. A type the API has not had so far counts as errored, never as success. */
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

/** Why a request has no answer at all. */
export function unanswered(why: string | null | undefined): Problem {
  return { type: 'unanswered', message: why ?? 'the API gave no line for this request' }
}
