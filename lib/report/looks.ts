import type { Status } from '../core/results/status.ts'

/** The colour of a status: succeeded, answered in part or not as requested, or failed. */
export const LOOK_OF: Readonly<Record<Status, 'good' | 'warn' | 'bad' | 'pale'>> = {
  succeeded: 'good',
  incomplete: 'warn',
  refused: 'warn',
  invalid: 'warn',
  errored: 'bad',
  expired: 'bad',
  canceled: 'pale',
  rejected: 'bad',
  skipped: 'bad',
  unanswered: 'bad',
}
