// An answer that a schema describes, as rows have it: its JSON as the model wrote it, since JSON.parse changes long numbers.
import { members } from '../../core/json/scan.ts'
import type { Result } from '../../core/results/result.ts'

/** The JSON of each property of a valid answer that is an object; any other answer has none. */
export function propertiesOfAnswer({ answerJson }: Result): ReadonlyMap<string, string> {
  return answerJson ? propertiesIn(answerJson) : NONE
}

const NONE: ReadonlyMap<string, string> = new Map()

/** The JSON of each member of an object; any other value has none. */
export function propertiesIn(json: Buffer): ReadonlyMap<string, string> {
  const properties = new Map<string, string>()
  for (const { key, valueStart, valueEnd } of members(json))
    properties.set(key, json.toString('utf8', valueStart, valueEnd))
  return properties
}

/** The response field of a row as JSON. An answer that breaks the schema becomes null: it must not look like a valid one. */
export function responseJson({ answerJson, checked, response }: Result): string {
  if (answerJson) return answerJson.toString('utf8')
  return checked ? 'null' : JSON.stringify(response)
}

/** A JSON value as text: a string unchanged, any other value as JSON, empty for null. */
export function textOfJson(json: string): string {
  if (json.startsWith('"')) return JSON.parse(json)
  return json === 'null' ? '' : json
}
