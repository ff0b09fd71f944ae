import type { BatchFault } from './batch-fault.ts'
import type { LineFault } from './line-fault.ts'

/** A call that the API knows; `other` is one that it does not. */
export type Operation =
  | 'create'
  | 'retrieve'
  | 'list'
  | 'results'
  | 'cancel'
  | 'delete'
  | 'count_tokens'
  | 'messages'
  | 'models'
  | 'other'

/**
 * What goes wrong, when its turn comes. Everything in it is plain JSON.
 *
 * Without `status`, `redirect`, `body` or `reset` the call is answered as ever; the other members then slow it down, shape its
 * answer, or shape the batch that it creates.
 */
export interface FaultEffect extends BatchFault {
  /**
   * When the fault acts. `early`: before the last byte of the request's body is read, nothing is done. `before`: the body
   * is read, nothing is done. `after`: it is done (a batch is created, and billed), but this is the answer.
   *
   * @default 'before'
   */
  readonly when?: 'early' | 'before' | 'after'
  /**
   * For `early`: how many bytes of the body are read first; a negative number counts from its end, `-1` being everything
   * but the last byte.
   *
   * @default 0
   */
  readonly bytes?: number
  /** Answer with this HTTP status; for `error` the default is 500, for `body` 200, for `redirect` 302. */
  readonly status?: number
  /** Headers of the answer, beside or instead of those that it has anyhow. */
  readonly headers?: Readonly<Record<string, string>>
  /** The error of the answer. `type` follows from the status unless it is given. */
  readonly error?: {
    readonly type?: string
    readonly message?: string
    readonly error_code?: string
  }
  /** Answer with this body instead of JSON of the API, such as a proxy's page. */
  readonly body?: string
  /** The content type of `body`. @default 'text/html' */
  readonly contentType?: string
  /** Answer with a redirect to this location. */
  readonly redirect?: string
  /** Reset the connection instead of answering. */
  readonly reset?: boolean
  /** Reset the connection when this many bytes of the answer's body are sent. */
  readonly resetAfterBytes?: number
  /** Stay silent for this many milliseconds, or forever, at the time that `when` says; or after `stallAfterBytes`. */
  readonly stallMs?: number | 'forever'
  /** The silence of `stallMs` comes when this many bytes of the answer's body are sent. */
  readonly stallAfterBytes?: number
  /** What is wrong with the lines of a results download. */
  readonly lines?: LineFault
}

/** A fault and the calls that it applies to. */
export interface FaultRule extends FaultEffect {
  /** The operation, several of them, or `*` for all. */
  readonly on: Operation | '*' | readonly Operation[]
  /** Which of the calls that match, counted from 1; all of them by default. */
  readonly nth?: number | readonly number[]
  /** How often it applies at most. */
  readonly times?: number
  /** Only calls about this batch, numbered from 1 as they were accepted; for a create, the batch that it would make. */
  readonly batch?: number | readonly number[]
}

/** A call, as a function that decides about faults sees it. */
export interface FaultCall {
  readonly op: Operation
  /** How many calls of this operation there have been, this one included. */
  readonly nth: number
  /** The batch that it is about, or would create, numbered from 1; undefined where there is none. */
  readonly batch: number | undefined
}

/** Faults as rules, or as a function that is asked at each call. */
export type Faults =
  readonly FaultRule[] | ((call: FaultCall) => FaultEffect | readonly FaultEffect[] | undefined)
