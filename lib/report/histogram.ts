import { bisectRight, max, min, sum } from 'd3-array'

/** Bins per doubling: the finest that a page could show. */
const FINE = 8
/** The minimum number of bins shown: fewer would not show that all values are similar. */
const LEAST_SHOWN = 12
/** The last bin is open: no answer has that many tokens. */
const DOUBLINGS = 24

/** The starts of the bins: 0, then whole numbers an eighth of a doubling apart. */
const EDGES: readonly number[] = [
  0,
  ...new Set(Array.from({ length: DOUBLINGS * FINE + 1 }, (_, at) => Math.ceil(2 ** (at / FINE)))),
]

/** A bin; `to` is exclusive. */
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

/** Counts whole numbers in fixed bins, in constant memory. */
export class Histogram {
  readonly #counts = Array.from(EDGES, () => 0)
  #count = 0
  #sum = 0
  #least = Infinity
  #most = 0

  add(value: number): void {
    const at = bisectRight(EDGES, value) - 1
    // Values are not negative, so there always is a bin.
    this.#counts[at] = (this.#counts[at] as number) + 1
    this.#count += 1
    this.#sum += value
    this.#least = Math.min(this.#least, value)
    this.#most = Math.max(this.#most, value)
  }

  get count(): number {
    return this.#count
  }

  /** Exact except for the median, which is as exact as its bin; zeros if nothing was counted. */
  get summary(): Distribution {
    const least = Math.min(this.#least, this.#most)
    let before = 0
    const at = this.#counts.findIndex(count => (before += count) * 2 >= this.#count)
    // Some bin reaches half of the count.
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
   * The bins from the first to the last that is not empty, with empty ones around them if these are few. Neighbours are joined
   * until there are at most `most`.
   */
  bins(most: number): Bin[] {
    const fine = EDGES.map((from, at) => ({
      from,
      to: EDGES[at + 1] ?? Math.max(from, this.#most) + 1,
      // Every edge has a count.
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
        // Every slice has at least one bin.
        from: joined[0]?.from as number,
        to: joined.at(-1)?.to as number,
        count: sum(joined, ({ count }) => count),
      }
    })
  }
}
