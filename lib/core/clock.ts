import { setTimeout as wait } from 'node:timers/promises'

/** Time, passed in so that tests need no waiting. */
export interface Clock {
  /** Wall time in ms; it may jump, so nothing is decided by a difference of two of these. */
  now(): number
  /** Ms since some fixed moment of this process; never goes back. */
  elapsed(): number
  /** Resolves after `ms`; rejects at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) => wait(ms, undefined, signal ? { signal } : {}),
}
