import type { ErrorCode } from '../errors.ts'
import type { JobEvent } from './event.ts'

/** Events of this process alone, which are not journaled. */
export type TransientEvent =
  /** Nothing more is sent in this run, and why; what is in flight is still awaited and written. */
  | { readonly type: 'stopped'; readonly code: ErrorCode; readonly why: string }
  /** A batch has to wait, and why: the API is busy or away, or the outcome of a create is being found out. */
  | { readonly type: 'waiting'; readonly number: number; readonly why: string }
  /** Some rows of a batch wait on disk: they come in input order, and a row before them is retried. */
  | { readonly type: 'held'; readonly number: number }
  /** The rows of a batch are out; so many have been given in all, those that an earlier run wrote included. */
  | { readonly type: 'rows'; readonly number: number; readonly rows: number }

/** What whoever listens to a job hears: each line of its journal once it is written, and what is only told. */
export type RunEvent = JobEvent | TransientEvent
