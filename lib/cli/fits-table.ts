import { Transform } from 'node:stream'
import type { BatchRequest, RejectedRecord } from '../flow.ts'
import { typed, type Stage } from '../stage.ts'

/**
 * Rejects a record with a field that the table has no column for, before anything is spent on it: its row would hide what
 * it holds. `added` are fields that rows have anyhow.
 */
export function fitsTable(
  columns: readonly string[],
  added: readonly string[],
): Stage<BatchRequest | RejectedRecord, BatchRequest | RejectedRecord> {
  const known = new Set([...columns, ...added])
  return typed(
    new Transform({
      objectMode: true,
      transform(item: BatchRequest | RejectedRecord, _encoding, done) {
        const { record } = item
        const extra = record && Object.keys(record.fields).find(name => !known.has(name))
        if (!record || extra === undefined || 'problem' in item) return done(null, item)
        const message = `the record has a field ${JSON.stringify(extra)} that is no column of the table; write JSON lines (--to jsonl), or give the first records all fields`
        done(null, { record, problem: { type: 'no_column', message } })
      },
    }),
  )
}
