import { BatchStreamError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import {
  badRecord,
  invalidUtf8Record,
  nulRecord,
  tooLongRecord,
  type RecordPlace,
} from './bad-record.ts'
import type { Columns } from './csv-columns.ts'
import { invalidUtf8At } from '../../core/utf8.ts'

/** The record for bytes that are not a readable row. */
export function unreadable(
  bytes: Buffer,
  maxRecordBytes: number,
  place: RecordPlace,
): SourceRecord | undefined {
  if (bytes.length > maxRecordBytes)
    return tooLongRecord(bytes.toString('utf8'), maxRecordBytes, place)
  const offset = invalidUtf8At(bytes)
  return offset === -1 ? nulRecord(bytes, place) : invalidUtf8Record(bytes, offset, place)
}

/** A row as a record. The meaning of a row with another number of fields than columns is unknown. */
export function rowRecord(
  columns: Columns,
  row: readonly string[],
  bytes: Buffer,
  place: RecordPlace,
): SourceRecord {
  if (row.length === columns.count) return columns.record(row, place)
  const why = `the row has ${counted(row.length)}, expected ${columns.count}`
  return badRecord('wrong_column_count', why, bytes.toString('utf8'), place)
}

function counted(columns: number): string {
  return columns === 1 ? '1 column' : `${columns} columns`
}

/** An unreadable header is an error rather than a bad record, since no row could be read without it. */
export function badHeader(record: SourceRecord, place: RecordPlace): BatchStreamError {
  const header = place.source === undefined ? 'CSV header' : `CSV header of ${place.source}`
  return new BatchStreamError(
    'CBS_INPUT',
    `the ${header} cannot be read: ${record.problem?.message}`,
    { place },
  )
}
