/** A row that the API fails to answer. */
export interface ErroredFault {
  /** The place of the request in its batch, from 0; or several. */
  readonly index?: number | readonly number[]
  /** Requests whose JSON holds this text. Without `index` and `containing` it is every request. */
  readonly containing?: string
  /** The error of the row. @default an `api_error` */
  readonly error?: { readonly type?: string; readonly message?: string }
  /** How often the same params fail before they are answered. @default always */
  readonly times?: number
}

/** What is wrong with the batch that a create makes. Of use only with `on: 'create'`. */
export interface BatchFault {
  /** Refuse the create with a 400 that names the first request whose JSON holds this text (`requests.7.params...`). */
  readonly rejectRequest?: string
  /** Refuse the create with a 400 that names no request, if the JSON of one holds this text. */
  readonly refuseContaining?: string
  /** retrieve, cancel, delete and results answer 404 until the batch is this old. */
  readonly notFoundMs?: number
  /** The list leaves it out until it is this old. */
  readonly listedAfterMs?: number
  /** The batch is gone for good, from every call, when it is this old. */
  readonly vanishAfterMs?: number
  /** All of its requests expire, or those with these places, from 0. */
  readonly expire?: true | readonly number[]
  /** Rows that fail. */
  readonly errored?: readonly ErroredFault[]
  /** What `results_url` says: null, or a URL whose scheme, host and port replace the emulator's own. */
  readonly resultsUrl?: string | null
  /** Added to the counts of the ended batch, so that they disagree with its lines. */
  readonly counts?: Readonly<
    Partial<Record<'processing' | 'succeeded' | 'errored' | 'canceled' | 'expired', number>>
  >
  /** As if 29 days had passed since it was created: it can be looked at, its results are gone. */
  readonly archived?: boolean
}

/** Several faults of one create as one. */
export function mergeBatchFaults(faults: readonly BatchFault[]): BatchFault {
  const errored = faults.flatMap(fault => fault.errored ?? [])
  return Object.assign({}, ...faults, errored.length > 0 ? { errored } : {})
}

/** The error that a fault script wants for this request; undefined for none. `seen` says how often its params were asked, this time included. */
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
