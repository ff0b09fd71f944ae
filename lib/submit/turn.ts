import type { Job } from '../job/job.ts'
import type { Phase } from '../job/state.ts'
import { freeCount, unresolvedCounts } from '../job/tags.ts'

const WITHOUT_ANSWERS: ReadonlySet<Phase> = new Set(['sealed', 'armed', 'submitted'])

/**
 * How many requests of a sealed batch may go out now: all, none, or fewer where a batch of the same count has an unknown
 * outcome, since the count is the tag by which that one is found. Such a search may take a day, so the batch does not wait
 * for it. It does wait for its place in the queue, for one that primes the cache, and for one of the same count that is on
 * its way.
 */
export function mayGo(job: Job, number: number): number {
  if (job.comparing) return 0
  const { requests } = job.batch(number)
  let inFlight = 0
  for (const batch of job.state.batches.values()) {
    if (batch.number === number) continue
    if (batch.primes && WITHOUT_ANSWERS.has(batch.phase)) return 0
    const isSending = job.sending.has(batch.number)
    if (isSending && batch.requests === requests) return 0
    if (isSending || batch.phase === 'armed' || batch.phase === 'submitted') inFlight += 1
  }
  if (inFlight >= job.concurrency) return 0
  const taken = unresolvedCounts(job)
  const count = freeCount(requests, taken)
  return taken.has(count) ? 0 : count
}

/** Whether all that is left to be sent waits for the end of what the API has: who does not wait for that can send no more. */
export function waitsForEnd(job: Job): boolean {
  if (job.comparing) return false
  let waits = false
  for (const { number, phase, requests } of job.state.batches.values()) {
    if (phase === 'armed' || job.sending.has(number)) return false
    if (phase !== 'sealed' || requests === 0) continue
    if (mayGo(job, number) > 0) return false
    waits = true
  }
  return waits
}
