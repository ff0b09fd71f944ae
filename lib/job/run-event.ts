import type { JobEvent } from './event.ts'

/** What is told of a run and not journaled: it is true of this process alone. */
export type Told =
  /** A batch has to wait, and why: the API is busy or away, or the outcome of a create is being found out. */
  | { readonly type: 'waiting'; readonly number: number; readonly why: string }
  /** Some rows of a batch wait on disk: they come in input order, and a row before them is retried. */
  | { readonly type: 'held'; readonly number: number }
  /** The rows of a batch are out; so many have been given in all, those that an earlier run wrote included. */
  | { readonly type: 'rows'; readonly number: number; readonly rows: number }

/** What whoever listens to a job hears: each line of its journal once it is written, and what is only told. */
export type RunEvent = JobEvent | Told
