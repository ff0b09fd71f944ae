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
   * Where the records are: keys joined by dots, as `data.items`; empty for the top.
   * @default ''
   */
  readonly path?: string | undefined
  /**
   * Bytes of one record at most, written on one line; a longer one becomes a problem and its first 1,000 characters are
   * kept.
   * @default 16_000_000
   */
  readonly maxRecordBytes?: number | undefined
  /** The file's name, for the records and for errors. */
  readonly source?: string | undefined
}

/**
 * The elements of a JSON array -> records, at the top or at `path`, in constant memory; where an object (or any other
 * value) stands there, it is the one record. At the top, objects that follow one another are a record each, as `jq` prints them. Elements are written again on one line, with their digits and the order of
 * their keys; an element that is no object is `{"input": element}`. `line` is the line on which an element began.
 *
 * An element that is too long, not UTF-8 or nested deeper than 1,000 levels comes out as a record with a `problem`
 * (`too_long`, `invalid_utf8`, `too_deep`) and its raw text as `input`.
 *
 * Throws `CBS_OPTION` for a wrong option. Fails with `CBS_INPUT`, after the records before it, where the JSON is wrong or
 * breaks off, and where nothing stands at `path`.
 */
export function parseJson(options: JsonOptions = {}): Stage<Uint8Array | string, SourceRecord> {
  return typed(new RecordStream(new JsonReader(jsonSettings(options)), options))
}

/** The options, checked and filled in. */
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
