import type { JobEvent } from '../core/job/event.ts'

/** The append-only truth about a job: what it does not say has not happened. */
export interface Journal {
  /** Appends an event; with `durable`, returns when it survives a power cut. Appends keep their order. */
  append(event: JobEvent, durable: boolean): Promise<void>
  /**
   * Throws where another process may own the job by now. It is asked right before the last byte of a batch is sent, and
   * without a wait, since nothing may come between the answer and the byte.
   */
  assertOwned(): void
  /** Aborts with the reason when this process has lost the job. */
  readonly lost: AbortSignal
  close(): Promise<void>
}
