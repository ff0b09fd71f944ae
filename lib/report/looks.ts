import type { Status } from '../core/results/status.ts'

/** The colour of a status: what was answered, what was answered in part or otherwise than asked, what was not. */
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
