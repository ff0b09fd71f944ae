import { SourceRecord } from '../../core/flow.ts'

/** Characters kept of a record that is too long to be kept whole. */
export const KEPT_CHARACTERS = 1000

/** Where a record began, for records that could not be read. */
export interface RecordPlace {
  readonly line: number
  readonly source: string | undefined
}

/** `{"input": text}` as the one line of JSON that stands for anything that is no object. */
export function inputRecord(text: string, place: RecordPlace): SourceRecord {
  return new SourceRecord(Buffer.from(`{"input":${JSON.stringify(text)}}`), {
    ...place,
    fields: { input: text },
  })
}

/** A record that could not be read: its raw text as `input`, and the reason. */
export function badRecord(
  type: string,
  why: string,
  text: string,
  place: RecordPlace,
): SourceRecord {
  return new SourceRecord(Buffer.from(`{"input":${JSON.stringify(text)}}`), {
    ...place,
    fields: { input: text },
    problem: { type, message: `line ${place.line}: ${why}` },
  })
}

/** A record of which only the beginning was kept. */
export function tooLongRecord(
  head: string,
  maxRecordBytes: number,
  place: RecordPlace,
): SourceRecord {
  // Cut between the halves of a character, its first half would be no character at all.
  const kept = head.slice(0, KEPT_CHARACTERS).replace(/[\ud800-\udbff]$/, '')
  const why = `the record is longer than ${maxRecordBytes} bytes (maxRecordBytes); its first ${KEPT_CHARACTERS} characters are kept`
  return badRecord('too_long', why, kept, place)
}

/** A record whose bytes are no UTF-8 from `offset` (from 0, in the record) on. */
export function invalidUtf8Record(bytes: Buffer, offset: number, place: RecordPlace): SourceRecord {
  const byte = bytes.toString('hex', offset, offset + 1)
  const why = `byte 0x${byte} at byte offset ${offset} of the record is not valid UTF-8; convert the input with iconv`
  return badRecord('invalid_utf8', why, bytes.toString('utf8'), place)
}
