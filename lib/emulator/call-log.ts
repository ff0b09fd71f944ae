import type { Operation } from './fault.ts'

/** Calls of which the time and the batch are remembered; the counts go on. */
const REMEMBERED = 10_000

/** How often an operation was answered with a status. */
export interface CallCount {
  readonly op: Operation
  /** HTTP status; 0 where the connection broke before an answer. */
  readonly status: number
  readonly count: number
}

/** One call of the API. */
export interface Call {
  readonly op: Operation
  /** HTTP status; 0 where the connection broke before an answer. */
  readonly status: number
  /** When it was answered, by the emulator's clock. */
  readonly at: number
  /** The id in its path; undefined where there is none. */
  readonly id: string | undefined
}

/** The calls that reached the emulator, counted by operation and status, and the last 10,000 of them in order. */
export class CallLog {
  readonly #counts = new Map<string, number>()
  readonly #last: Call[] = []

  add(call: Call): void {
    const key = `${call.op} ${call.status}`
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    this.#last.push(call)
    // Cut in large steps, so that a call costs nothing on average.
    if (this.#last.length >= 2 * REMEMBERED) this.#last.splice(0, REMEMBERED)
  }

  counts(): CallCount[] {
    return [...this.#counts].map(([key, count]) => {
      const [op, status] = key.split(' ')
      // The keys are made of an Operation in add().
      return { op: op as Operation, status: Number(status), count }
    })
  }

  last(): readonly Call[] {
    return this.#last.slice(-REMEMBERED)
  }
}
