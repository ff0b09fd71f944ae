// takes: Result
// gives: bytes, the response of each and a newline
// next: a file, or stdout
import type { Result } from '../../core/results/result.ts'
import type { Stage } from '../../core/stage.ts'
import { rowStream } from './row-stream.ts'

/** Writes the responses alone, as `jq -r` does: newlines inside one stay. A row without a response is an empty line. */
export function writeText(): Stage<Result<object>, Buffer> {
  return rowStream(result => textRow(result))
}

/** A row of `writeText` without the stream; where a `property` is given, the response is that property of the answer. */
export function textRow(result: Result, property?: string): Buffer {
  const { rowValue: value } = result
  // Checked against a schema that has this one property.
  const one =
    property !== undefined && typeof value === 'object' && value !== null && property in value
      ? (Reflect.get(value, property) as unknown)
      : undefined
  return Buffer.from(`${typeof one === 'string' ? one : responseText(result)}\n`)
}

/** A response as text: a string as it is, any other value as JSON, and nothing where there is none. */
export function responseText(result: Result): string {
  const { rowValue: value } = result
  if (value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}
