import type { JobEvent } from '../core/job/event.ts'

/** The append-only truth about a job: what it does not say has not happened. */
export interface Journal {
  /** Appends an event; with `durable`, returns when it survives a power cut. Appends keep their order. */
  append(event: JobEvent, durable: boolean): Promise<void>
  close(): Promise<void>
}
