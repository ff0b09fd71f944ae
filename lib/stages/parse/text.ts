// Takes bytes, gives SourceRecord; next comes template (or spool).
import type { SourceRecord } from '../../core/flow.ts'
import { typed, type Stage } from '../../core/stage.ts'
import {
  inputRecord,
  invalidUtf8Record,
  nulRecord,
  tooLongRecord,
  type RecordPlace,
} from './bad-record.ts'
import { LineReader } from './line-reader.ts'
import type { Lines } from './lines.ts'
import { RecordStream } from './record-stream.ts'
import { invalidUtf8At } from '../../core/utf8.ts'

/** Options of `parseText`. */
export interface TextOptions {
  /**
   * Maximum bytes of a line; a longer one becomes a problem and its first 1,000 characters are kept.
   * @default 16_000_000
   */
  readonly maxRecordBytes?: number | undefined
  /**
   * The file's name, for records and errors.
   * @default undefined, a pipe
   */
  readonly source?: string | undefined
}

/**
 * Parses lines of text into records `{"input": line}`, blanks included. An empty line is skipped but counted. A line that
 * is not UTF-8, too long or only NUL bytes becomes a record with a `problem` (`invalid_utf8`, `too_long`, `nul_bytes`).
 *
 * Throws `CBS_OPTION` for an invalid option; fails with `CBS_INPUT` on UTF-16 and UTF-32.
 */
export function parseText(options: TextOptions = {}): Stage<Uint8Array | string, SourceRecord> {
  return typed(new RecordStream(new TextReader(options)))
}

/** `parseText` without a stream. */
export class TextReader extends LineReader {
  protected override read(lines: Lines, place: RecordPlace): SourceRecord | undefined {
    if (lines.from === lines.to) return undefined
    const bytes = lines.bytes.subarray(lines.from, lines.to)
    if (lines.tooLong) return tooLongRecord(bytes.toString('utf8'), this.max, place)
    const text = lines.text()
    if (text === undefined) return invalidUtf8Record(bytes, invalidUtf8At(bytes), place)
    return nulRecord(bytes, place) ?? inputRecord(text, place)
  }
}
