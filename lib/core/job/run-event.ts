import type { ErrorCode } from '../errors.ts'
import type { JobEvent } from './event.ts'

/** Events of this process only, which are not journaled. */
export type TransientEvent =
  /** Submission stopped, and why. Batches in flight are still awaited and written. */
  | { readonly type: 'stopped'; readonly code: ErrorCode; readonly why: string }
  /** A batch has to wait, and why: the API is busy or unreachable, or the outcome of a create is being reconciled. */
  | { readonly type: 'waiting'; readonly number: number; readonly why: string }
  /**
   * A sentence that the user should read, which changes nothing: a model is deprecated, the preflight could not check
   * anything, an earlier job has no answers to reuse. Only `runBatches` emits it.
   */
  | { readonly type: 'notice'; readonly message: string }
  /** Some rows of a batch wait on disk: rows come in input order, and an earlier row is being retried. */
  | { readonly type: 'held'; readonly number: number }
  /** The rows of a batch were emitted; `rows` is the total so far, including rows of earlier runs. */
  | { readonly type: 'rows'; readonly number: number; readonly rows: number }

/** What listeners of a job receive: each journal event once it is written, and transient events. */
export type RunEvent = JobEvent | TransientEvent
