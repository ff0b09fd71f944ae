import type { RunEvent } from './run-event.ts'
import type { JobState } from './state.ts'

/** What decides the cost of an answer. */
export interface Answer {
  readonly usage: Readonly<Record<string, unknown>> | null
  readonly model: string | null
}

/** The durable memory of a run, as users see it: made by `openJob()` and passed to stages as `job`. */
export interface Job {
  readonly name: string
  /** How far each batch has come, by the job's journal. */
  readonly state: JobState
  /**
   * Calls `listener` for each event from now on. A listener that throws or rejects changes nothing: its first failure becomes
   * a process warning.
   */
  on(type: 'event', listener: (event: RunEvent) => unknown): this
  /** Stops calling a listener. */
  off(type: 'event', listener: (event: RunEvent) => unknown): this
  /**
   * What an answer cost, in USD; null where the price of its model is unknown.
   * @internal
   */
  readonly costOf?: ((answer: Answer) => number | null) | undefined
  /** Closes the files and frees the lock. Stages that are being destroyed come to their end first. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
