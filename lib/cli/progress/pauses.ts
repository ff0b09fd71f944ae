import type { Clock } from '../../core/clock.ts'

/** Pauses of a loop that can be cut short and ended. */
export class Pauses {
  readonly #clock: Clock
  #now: AbortController | undefined
  over = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  async take(ms: number): Promise<void> {
    if (this.over) return
    const pause = new AbortController()
    this.#now = pause
    await this.#clock.sleep(ms, pause.signal).catch(() => {})
  }

  /** Ends the current pause. */
  cut(): void {
    this.#now?.abort()
  }

  end(): void {
    this.over = true
    this.cut()
  }
}
