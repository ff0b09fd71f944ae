// Takes bytes, gives SourceRecord; next comes template (or spool).
import { wholeNumber, wrongOption } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { DEFAULT_RECORD_BYTES } from '../../core/limits.ts'
import { typed, type Stage } from '../../core/stage.ts'
import { JsonReader, type JsonSettings } from './json-reader.ts'
import { RecordStream, type BreakOptions } from './record-stream.ts'

/** Options of `parseJson`. */
export interface JsonOptions extends BreakOptions {
  /**
   * The path of the records: keys joined by dots, such as `data.items`; empty for the top level.
   * @default ''
   */
  readonly path?: string | undefined
  /**
   * Maximum bytes of a record on one line; a longer one becomes a problem and its first 1,000 characters are kept.
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
 * Parses the elements of a JSON array into records, at the top or at `path`, in constant memory. If the value there is not
 * an array, it is the only record. At the top level, consecutive objects are a record each, as `jq` prints them. Elements
 * are rewritten on one line with their digits and key order; an element that is not an object becomes `{"input": element}`.
 * `line` is the line on which an element starts.
 *
 * An element that is too long, not UTF-8 or nested deeper than 1,000 levels becomes a record with a `problem` (`too_long`,
 * `invalid_utf8`, `too_deep`) and its raw text as `input`.
 *
 * Throws `CBS_OPTION` for an invalid option. Fails with `CBS_INPUT`, after the records before it, if the JSON is invalid or
 * truncated, and if there is no value at `path`.
 */
export function parseJson(options: JsonOptions = {}): Stage<Uint8Array | string, SourceRecord> {
  return typed(new RecordStream(new JsonReader(jsonSettings(options)), options))
}

/** The options, checked and with defaults. */
export function jsonSettings({ path = '', source, ...options }: JsonOptions): JsonSettings {
  const maxRecordBytes = wholeNumber(
    'maxRecordBytes',
    options.maxRecordBytes ?? DEFAULT_RECORD_BYTES,
    1,
    Infinity,
  )
  if (typeof path !== 'string') throw wrongOption('path', 'keys joined by dots', path)
  return { path, maxRecordBytes, source }
}
