import { setTimeout as wait } from 'node:timers/promises'

/** A source of time, injected so that tests need not wait. */
export interface Clock {
  /** Wall time in ms. It may jump, so differences of it decide nothing. */
  now(): number
  /** Monotonic ms since some moment of this process. */
  elapsed(): number
  /** Resolves after `ms`; rejects at once when the signal aborts. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  elapsed: () => performance.now(),
  sleep: (ms, signal) => wait(ms, undefined, signal ? { signal } : {}),
}
