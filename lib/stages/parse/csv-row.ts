import { BatchStreamError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { MAX_CSV_COLUMNS } from '../../core/limits.ts'
import { invalidUtf8At } from '../../core/utf8.ts'
import {
  KEPT_CHARACTERS,
  badRecord,
  invalidUtf8Record,
  nulRecord,
  tooLongRecord,
  type RecordPlace,
} from './bad-record.ts'
import type { Columns } from './csv-columns.ts'
import { behindBreak, countBreaks, endsLine, isBreak, lineBody, nextLine } from './line-breaks.ts'
import { standsAt } from './stands-at.ts'

const QUOTE = 0x22

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

/** Names for so many columns would take gigabytes, in each later command too, since a job keeps them. */
export function tooManyColumns(row: readonly string[], place: RecordPlace): BatchStreamError {
  const first = place.source === undefined ? 'the first row' : `the first row of ${place.source}`
  return new BatchStreamError(
    'CBS_INPUT',
    `${first} has ${row.length} columns, and a CSV file may have ${MAX_CSV_COLUMNS}: is this a CSV file, and is its \`delimiter\` right?`,
    { place },
  )
}

/** A record that did not end by itself, and the index at which reading continues. */
export interface Broken {
  readonly record: SourceRecord
  readonly end: number
}

/**
 * Handles a row that does not end; `bytes` starts with it. An unclosed quote invalidates the row only up to the end of the
 * line on which it was opened, so that the following lines are read. A row without such a quote is too long.
 */
export function brokenRecord(
  bytes: Buffer,
  { delimiter, maxRecordBytes }: { readonly delimiter: string; readonly maxRecordBytes: number },
  place: RecordPlace,
): Broken {
  const { openAt, recordEnd } = scanQuotes(bytes, Buffer.from(delimiter))
  if (openAt === -1) {
    const end = recordEnd === -1 ? bytes.length : recordEnd
    return { record: tooLongRecord(bytes.toString('utf8', 0, end), maxRecordBytes, place), end }
  }
  const end = nextLine(bytes, openAt)
  const text = lineBody(bytes, 0, end).toString('utf8')
  const opened = place.line + countBreaks(bytes, 0, openAt)
  const why = `the quote opened on line ${opened} is never closed; reading continues on the next line`
  const raw = endsLine(bytes, end) ? text : text.slice(0, KEPT_CHARACTERS)
  return { record: badRecord('unclosed_quote', why, raw, place), end }
}

/**
 * Scans the quotes of a row like csv-parse with `relax_quotes`: one opens at the start of a field and closes at the next
 * that is not doubled; any other is text. Returns the position of a quote that is still open, or the end of the row.
 */
function scanQuotes(bytes: Buffer, delimiter: Buffer): { openAt: number; recordEnd: number } {
  let openAt = -1
  let fieldAt = 0
  for (let at = 0; at < bytes.length; at++) {
    if (openAt >= 0) {
      if (bytes[at] !== QUOTE) continue
      if (bytes[at + 1] === QUOTE) at++
      else openAt = -1
    } else if (bytes[at] === QUOTE && at === fieldAt) openAt = at
    else if (isBreak(bytes[at])) return { openAt, recordEnd: behindBreak(bytes, at) }
    else if (standsAt(bytes, at, delimiter)) {
      at += delimiter.length - 1
      fieldAt = at + 1
    }
  }
  return { openAt, recordEnd: -1 }
}
