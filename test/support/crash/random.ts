/** A seeded generator of numbers from 0 to 1, so that a failing trial can be repeated. */
export class Random {
  #state: number

  constructor(seed: number) {
    // Spread out, so that the sequences of seeds 1, 2, 3 differ from the start.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
    this.next()
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to one below `end`. */
  below(end: number): number {
    return Math.floor(this.next() * end)
  }
}
