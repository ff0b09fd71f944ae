// takes  plain objects: a list, a generator, a database cursor, an object stream, a web stream
// gives  SourceRecord
// next   spool, or template
import { Readable } from 'node:stream'
import type { Items } from '../../core/chain.ts'
import { BatchStreamError, messageOf, wrongOption } from '../../core/errors.ts'
import { SourceRecord } from '../../core/flow.ts'
import type { FieldsFrom } from '../../core/jsonify.ts'
import { typed, type Source } from '../../core/stage.ts'

/** The error that the compiler shows for a source of something else than objects. */
export interface NeedsParser {
  readonly 'records() takes objects. Bytes and texts go through a parser: from(source, parseCsv())': never
}

/** The error that the compiler shows for a source of values that are no objects. */
export interface NeedsObjects {
  readonly 'records() takes objects. Wrap each value in one, such as { input: value }': never
}

/** A source of objects. Bytes, texts, lists and numbers do not compile; an untyped stream does, unless it is a file. */
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

/** The fields of the records that a source of this type gives. */
export type RecordFields<T> = T extends SourceRecord<infer F> ? F : FieldsFrom<T>

/**
 * Makes a record of each object of a source: an array, a generator, a database cursor, an object stream, a web stream. Objects
 * are taken one at a time, as fast as records are read. A record holds its object as JSON, so dates become texts and members
 * that are `undefined` or functions are gone; a `SourceRecord` passes as it is. An object that cannot be written as JSON (it
 * holds a BigInt, or itself) becomes a `rejected` row. Leaving the loop early ends the source. Its `line` is the place in the
 * source, from 1.
 *
 * @throws BatchStreamError `CBS_OPTION` where the source cannot be iterated; the stream ends with `CBS_STAGE` where it gives
 * bytes, texts or other values that are no objects. An error of the source arrives unchanged.
 */
export function records<T>(source: ObjectItems<T>): Source<SourceRecord<RecordFields<T>>>
export function records(source: Items<unknown>): Source<SourceRecord> {
  if (!isIterable(source))
    throw wrongOption('source', 'something to iterate: an array, a generator, or a stream', source)
  return typed(Readable.from(recordsOf(source)))
}

async function* recordsOf(source: Items<unknown>): AsyncGenerator<SourceRecord> {
  let line = 0
  // Every web stream of a supported Node can be iterated, which not all types of them say.
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
    // What a `toJSON` of its own gives may be anything.
    if (json?.startsWith('{')) return new SourceRecord(Buffer.from(json), { line })
    throw new Error(`its toJSON gives ${json ?? 'nothing'}, which is no object`)
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
    ? 'put a parser behind the source instead: from(source, parseCsv())'
    : 'wrap each value in an object, such as { input: value }'
  return new BatchStreamError(
    'CBS_STAGE',
    `records takes objects, and item ${line} of the source is ${item === null ? 'null' : what}: ${how}`,
  )
}

/** As much of an object as JSON can hold, for its row. */
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
