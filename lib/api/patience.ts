import type { Failure } from './failure.ts'

/** First wait after a failure; it doubles with each further one. The SDK's own numbers begin alike (client.ts). */
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 60_000

/** Answers that are not the API's (a proxy's page, cut JSON) are asked for so often before we give up. */
const NONSENSE_TRIES = 5

/** An API that has never answered is tried so often: the address is probably wrong, and nothing is in flight. */
const STRANGER_TRIES = 6

/** An API that has answered before may be away so long: a batch takes up to 24 hours anyway. */
const LONGEST_OUTAGE_MS = 24 * 60 * 60 * 1000

export interface Trouble {
  /** Failures in a row, this one included. */
  readonly failures: number
  /** Ms since the first of them. */
  readonly forMs: number
  /** Whether the API has ever answered this process. */
  readonly known: boolean
  /** From 0 to 1. */
  readonly random: number
}

/** How long to wait before a read is tried again, in ms; null to give up. Reads cost nothing, so they are patient. */
export function waitBeforeRetry(failure: Failure, trouble: Trouble): number | null {
  switch (failure.kind) {
    case 'silent':
    case 'broken':
    case 'busy':
      if (!trouble.known && trouble.failures >= STRANGER_TRIES) return null
      if (trouble.forMs >= LONGEST_OUTAGE_MS) return null
      // An API that is busy and says "now" is not to be hammered.
      if (failure.retryAfterMs === undefined) return backoff(trouble)
      return Math.max(failure.retryAfterMs, FIRST_WAIT_MS)
    case 'nonsense':
      return trouble.failures < NONSENSE_TRIES ? backoff(trouble) : null
    default:
      return null
  }
}

/** Doubling waits, shortened by up to a quarter so that clients who failed together do not come back together. */
export function backoff({ failures, random }: Pick<Trouble, 'failures' | 'random'>): number {
  const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 20), LONGEST_WAIT_MS)
  return wait * (1 - random * 0.25)
}
