import type { BatchRequest, RejectedRecord } from '../core/flow.ts'
import { StageTransform, typed, type Stage } from '../core/stage.ts'
import type { TableColumns } from './table-columns.ts'

type Item = BatchRequest | RejectedRecord

/**
 * Rejects a record with a field that is not a column of the table, before anything is spent on it: its row would lose that
 * field. `added` are fields that all rows have.
 */
export function fitsTable(table: TableColumns, added: readonly string[]): Stage<Item, Item> {
  let known: ReadonlySet<string> | undefined
  const check = (item: Item): Item => {
    const { record } = item
    const columns = table.names
    if (!record || !columns) {
      if (record?.ordinal !== undefined) table.pass(record.ordinal)
      return item
    }
    known ??= new Set([...columns, ...added])
    return fitting(item, known)
  }
  return typed(
    new StageTransform({
      objectMode: true,
      transform(item: Item, _encoding, done) {
        const { deciding } = table
        if (!deciding) return done(null, check(item))
        deciding.then(() => done(null, check(item)), done)
      },
    }),
  )
}

/** The item, rejected if its record has an unknown field. */
export function fitting(item: Item, known: ReadonlySet<string>): Item {
  const { record } = item
  const extra = record && Object.keys(record.fields).find(name => !known.has(name))
  if (!record || extra === undefined || 'problem' in item) return item
  const message = `the record has a field ${JSON.stringify(extra)} that is not a column of the table; name the columns with --output-columns, or write JSON lines (--to jsonl)`
  return { record, problem: { type: 'no_column', message } }
}
