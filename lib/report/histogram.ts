import { bisectRight, max, min, sum } from 'd3-array'

/** Bins for each doubling: the finest that a page could show. */
const FINE = 8
/** A histogram of fewer would not show that all values are alike. */
const LEAST_SHOWN = 12
/** Beyond it lies the last bin, which is open: no answer has so many tokens. */
const DOUBLINGS = 24

/** Where bins begin: 0, then whole numbers that grow by an eighth of a doubling each. */
const EDGES: readonly number[] = [
  0,
  ...new Set(Array.from({ length: DOUBLINGS * FINE + 1 }, (_, at) => Math.ceil(2 ** (at / FINE)))),
]

/** From `from` to below `to`. */
export interface Bin {
  readonly from: number
  readonly to: number
  readonly count: number
}

export interface Distribution {
  readonly least: number
  readonly median: number
  readonly mean: number
  readonly most: number
}

/** Counts whole numbers in bins that are set from the start: however many come, it takes the same memory. */
export class Histogram {
  readonly #counts = Array.from(EDGES, () => 0)
  #count = 0
  #sum = 0
  #least = Infinity
  #most = 0

  add(value: number): void {
    const at = bisectRight(EDGES, value) - 1
    // Values are not negative, so there is always such a bin.
    this.#counts[at] = (this.#counts[at] as number) + 1
    this.#count += 1
    this.#sum += value
    this.#least = Math.min(this.#least, value)
    this.#most = Math.max(this.#most, value)
  }

  get count(): number {
    return this.#count
  }

  /** Exact, but for the median, which is known as well as its bin; zeros where nothing was counted. */
  get summary(): Distribution {
    const least = Math.min(this.#least, this.#most)
    let before = 0
    const at = this.#counts.findIndex(count => (before += count) * 2 >= this.#count)
    // One of the bins reaches the half.
    const from = EDGES[at] as number
    const to = EDGES[at + 1] ?? this.#most
    const middle = Math.floor((from + Math.max(from, to - 1)) / 2)
    return {
      least,
      median: Math.min(this.#most, Math.max(least, middle)),
      mean: this.#sum / Math.max(1, this.#count),
      most: this.#most,
    }
  }

  /**
   * The bins from the first to the last that holds something, with empty ones around them where these are few; neighbours
   * are joined until there are at most `most`.
   */
  bins(most: number): Bin[] {
    const fine = EDGES.map((from, at) => ({
      from,
      to: EDGES[at + 1] ?? Math.max(from, this.#most) + 1,
      count: this.#counts[at] as number,
    }))
    const used = fine.flatMap(({ count }, at) => (count > 0 ? [at] : []))
    const first = min(used)
    const last = max(used)
    if (first === undefined || last === undefined) return []
    const around = Math.max(0, Math.ceil((LEAST_SHOWN - (last + 1 - first)) / 2))
    const shown = fine.slice(Math.max(0, first - around), last + 1 + around)
    const width = Math.ceil(shown.length / most)
    return Array.from({ length: Math.ceil(shown.length / width) }, (_, at) => {
      const joined = shown.slice(at * width, (at + 1) * width)
      return {
        // None of them is empty.
        from: joined[0]?.from as number,
        to: joined.at(-1)?.to as number,
        count: sum(joined, ({ count }) => count),
      }
    })
  }
}
