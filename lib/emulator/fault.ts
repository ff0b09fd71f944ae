import type { BatchFault } from './batch-fault.ts'
import type { LineFault } from './line-fault.ts'

/** A call of the API; `other` is any call that the emulator does not know. */
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
 * What a fault does. All members are plain JSON.
 *
 * Without `status`, `redirect`, `body` or `reset` the call gets its usual reply; the other members slow it down, change the
 * reply, or change the batch that the call creates.
 */
export interface FaultEffect extends BatchFault {
  /**
   * When the fault acts. `early`: before the last byte of the request body is read; nothing is done. `before`: the body is
   * read, nothing is done. `after`: the operation is done (a batch is created, and billed), but the fault decides the
   * reply.
   *
   * @default 'before'
   */
  readonly when?: 'early' | 'before' | 'after'
  /**
   * For `early`: how many bytes of the body are read first. A negative number counts from the end: `-1` is everything but
   * the last byte.
   *
   * @default 0
   */
  readonly bytes?: number
  /** Reply with this HTTP status. The default is 500 with `error`, 200 with `body`, 302 with `redirect`. */
  readonly status?: number
  /** Headers of the reply, in addition to or instead of the usual ones. */
  readonly headers?: Readonly<Record<string, string>>
  /** The error of the reply. `type` defaults to the type of the status. */
  readonly error?: {
    /** The API's type of error; that of the status by default. */
    readonly type?: string
    /** The API's message. */
    readonly message?: string
    /** The member `error_code` of the error's details. */
    readonly error_code?: string
  }
  /** Reply with this body instead of the API's JSON, such as a proxy's page. */
  readonly body?: string
  /**
   * The content type of `body`.
   * @default 'text/html'
   */
  readonly contentType?: string
  /** Reply with a redirect to this location. */
  readonly redirect?: string
  /** Reset the connection instead of replying. */
  readonly reset?: boolean
  /** Reset the connection after this many bytes of the reply's body. */
  readonly resetAfterBytes?: number
  /** Stay silent for this many milliseconds, or forever, at the moment that `when` names or after `stallAfterBytes`. */
  readonly stallMs?: number | 'forever'
  /** `stallMs` starts after this many bytes of the reply's body. */
  readonly stallAfterBytes?: number
  /** Faults in the lines of a results download. */
  readonly lines?: LineFault
}

/** A fault and the calls to which it applies. */
export interface FaultRule extends FaultEffect {
  /** The operation, several operations, or `*` for all. */
  readonly on: Operation | '*' | readonly Operation[]
  /** Which of the matching calls, counted from 1; all by default. */
  readonly nth?: number | readonly number[]
  /** The maximum number of times it applies. */
  readonly times?: number
  /** Only calls about this batch, numbered from 1 in order of acceptance; for a create, the batch that it would make. */
  readonly batch?: number | readonly number[]
}

/** A call, as passed to a function that decides about faults. */
export interface FaultCall {
  /** The operation. */
  readonly op: Operation
  /** The number of calls of this operation so far, this one included. */
  readonly nth: number
  /** The batch that the call is about or would create, numbered from 1; undefined if there is none. */
  readonly batch: number | undefined
}

/** Faults as rules, or as a function that is called for each call. */
export type Faults =
  readonly FaultRule[] | ((call: FaultCall) => FaultEffect | readonly FaultEffect[] | undefined)
