import type { Clock } from '../../lib/core/clock.ts'

interface Sleeper {
  readonly due: number
  readonly wake: () => void
}

/** Time that passes only when a test says so. */
export class HandClock implements Clock {
  readonly started: number = Date.parse('2026-11-20T12:00:00Z')
  readonly sleepers: Set<Sleeper> = new Set()
  #elapsed = 0

  now(): number {
    return this.started + this.#elapsed
  }

  elapsed(): number {
    return this.#elapsed
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const sleeper = { due: this.#elapsed + ms, wake: resolve }
      this.sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        this.sleepers.delete(sleeper)
        reject(signal.reason)
      })
    })
  }

  /** Lets time pass; who wakes on the way has done what it does when this returns. */
  async pass(ms: number): Promise<void> {
    const end = this.#elapsed + ms
    for (;;) {
      await new Promise(resolve => setImmediate(resolve))
      const next = [...this.sleepers].sort((a, b) => a.due - b.due)[0]
      if (!next || next.due > end) break
      this.#elapsed = next.due
      this.sleepers.delete(next)
      next.wake()
    }
    this.#elapsed = end
  }
}
