import type { BatchState, Phase } from '../core/job/state.ts'

/** The maximum number of batches in the table, so that a page of a large job stays small. */
export const MOST_BATCHES = 1000

/** A batch of the table. Times are in milliseconds. */
export interface BatchRow {
  readonly number: number
  readonly id: string | null
  readonly phase: Phase
  readonly attempt: number
  readonly requests: number
  /** Requests without an answer, by the API's counts; null until the batch has ended. */
  readonly without: number | null
  readonly submittedAt: number | null
  readonly endedAt: number | null
}

/** The first batches, and how many more there are. */
export interface BatchRows {
  readonly shown: readonly BatchRow[]
  readonly others: number
}

/** The batches of a job that have requests, in the order in which they were sealed. */
export function batchRowsOf(batches: Iterable<BatchState>): BatchRows {
  const shown: BatchRow[] = []
  let others = 0
  for (const batch of batches) {
    const { number, id, phase, attempt, requests, counts, submittedAt, endedAt } = batch
    if (phase === 'void' || requests === 0) continue
    const without = counts && counts.errored + counts.canceled + counts.expired
    if (shown.length < MOST_BATCHES)
      shown.push({ number, id, phase, attempt, requests, without, submittedAt, endedAt })
    else others += 1
  }
  return { shown, others }
}
