// takes: Result
// gives: bytes, each response and a newline
// next: a file, or stdout
import type { Result } from '../../core/results/result.ts'
import type { Stage } from '../../core/stage.ts'
import { propertiesOfAnswer, textOfJson } from './answer.ts'
import { rowStream } from './row-stream.ts'

/** Writes only the responses, as `jq -r` does; their newlines are preserved. A result without a response is an empty line. */
export function writeText(): Stage<Result<object>, Buffer> {
  return rowStream(result => textRow(result))
}

/** A row of `writeText` without the stream; with `property`, only that property of the answer. */
export function textRow(result: Result, property?: string): Buffer {
  // The answer was checked against a schema with this single property.
  const one = property === undefined ? undefined : propertiesOfAnswer(result).get(property)
  return Buffer.from(`${one === undefined ? responseText(result) : textOfJson(one)}\n`)
}

/** A response as text: a string unchanged, any other value as JSON, empty if there is none. */
export function responseText(result: Result): string {
  const { answerJson, checked, response } = result
  if (answerJson) return textOfJson(answerJson.toString('utf8'))
  return checked ? '' : (response ?? '')
}
