// takes: Result
// gives: bytes, each response and a newline
// next: a file, or stdout
import type { Result } from '../../core/results/result.ts'
import type { Stage } from '../../core/stage.ts'
import { rowStream } from './row-stream.ts'

/** Writes only the responses, as `jq -r` does; their newlines are preserved. A result without a response is an empty line. */
export function writeText(): Stage<Result<object>, Buffer> {
  return rowStream(result => textRow(result))
}

/** A row of `writeText` without the stream; with `property`, only that property of the answer. */
export function textRow(result: Result, property?: string): Buffer {
  const { rowValue: value } = result
  // The answer was checked against a schema with this single property.
  const one =
    property !== undefined && typeof value === 'object' && value !== null && property in value
      ? (Reflect.get(value, property) as unknown)
      : undefined
  return Buffer.from(`${typeof one === 'string' ? one : responseText(result)}\n`)
}

/** A response as text: a string unchanged, any other value as JSON, empty if there is none. */
export function responseText(result: Result): string {
  const { rowValue: value } = result
  if (value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
