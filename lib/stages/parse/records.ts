// takes  plain objects: a list, a generator, a database cursor, an object stream, a web stream
// gives  SourceRecord
// next   spool, or template
import { Readable } from 'node:stream'
import type { Items } from '../../core/chain.ts'
import { BatchStreamError, messageOf, wrongOption } from '../../core/errors.ts'
import { SourceRecord } from '../../core/flow.ts'
import type { FieldsFrom } from '../../core/jsonify.ts'
import { typed, type Source } from '../../core/stage.ts'

/** The compiler error for a source of bytes or texts. */
export type NeedsParser =
  'The source must give objects: wrap each text, such as { text }. Bytes go through a parser: from(source, parseCsv())'

/** The compiler error for a source of values that are not objects. */
export interface NeedsObjects {
  readonly 'The source must give objects: wrap each value, such as { input: value }': never
}

/** A source of objects. Bytes, strings, arrays and numbers do not compile; an untyped stream does, unless it is a file. */
export type ObjectItems<T> = Items<T> &
  (0 extends 1 & T
    ? { readonly bytesRead?: never }
    : T extends ArrayBufferView | ArrayBufferLike | string
      ? NeedsParser
      : T extends readonly unknown[] | ((...args: never) => unknown)
        ? NeedsObjects
        : T extends object
          ? unknown
          : NeedsObjects)

/** The type of the record fields of a source. */
export type RecordFields<T> = T extends SourceRecord<infer F> ? F : FieldsFrom<T>

/**
 * Makes a record of each object in a source: an array, a generator, a database cursor, an object stream, a web stream.
 * Objects are taken one at a time, on demand. A record holds its object as JSON, so dates become strings, and members that
 * are `undefined` or functions disappear; a `SourceRecord` passes unchanged. An object that cannot be written as JSON (it
 * contains a BigInt or a cycle) becomes a `rejected` row. Leaving the loop early ends the source. `line` is the position in
 * the source, from 1.
 *
 * @throws BatchStreamError `CBS_OPTION` if the source cannot be iterated; the stream ends with `CBS_STAGE` if an item is
 * not an object. An error of the source arrives unchanged.
 */
export function records<T>(source: ObjectItems<T>): Source<SourceRecord<RecordFields<T>>>
export function records(source: Items<unknown>): Source<SourceRecord> {
  if (!isIterable(source))
    throw wrongOption('source', 'something to iterate: an array, a generator, or a stream', source)
  return typed(Readable.from(recordsOf(source)))
}

async function* recordsOf(source: Items<unknown>): AsyncGenerator<SourceRecord> {
  let line = 0
  // All web streams of supported Node versions are iterable, but not all types say so.
  for await (const item of source as AsyncIterable<unknown>) {
    line += 1
    yield item instanceof SourceRecord ? item : recordOf(item, line)
  }
}

function isIterable(source: unknown): boolean {
  if (typeof source !== 'object' || source === null) return false
  return Symbol.asyncIterator in source || Symbol.iterator in source
}

/** The record of an object. */
export function recordOf(item: unknown, line: number): SourceRecord {
  if (!isObject(item)) throw wrongItem(item, line)
  try {
    const json: string | undefined = JSON.stringify(item)
    // A `toJSON` may return anything.
    if (json?.startsWith('{')) return new SourceRecord(Buffer.from(json), { line })
    throw new Error(`its toJSON returns ${json ?? 'nothing'}, which is not an object`)
  } catch (cause) {
    return new SourceRecord(readable(item), {
      line,
      problem: {
        type: 'invalid_record',
        message: `record ${line} cannot be written as JSON: ${messageOf(cause)}; convert it before it reaches this source`,
      },
    })
  }
}

function isObject(item: unknown): item is object {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return false
  return !ArrayBuffer.isView(item) && !(item instanceof ArrayBuffer)
}

function wrongItem(item: unknown, line: number): BatchStreamError {
  const isBytes = typeof item === 'string' || ArrayBuffer.isView(item)
  const what = Array.isArray(item) ? 'a list' : isBytes ? 'bytes or text' : typeof item
  const how = isBytes
    ? 'wrap each text, such as { text }, or put a parser behind a source of bytes: from(source, parseCsv())'
    : 'wrap each value in an object, such as { input: value }'
  return new BatchStreamError(
    'CBS_STAGE',
    `records takes objects, and item ${line} of the source is ${item === null ? 'null' : what}: ${how}`,
  )
}

/** As much of an object as JSON can represent, for its row. */
function readable(item: object): Buffer {
  const entries = Object.entries(item).flatMap(([key, value]) => {
    try {
      const json = JSON.stringify(typeof value === 'bigint' ? String(value) : value)
      return json === undefined ? [] : [`${JSON.stringify(key)}:${json}`]
    } catch {
      return []
    }
  })
  return Buffer.from(`{${entries.join(',')}}`)
}
