/** A result row that is an error. */
export interface ErroredFault {
  /** The position of the request in its batch, from 0; or several. */
  readonly index?: number | readonly number[]
  /** Requests whose JSON contains this text. Without `index` and `containing`, every request. */
  readonly containing?: string
  /**
   * The error of the row.
   * @default an `api_error`
   */
  readonly error?: {
    /** The API's type of error. */
    readonly type?: string
    /** The API's message. */
    readonly message?: string
  }
  /**
   * How often the same params fail before they succeed.
   * @default always
   */
  readonly times?: number
}

/** Faults of the batch that a create makes. Only used with `on: 'create'`. */
export interface BatchFault {
  /** Reject the create with a 400 that names the first request whose JSON contains this text (`requests.7.params...`). */
  readonly rejectRequest?: string
  /** Reject the create with a 400 that names no request, if the JSON of any request contains this text. */
  readonly refuseContaining?: string
  /** The create replies with this id, which is not that of the batch, as a gateway with a broken cache does. */
  readonly replyId?: string
  /** retrieve, cancel, delete and results reply 404 until the batch is this old. */
  readonly notFoundMs?: number
  /** The list omits the batch until it is this old. */
  readonly listedAfterMs?: number
  /** Every call treats the batch as unknown once it is this old. */
  readonly vanishAfterMs?: number
  /** All requests expire, or those at these positions, from 0. */
  readonly expire?: true | readonly number[]
  /** Rows that fail. */
  readonly errored?: readonly ErroredFault[]
  /** The `results_url`: null, or a URL whose scheme, host and port replace the emulator's own. */
  readonly resultsUrl?: string | null
  /** Added to the counts of the ended batch, so that they disagree with its lines. */
  readonly counts?: Readonly<
    Partial<Record<'processing' | 'succeeded' | 'errored' | 'canceled' | 'expired', number>>
  >
  /** Treat the batch as older than 29 days: it can be retrieved, but its results are gone. */
  readonly archived?: boolean
}

/** Merges several faults of one create. */
export function mergeBatchFaults(faults: readonly BatchFault[]): BatchFault {
  const errored = faults.flatMap(fault => fault.errored ?? [])
  return Object.assign({}, ...faults, errored.length > 0 ? { errored } : {})
}

/**
 * The error that a fault script defines for this request; undefined if none. `seen` is how often its params were processed,
 * this time included.
 */
export function erroredRow(
  faults: readonly ErroredFault[],
  index: number,
  json: string,
  seen: number,
): { type: string; message: string } | undefined {
  for (const fault of faults) {
    if (fault.index !== undefined && ![fault.index].flat().includes(index)) continue
    if (fault.containing !== undefined && !json.includes(fault.containing)) continue
    if (seen > (fault.times ?? Infinity)) continue
    return {
      type: fault.error?.type ?? 'api_error',
      message: fault.error?.message ?? 'Internal server error',
    }
  }
  return undefined
}
