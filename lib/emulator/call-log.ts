import type { Operation } from './fault.ts'

/** Calls that are kept in detail; the counts cover all. */
const REMEMBERED = 10_000

/** How often an operation got a status. */
export interface CallCount {
  /** The operation. */
  readonly op: Operation
  /** HTTP status; 0 if the connection broke before the reply. */
  readonly status: number
  /** How often. */
  readonly count: number
}

/** One call of the API. */
export interface Call {
  /** The operation. */
  readonly op: Operation
  /** HTTP status; 0 if the connection broke before the reply. */
  readonly status: number
  /** When the reply was sent, by the emulator's clock. */
  readonly at: number
  /** The id in its path; undefined if there is none. */
  readonly id: string | undefined
}

/** The calls that reached the emulator: counts by operation and status, and the last 10,000 in order. */
export class CallLog {
  readonly #counts = new Map<string, number>()
  readonly #last: Call[] = []

  add(call: Call): void {
    const key = `${call.op} ${call.status}`
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
    this.#last.push(call)
    // Trimmed in large steps, so that the average cost per call is negligible.
    if (this.#last.length >= 2 * REMEMBERED) this.#last.splice(0, REMEMBERED)
  }

  counts(): CallCount[] {
    return [...this.#counts].map(([key, count]) => {
      const [op, status] = key.split(' ')
      // add() builds the keys from an Operation.
      return { op: op as Operation, status: Number(status), count }
    })
  }

  last(): readonly Call[] {
    return this.#last.slice(-REMEMBERED)
  }
}
