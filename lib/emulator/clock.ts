/** The emulator's clock. A test may pass its own and advance it: batches end by this clock, without timers. */
export interface EmulatorClock {
  /** Milliseconds since 1970. */
  now(): number
  /**
   * Resolves after `ms`, or as soon as the signal aborts. Only stalls use it.
   * @default a timer of Node
   */
  sleep?(ms: number, signal: AbortSignal): Promise<void>
}

/** The system clock. */
export const SYSTEM_CLOCK: EmulatorClock = { now: Date.now }

/** The maximum of setTimeout: a stall `forever` lasts 24 days. */
const LONGEST_MS = 2 ** 31 - 1

/** Waits `ms` or until the signal aborts, whichever comes first. It never rejects and removes its listener. */
export function sleep(
  clock: EmulatorClock,
  ms: number | 'forever',
  signal: AbortSignal,
): Promise<void> {
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

/** RFC 3339 with microseconds, as the API formats times. `micros` distinguishes events of one millisecond. */
export function rfc3339(ms: number, micros = 0): string {
  const digits = String(micros % 1000).padStart(3, '0')
  return new Date(ms).toISOString().replace('Z', `${digits}Z`)
}
