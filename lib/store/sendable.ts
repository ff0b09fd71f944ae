// Which batches of a job may be sent now.
import type { JobState, Phase } from '../core/job/state.ts'
import type { StoredJob } from './job.ts'

/**
 * Whether all batches of an attempt that an earlier process left have been polled and, if ended, fetched. Nothing is sent
 * before that.
 */
export function isCollected({ queue, state }: StoredJob, attempt: number): boolean {
  for (const number of queue.leftBehind) {
    const batch = state.batches.get(number)
    if (batch?.attempt !== attempt) continue
    if (batch.phase === 'submitted' && queue.isPolled) return false
    if (batch.phase === 'ended' && queue.isFetched) return false
  }
  return true
}

/** Batch ids of a job, according to its journal. */
export function ownedIds({ batches }: JobState): Set<string> {
  const ids = new Set<string>()
  for (const { id } of batches.values()) if (id !== null) ids.add(id)
  return ids
}

/**
 * Request counts of batches whose create has an unknown outcome. Such a batch is recognised in the API's list by its count,
 * so no other batch with that count may be sent.
 */
export function unresolvedCounts(job: StoredJob): ReadonlySet<number> {
  const counts = new Set<number>()
  for (const { number, phase, requests } of job.state.batches.values())
    if (phase === 'armed' && !job.queue.isSending(number)) counts.add(requests)
  return counts
}

/**
 * The number of requests for the next batch: the maximum, minus a few if that count is in use. A batch below half of the
 * maximum would be wasteful; then the maximum is used, and the batch waits until that count is free.
 */
export function freeCount(most: number, used: ReadonlySet<number>): number {
  for (let count = most; count > most / 2; count--) if (!used.has(count)) return count
  return most
}

const WITHOUT_ANSWERS: ReadonlySet<Phase> = new Set(['sealed', 'armed', 'submitted'])

/**
 * How many requests of a sealed batch may be sent now: all, none, or fewer if a batch with the same count has an unknown
 * outcome, since reconciling may take a day. A batch waits for one of the `concurrency` slots, for a batch that fills the
 * cache, and for one with the same count that is being sent. The parts of a split batch share its slot.
 */
export function sendableCount(job: StoredJob, number: number, concurrency: number): number {
  if (job.input.isReplaying) return 0
  const { requests, root } = job.batch(number)
  const inFlight = new Set<number>()
  for (const batch of job.state.batches.values()) {
    if (batch.number === number) continue
    if (batch.primes && WITHOUT_ANSWERS.has(batch.phase)) return 0
    const isSending = job.queue.isSending(batch.number)
    if (isSending && batch.requests === requests) return 0
    if (isSending || batch.phase === 'armed' || batch.phase === 'submitted')
      inFlight.add(batch.root)
  }
  if (inFlight.size >= concurrency && !inFlight.has(root)) return 0
  const used = unresolvedCounts(job)
  const count = freeCount(requests, used)
  return used.has(count) ? 0 : count
}

/**
 * Whether everything unsent waits for the end of batches in flight, or for the outcome of a create that cannot be known now, so that a run
 * that does not wait can send no more.
 */
export function waitsForEnds(job: StoredJob, concurrency: number): boolean {
  if (job.input.isReplaying) return false
  let waits = false
  for (const { number, phase, requests } of job.state.batches.values()) {
    const isSearched = phase === 'armed' && !job.queue.isRetried(number)
    if (isSearched || job.queue.isSending(number)) return false
    if (phase !== 'sealed' || requests === 0) continue
    if (sendableCount(job, number, concurrency) > 0) return false
    waits = true
  }
  return waits
}
