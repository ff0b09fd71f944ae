import { elements, endOfValue, members, skipBlanks, type Member, type Range } from './scan.ts'

/** The member of an object with this key; of several the last one, as in JSON.parse. */
export function memberOf(json: Buffer, key: string, from = 0): Member | undefined {
  let found: Member | undefined
  for (const member of members(json, from)) if (member.key === key) found = member
  return found
}

/**
 * The range of the value at a path, which goes through objects by key and through arrays by index (`['a', 'b', '0']`);
 * undefined if there is none. An empty path is the whole value.
 */
export function valueAt(json: Buffer, path: readonly string[]): Range | undefined {
  const start = skipBlanks(json, 0)
  let range: Range = { start, end: endOfValue(json, start) }
  for (const key of path) {
    const next = memberRange(json, key, range.start) ?? elementRange(json, key, range.start)
    if (!next) return undefined
    range = next
  }
  return range
}

function memberRange(json: Buffer, key: string, from: number): Range | undefined {
  const member = memberOf(json, key, from)
  return member && { start: member.valueStart, end: member.valueEnd }
}

function elementRange(json: Buffer, key: string, from: number): Range | undefined {
  if (!/^(?:0|[1-9]\d*)$/.test(key)) return undefined
  let left = Number(key)
  for (const element of elements(json, from)) if (left-- === 0) return element
  return undefined
}
