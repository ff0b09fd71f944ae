import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../../lib/core/clock.ts'
import type { EmulatorClock } from '../../lib/emulator/index.ts'
import { isZlibBusy } from './zlib-work.ts'

/** After this many rounds of the event loop without pending work, only time can cause progress. */
const QUIET_ROUNDS = 12

/** After this many rounds with pending work, untilIdle no longer spins. */
const BUSY_ROUNDS = 100

/** More virtual time than any test needs; a longer sleep would never end. */
const LONGEST_MS = 400 * 24 * 60 * 60 * 1000

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

/**
 * A clock that advances only when nothing else happens: once no file operation or stream is pending, the next sleeper wakes.
 * Waits of hours cost nothing, and no test depends on the speed of the machine. `server` is the clock of the API, which does
 * not jump with this one.
 */
export class VirtualClock implements Clock {
  readonly started: number = Date.parse('2026-11-20T12:00:00Z')
  readonly sleepers: Set<Sleeper> = new Set()
  #elapsed = 0
  #jumped = 0
  #running = false

  readonly server: EmulatorClock = {
    now: () => this.started + this.#elapsed,
    sleep: (ms, signal) => this.sleep(ms, signal).catch(() => {}),
  }

  now(): number {
    return this.started + this.#jumped + this.#elapsed
  }

  elapsed(): number {
    return this.#elapsed
  }

  /** Moves the wall clock forward or back; elapsed time is not affected. */
  jump(ms: number): void {
    this.#jumped += ms
  }

  /** Advances time while nothing sleeps, as between two processes. */
  pass(ms: number): void {
    this.#elapsed += ms
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.sleepers.delete(sleeper)
        signal?.removeEventListener('abort', stop)
      }
      const stop = (): void => {
        leave()
        reject(signal?.reason)
      }
      const sleeper: Sleeper = {
        due: this.#elapsed + ms,
        wake: () => {
          leave()
          resolve()
        },
      }
      if (signal?.aborted) return reject(signal.reason)
      signal?.addEventListener('abort', stop)
      this.sleepers.add(sleeper)
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    while (this.sleepers.size > 0) {
      await untilIdle()
      const next = [...this.sleepers].sort((a, b) => a.due - b.due)[0]
      if (!next) break
      if (next.due > LONGEST_MS) throw new Error('a test sleeps for more than a year')
      this.#elapsed = Math.max(this.#elapsed, next.due)
      next.wake()
    }
    this.#running = false
  }
}

/** Resolves when no file operation, compression or connection attempt has been pending for some rounds of the event loop. */
export async function untilIdle(): Promise<void> {
  let busy = 0
  for (let quiet = 0; quiet < QUIET_ROUNDS; quiet++) {
    await new Promise(resolve => setImmediate(resolve))
    const isBusy = process.getActiveResourcesInfo().some(kind => /req/i.test(kind))
    if (!isBusy && !isZlibBusy()) continue
    quiet = -1
    // A disk takes milliseconds, in which other tests may have the processor.
    if (++busy > BUSY_ROUNDS) await pause(1)
  }
}
