import type { TransformCallback } from 'node:stream'
import { BatchStreamError } from '../core/errors.ts'
import type { BatchRequest, RejectedRecord } from '../core/flow.ts'
import { RequestPage } from '../core/request-page.ts'
import type { StoredJob } from '../store/job.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import { SKIPPED } from '../core/answered.ts'

/** If this many records at the start are all invalid, the command is wrong rather than the data. */
export const FIRST = 20

/** The limit of invalid records: a count, or a share of all. */
export type MaxInvalid = { readonly count: number } | { readonly share: number }

export interface GuardOptions {
  readonly job: Pick<StoredJob, 'queue'>
  readonly maxInvalid: MaxInvalid
  /**
   * Maximum records buffered here.
   * @default 16
   */
  readonly highWaterMark?: number
  /**
   * Records that an earlier run processed; they count for a share.
   * @default 0
   */
  readonly before?: number
}

/** Stops submission (`CBS_STOPPED`) before more is sent if more than `maxInvalid` records are rejected. */
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

/** Whether a record is invalid itself, unlike one that is skipped because it failed in an earlier run. */
export function isBad(item: BatchRequest | RejectedRecord): item is RejectedRecord {
  return 'problem' in item && item.problem.type !== SKIPPED
}

/** Counts records, and returns the error that ends the run once too many are invalid. */
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
    // A share is meaningful only for enough records.
    return 'count' in this.#maxInvalid || this.#records >= 1000 ? this.end() : undefined
  }

  addValid(count: number): void {
    this.#records += count
  }

  /** Called after the last record: now a share applies to any number of records. */
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
  const { source, line } = record
  const of = source === undefined ? '' : ` (${source})`
  const { message } = problem
  const said = new RegExp(`\\bline ${line}\\b`).test(message) ? message : `line ${line}: ${message}`
  return new BatchStreamError(
    'CBS_STOPPED',
    `${bad} of ${records} records are invalid, more than \`maxInvalid\` allows; the last one${of}: ${said}`,
    { option: 'maxInvalid', place: { source, line } },
  )
}
