/** Where the emulator reads the time. A test may bring its own and turn it by hand: batches end by it, without timers. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Resolves after `ms`, or as soon as the signal aborts. Only stalls need it; by default a timer of Node. */
  sleep?(ms: number, signal: AbortSignal): Promise<void>
}

/** The machine's own clock. */
export const SYSTEM_CLOCK: Clock = { now: Date.now }

/** setTimeout takes no more than this; a stall that lasts forever is one of 24 days. */
const LONGEST_MS = 2 ** 31 - 1

/** Waits `ms` or until the signal aborts, whichever comes first. It never rejects and leaves no listener behind. */
export function sleep(clock: Clock, ms: number | 'forever', signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  const time = ms === 'forever' ? LONGEST_MS : Math.min(ms, LONGEST_MS)
  if (clock.sleep) return clock.sleep(time, signal)
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, time)
    signal.addEventListener('abort', done)
  })
}

/** RFC 3339 with microseconds, as the API writes its times. `micros` tells apart what happened in one millisecond. */
export function rfc3339(ms: number, micros = 0): string {
  const digits = String(micros % 1000).padStart(3, '0')
  return new Date(ms).toISOString().replace('Z', `${digits}Z`)
}
