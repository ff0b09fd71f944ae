import { Transform, type TransformCallback } from 'node:stream'
import { BatchStreamError } from '../errors.ts'
import type { BatchRequest, RejectedRecord } from '../flow.ts'
import { typed, type Stage } from '../stage.ts'
import type { Settings } from './settings.ts'

/** So many records, all bad from the first on, mean that the command is wrong and not the data. */
export const FIRST = 20

/**
 * Stops a run whose input goes bad: more than `maxInvalid` rejected records end it with `CBS_STOPPED` before more is sent. A
 * share is looked at from the 1,000th record on, where it means something. So many records wait here at most.
 */
export function guard(
  maxInvalid: Settings['maxInvalid'],
  highWaterMark: number = 16,
): Stage<BatchRequest | RejectedRecord, BatchRequest | RejectedRecord> {
  const check = invalidCounter(maxInvalid)
  return typed(
    new Transform({
      objectMode: true,
      highWaterMark,
      transform(item: BatchRequest | RejectedRecord, _encoding, done: TransformCallback) {
        const error = check('problem' in item ? item : undefined)
        if (error) done(error)
        else done(null, item)
      },
    }),
  )
}

/** Counts records; gives the error that ends the run once too many of them are bad. */
export function invalidCounter(
  maxInvalid: Settings['maxInvalid'],
): (rejected: RejectedRecord | undefined) => BatchStreamError | undefined {
  let records = 0
  let bad = 0
  return rejected => {
    records += 1
    if (!rejected) return undefined
    bad += 1
    const tooMany =
      'count' in maxInvalid
        ? bad > maxInvalid.count
        : records >= 1000 && bad / records > maxInvalid.share
    return tooMany ? stopped(bad, records, rejected) : undefined
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
    `${bad} of ${records} records cannot be asked, more than --max-invalid allows; the last one (${where}): ${problem.message}`,
    { place: { source: record.source, line: record.line } },
  )
}
