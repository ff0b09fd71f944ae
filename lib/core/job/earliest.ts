import type { BatchState } from './state.ts'

/**
 * Which batch's rows come next in input order: of all that are to give rows, the one with the earliest record. Undefined
 * where none is left. A batch that was divided counts no more; its parts stand where it stood.
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

/** Sorts batches of one attempt by the records that they cover. */
export function compareByRecord(a: BatchState, b: BatchState): number {
  return firstOf(a) - firstOf(b) || a.number - b.number
}

/** The earliest record of a batch. One that some other tool made covers no records, and comes first. */
export function firstOf({ first = 0 }: BatchState): number {
  return first
}
