import type { Clock } from '../clock.ts'

/** The API's clock, as its `date` headers tell it. Ours may be wrong and may jump; the API's decides what is old. */
export class ServerTime {
  readonly #clock: Clock
  #last: { readonly serverMs: number; readonly elapsed: number } | undefined
  /** Whether the API has answered this process at all. */
  heard = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  hear(date: string | null): void {
    this.heard = true
    const serverMs = Date.parse(date ?? '')
    if (!Number.isNaN(serverMs)) this.#last = { serverMs, elapsed: this.#clock.elapsed() }
  }

  /** Ms since 1970 by the API's clock; null where no answer has told. */
  now(): number | null {
    return this.#last ? this.#last.serverMs + (this.#clock.elapsed() - this.#last.elapsed) : null
  }

  /** The same, and by our own clock where no answer has told. */
  nowOrOurs(): number {
    return this.now() ?? this.#clock.now()
  }
}
