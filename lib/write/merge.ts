import { memberOf } from '../json/find.ts'
import { skipBlanks } from '../json/scan.ts'
import { withoutMembers } from '../json/without.ts'
import type { Result } from '../results/result.ts'
import { answerOf } from './answer.ts'
import { metaJson } from './meta.ts'
import type { FieldNames } from './row-fields.ts'

/**
 * One merged row with its newline: the record byte for byte, and before its last brace the response and what became of
 * it. Fields of these names from an earlier run are replaced; a rejected record that has a response of its own keeps it.
 * Where there is no record (some other tool made the batch) the row is those two fields alone.
 */
export function mergedRow(result: Result, names: FieldNames): Buffer {
  const { record } = result
  const answer = answerOf(result)
  const keepsOwn =
    record !== undefined && result.status === 'rejected' && hasValue(record.raw, names.response)
  const added: string[] = []
  if (!keepsOwn) added.push(member(names.response, JSON.stringify(answer.response)))
  if (names.meta !== undefined) added.push(member(names.meta, metaJson(result, answer)))
  const replaced = [keepsOwn ? undefined : names.response, names.meta]
  return splice(record ? without(record.raw, replaced) : EMPTY, added)
}

const EMPTY = Buffer.from('{}')
const CLOSE_BRACE = 0x7d
const LETTER_N = 0x6e
const BACKSLASH = 0x5c

/** Writes members before an object's last brace. One allocation: this runs for every row of millions. */
function splice(object: Buffer, added: readonly string[]): Buffer {
  const first = object[skipBlanks(object, 1)] === CLOSE_BRACE || added.length === 0
  const tail = `${first ? '' : ','}${added.join(',')}}\n`
  const kept = object.length - 1
  const row = Buffer.allocUnsafe(kept + Buffer.byteLength(tail))
  object.copy(row, 0, 0, kept)
  row.write(tail, kept)
  return row
}

function without(raw: Buffer, keys: readonly (string | undefined)[]): Buffer {
  const present = keys.filter(key => key !== undefined && mayHave(raw, key))
  // The filter above leaves strings only.
  return present.length === 0 ? raw : withoutMembers(raw, present as string[])
}

function hasValue(raw: Buffer, key: string): boolean {
  const own = mayHave(raw, key) ? memberOf(raw, key) : undefined
  // Of all JSON values only null begins with an n.
  return own !== undefined && raw[own.valueStart] !== LETTER_N
}

/** A native search spares most records the walk over their members. A key's letters can also be spelled as escapes. */
function mayHave(raw: Buffer, key: string): boolean {
  return raw.includes(JSON.stringify(key)) || raw.includes(BACKSLASH)
}

function member(name: string, json: string): string {
  return `${JSON.stringify(name)}:${json}`
}
