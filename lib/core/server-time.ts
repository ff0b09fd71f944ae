import type { Clock } from './clock.ts'

/** How far our two clocks may disagree since the last answer; beyond that the machine slept or its clock was set. */
const TRUSTED_MS = 60_000

/** The API's clock, from its `date` headers. The local clock may be wrong and may jump; the API's decides what is old. */
export class ServerTime {
  readonly #clock: Clock
  #last: { readonly serverMs: number; readonly elapsed: number; readonly wall: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Takes in a `date` header; one that is missing or no date changes nothing. */
  observe(date: string | null): void {
    const serverMs = Date.parse(date ?? '')
    if (Number.isNaN(serverMs)) return
    this.#last = { serverMs, elapsed: this.#clock.elapsed(), wall: this.#clock.now() }
  }

  /** Ms since 1970 by the API's clock; null before the first `date` header. */
  now(): number | null {
    return this.#last ? this.#last.serverMs + (this.#clock.elapsed() - this.#last.elapsed) : null
  }

  /** The same, or null when in doubt: while a machine sleeps, its monotonic clock stands still and the API's does not. */
  sure(): number | null {
    if (!this.#last) return null
    const { elapsed, wall } = this.#last
    const apart = this.#clock.now() - wall - (this.#clock.elapsed() - elapsed)
    return Math.abs(apart) > TRUSTED_MS ? null : this.now()
  }

  /** The same, or the local clock's time before the first `date` header. */
  nowOrOurs(): number {
    return this.now() ?? this.#clock.now()
  }
}
