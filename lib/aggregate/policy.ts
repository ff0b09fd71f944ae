import { MAX_REQUESTS } from '../limits.ts'
import { BETWEEN_BYTES, FRAME_BYTES } from '../job/batch-files.ts'
import type { BatchState } from '../job/state.ts'

/** How large a batch may get. */
export interface BatchLimits {
  readonly count: number
  readonly bytes: number
}

/** What the open batch holds so far. */
export interface OpenBatch {
  readonly requests: number
  readonly bytes: number
  /** Rows that it will give, those of rejected records included. */
  readonly records: number
}

/** Must the open batch be sealed before a request of `next` bytes goes in? A request that fits nowhere goes alone. */
export function isFull(open: OpenBatch, next: number, limits: BatchLimits): boolean {
  if (open.records >= MAX_REQUESTS) return true
  if (open.requests === 0) return false
  return open.requests >= limits.count || open.bytes + BETWEEN_BYTES + next > limits.bytes
}

/** The size of a body that holds one request. */
export function bytesAlone(request: number): number {
  return FRAME_BYTES + request
}

/**
 * How many requests the next batch is to have: as many as allowed, but not as many as a batch of this job that has not
 * ended yet. After a crash the count is the only tag by which the API's list can be read, so it should name one batch.
 * Below half of what is allowed a batch would be wasteful: then submit waits instead, until the other one is known.
 */
export function chooseCount(most: number, taken: ReadonlySet<number>): number {
  for (let count = most; count > most / 2; count--) if (!taken.has(count)) return count
  return most
}

/** Counts of batches that the API may still be working on. */
export function countsInUse(batches: Iterable<BatchState>): Set<number> {
  const counts = new Set<number>()
  for (const { phase, requests } of batches) {
    if (phase === 'sealed' || phase === 'armed' || phase === 'submitted') counts.add(requests)
  }
  return counts
}
