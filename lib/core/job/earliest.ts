import type { BatchState } from './state.ts'

/**
 * The batch whose rows come next in input order: the one with the earliest record among those that will give rows.
 * Undefined if none is left. A split batch is replaced by its parts.
 */
export function earliest(
  batches: Iterable<BatchState>,
  attempt: number,
  given: ReadonlySet<number>,
): BatchState | undefined {
  let found: BatchState | undefined
  for (const batch of batches) {
    if (batch.attempt !== attempt || batch.phase === 'void' || given.has(batch.number)) continue
    if (!found || compareByRecord(batch, found) < 0) found = batch
  }
  return found
}

/** Sorts batches of one attempt by their first records. */
export function compareByRecord(a: BatchState, b: BatchState): number {
  return firstOf(a) - firstOf(b) || a.number - b.number
}

/** The first record of a batch. A batch of another tool has no records and comes first. */
export function firstOf({ first = 0 }: BatchState): number {
  return first
}
