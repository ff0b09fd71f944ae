import { members } from './scan.ts'

/**
 * The bytes of an object without all members that have these keys; the rest is unchanged byte for byte. Returns the object
 * itself if there is nothing to remove.
 */
export function withoutMembers(
  json: Buffer,
  keys: ReadonlySet<string> | readonly string[],
): Buffer {
  const unwanted = new Set(keys)
  const all = [...members(json)]
  const kept = all.filter(member => !unwanted.has(member.key))
  const [first] = all
  const last = all.at(-1)
  if (!first || !last || kept.length === all.length) return json

  const parts = [json.subarray(0, first.keyStart)]
  for (const [index, { keyStart, valueEnd }] of kept.entries()) {
    if (index > 0) parts.push(COMMA)
    parts.push(json.subarray(keyStart, valueEnd))
  }
  parts.push(json.subarray(last.valueEnd))
  return Buffer.concat(parts)
}

const COMMA = Buffer.from(',')
