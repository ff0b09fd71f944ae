import type { RunEvent } from './run-event.ts'
import type { JobState } from './state.ts'

/** The parts of an answer that decide its cost. */
export interface BilledAnswer {
  readonly usage: Readonly<Record<string, unknown>> | null
  readonly model: string | null
  /** Whether the API billed the answer, also if it does not say for how many tokens. */
  readonly isBilled?: boolean
}

/** The durable state of a run, as users see it. `openJob()` makes it, and stages take it as `job`. */
export interface Job {
  /** Its name; that of a shard ends with its number, such as `nightly.00002`. */
  readonly name: string
  /** The progress of each batch, from the job's journal. */
  readonly state: JobState
  /**
   * Calls `listener` for each later event. A listener that throws or rejects changes nothing: its first failure becomes a
   * process warning.
   */
  on(type: 'event', listener: (event: RunEvent) => unknown): this
  /** Stops calling a listener. */
  off(type: 'event', listener: (event: RunEvent) => unknown): this
  /**
   * The cost of an answer in USD; null if its price or its tokens are unknown.
   * @internal
   */
  readonly costOf?: ((answer: BilledAnswer) => number | null) | undefined
  /** Closes the files and releases the lock, after stages that are being destroyed have finished. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
