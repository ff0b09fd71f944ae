import { SourceRecord } from '../../core/flow.ts'
import { isNul } from '../../core/text-start.ts'

/** Characters that are kept of an overlong record. */
export const KEPT_CHARACTERS = 1000

/** The position of an unreadable record. */
export interface RecordPlace {
  readonly line: number
  readonly source: string | undefined
}

/** `{"input": text}` as one line of JSON, for any value that is not an object. */
export function inputRecord(text: string, place: RecordPlace): SourceRecord {
  return new SourceRecord(Buffer.from(`{"input":${JSON.stringify(text)}}`), {
    ...place,
    fields: { input: text },
  })
}

/** An unreadable record: its raw text as `input`, and the reason. */
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

/** A record of which only the start was kept. */
export function tooLongRecord(
  head: string,
  maxRecordBytes: number,
  place: RecordPlace,
): SourceRecord {
  // Do not keep half of a surrogate pair.
  const kept = head.slice(0, KEPT_CHARACTERS).replace(/[\ud800-\udbff]$/, '')
  const why = `the record is longer than ${maxRecordBytes} bytes, the largest allowed size; its first ${KEPT_CHARACTERS} characters are kept`
  return badRecord('too_long', why, kept, place)
}

/** A record of NUL bytes only, which a crash leaves in a file that was not written completely; undefined for any other. */
export function nulRecord(bytes: Buffer, place: RecordPlace): SourceRecord | undefined {
  if (bytes[0] !== 0 || !isNul(bytes)) return undefined
  const why = `it has only NUL bytes (${bytes.length}); was the file written completely?`
  return badRecord('nul_bytes', why, bytes.toString('utf8'), place)
}

/** A record whose bytes are not valid UTF-8 from `offset` (from 0, within the record). */
export function invalidUtf8Record(bytes: Buffer, offset: number, place: RecordPlace): SourceRecord {
  const byte = bytes.toString('hex', offset, offset + 1)
  const why = `byte 0x${byte} at byte offset ${offset} of the record is not valid UTF-8; convert the input with iconv`
  return badRecord('invalid_utf8', why, bytes.toString('utf8'), place)
}
