/** The batches of a job that go to the API just now. What became of one that is armed and no longer does has to be looked up. */
export class Sending {
  readonly #numbers: Set<number> = new Set()
  readonly #onEnd: () => void

  /** `onEnd` is called when one no longer is: what is known to have come of it is in the journal then. */
  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  begin(number: number): void {
    this.#numbers.add(number)
  }

  end(number: number): void {
    this.#numbers.delete(number)
    this.#onEnd()
  }

  has(number: number): boolean {
    return this.#numbers.has(number)
  }
}
