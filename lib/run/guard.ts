import type { TransformCallback } from 'node:stream'
import { BatchStreamError } from '../core/errors.ts'
import type { BatchRequest, RejectedRecord } from '../core/flow.ts'
import { RequestPage } from '../core/request-page.ts'
import type { StoredJob } from '../store/job.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import { SKIPPED } from '../core/answered.ts'

/** So many records, all bad from the first on, mean that the command is wrong and not the data. */
export const FIRST = 20

/** How many records may be invalid: so many, or such a share of all. */
export type MaxInvalid = { readonly count: number } | { readonly share: number }

export interface GuardOptions {
  readonly job: Pick<StoredJob, 'queue'>
  readonly maxInvalid: MaxInvalid
  /** So many records wait here at most. @default 16 */
  readonly highWaterMark?: number
  /** Records of the job that an earlier run has dealt with; a share is one of these, too. @default 0 */
  readonly before?: number
}

/** Stops submission (`CBS_STOPPED`) when more records than `maxInvalid` are rejected, before more is sent. */
export function guard({
  job,
  maxInvalid,
  highWaterMark = 16,
  before = 0,
}: GuardOptions): Stage<BatchRequest | RejectedRecord, BatchRequest | RejectedRecord> {
  const counter = new InvalidCounter(maxInvalid, before)
  return typed(
    new StageTransform({
      objectMode: true,
      highWaterMark,
      takesPages: true,
      transform(
        item: BatchRequest | RejectedRecord | RequestPage,
        _encoding,
        done: TransformCallback,
      ) {
        if (item instanceof RequestPage) counter.addValid(item.count)
        const error =
          item instanceof RequestPage ? undefined : counter.add(isBad(item) ? item : undefined)
        if (error) job.queue.stop(error)
        if (job.queue.stopReason) done()
        else done(null, item)
      },
      flush(done) {
        const error = counter.end()
        if (error) job.queue.stop(error)
        done()
      },
    }),
  )
}

/** Whether a record cannot be sent for a fault of its own; one that failed in an earlier run has none. */
export function isBad(item: BatchRequest | RejectedRecord): item is RejectedRecord {
  return 'problem' in item && item.problem.type !== SKIPPED
}

/** Counts records; gives the error that ends the run once too many of them are bad. */
export class InvalidCounter {
  readonly #maxInvalid: MaxInvalid
  #records: number
  #bad = 0
  #last: RejectedRecord | undefined

  constructor(maxInvalid: MaxInvalid, before = 0) {
    this.#maxInvalid = maxInvalid
    this.#records = before
  }

  add(rejected: RejectedRecord | undefined): BatchStreamError | undefined {
    this.#records += 1
    if (!rejected) return undefined
    this.#bad += 1
    this.#last = rejected
    // A share means something once there are enough records to take it of.
    return 'count' in this.#maxInvalid || this.#records >= 1000 ? this.end() : undefined
  }

  addValid(count: number): void {
    this.#records += count
  }

  /** Called when no more records come: a share is one of all of them then, however few there are. */
  end(): BatchStreamError | undefined {
    const bad = this.#bad
    const records = this.#records
    const tooMany =
      'count' in this.#maxInvalid
        ? bad > this.#maxInvalid.count
        : bad / records > this.#maxInvalid.share
    return this.#last && tooMany ? stopped(bad, records, this.#last) : undefined
  }
}

function stopped(
  bad: number,
  records: number,
  { record, problem }: RejectedRecord,
): BatchStreamError {
  const where =
    record.source === undefined ? `line ${record.line}` : `${record.source}, line ${record.line}`
  return new BatchStreamError(
    'CBS_STOPPED',
    `${bad} of ${records} records are invalid, more than --max-invalid allows; the last one (${where}): ${problem.message}`,
    { place: { source: record.source, line: record.line } },
  )
}
