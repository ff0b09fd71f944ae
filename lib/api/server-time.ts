import type { Clock } from '../clock.ts'

/** What our two clocks may disagree by since an answer came; more, and the machine has slept, or its clock was set. */
const TRUSTED_MS = 60_000

/** The API's clock, as its `date` headers tell it. Ours may be wrong and may jump; the API's decides what is old. */
export class ServerTime {
  readonly #clock: Clock
  #last: { readonly serverMs: number; readonly elapsed: number; readonly wall: number } | undefined
  /** Whether the API has answered this process at all. */
  heard = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  hear(date: string | null): void {
    this.heard = true
    const serverMs = Date.parse(date ?? '')
    if (Number.isNaN(serverMs)) return
    this.#last = { serverMs, elapsed: this.#clock.elapsed(), wall: this.#clock.now() }
  }

  /** Ms since 1970 by the API's clock; null where no answer has told. */
  now(): number | null {
    return this.#last ? this.#last.serverMs + (this.#clock.elapsed() - this.#last.elapsed) : null
  }

  /** The same where it is beyond doubt. While a machine sleeps, the clock that never jumps stands still, and the API's does not. */
  sure(): number | null {
    if (!this.#last) return null
    const { elapsed, wall } = this.#last
    const apart = this.#clock.now() - wall - (this.#clock.elapsed() - elapsed)
    return Math.abs(apart) > TRUSTED_MS ? null : this.now()
  }

  /** The same, and by our own clock where no answer has told. */
  nowOrOurs(): number {
    return this.now() ?? this.#clock.now()
  }
}
