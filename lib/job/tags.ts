import type { Job } from './job.ts'

/**
 * The counts of batches whose create has an unknown outcome. The API's list is searched for such a batch by its count, so
 * while it is looked for no other batch may go out with the same one.
 */
export function unresolvedCounts(job: Job): ReadonlySet<number> {
  const counts = new Set<number>()
  for (const { number, phase, requests } of job.state.batches.values())
    if (phase === 'armed' && !job.sending.has(number)) counts.add(requests)
  return counts
}

/**
 * How many requests a batch is to have: as many as allowed, but not a count that is taken. Below half of what is allowed a
 * batch would be wasteful: then it is the count that is allowed, and has to wait until that is free.
 */
export function freeCount(most: number, taken: ReadonlySet<number>): number {
  for (let count = most; count > most / 2; count--) if (!taken.has(count)) return count
  return most
}
