import type { JobEvent } from '../core/job/event.ts'

/** The append-only log of a job: what it does not contain has not happened. */
export interface Journal {
  /** Appends an event; with `durable`, resolves when it survives a power failure. Events keep their order. */
  append(event: JobEvent, durable: boolean): Promise<void>
  /**
   * Throws if another process may own the job now. It is called right before the last byte of a batch is sent, and is
   * synchronous so that nothing can happen in between.
   */
  assertOwned(): void
  /** Aborts with the reason when this process loses the job. */
  readonly lost: AbortSignal
  close(): Promise<void>
}
