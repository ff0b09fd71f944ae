import { memberOf } from '../json/find.ts'
import { skipBlanks } from '../json/scan.ts'
import { withoutMembers } from '../json/without.ts'
import type { Result } from '../results/result.ts'
import { addMeta } from './meta.ts'
import { addResponse } from './response.ts'
import { RowBytes } from './row-bytes.ts'
import type { FieldNames } from './row-fields.ts'

/**
 * One merged row with its newline: the record byte for byte, and before its last brace the response and what became of
 * it. Fields of these names from an earlier run are replaced; a rejected record that has a response of its own keeps it.
 * Where there is no record (some other tool made the batch) the row is those two fields alone.
 */
export function mergedRow(result: Result, names: FieldNames): Buffer {
  const { record } = result
  const keepsOwn =
    record !== undefined && result.status === 'rejected' && hasValue(record.raw, names.response)
  const replaced = [keepsOwn ? undefined : names.response, names.meta]
  const object = record ? without(record.raw, replaced) : EMPTY
  const row = new RowBytes().bytes(object, 0, object.length - 1)
  let comma = object[skipBlanks(object, 1)] === CLOSE_BRACE ? '' : ','
  if (!keepsOwn) {
    row.text(`${comma}${JSON.stringify(names.response)}:`)
    addResponse(row, result)
    comma = ','
  }
  if (names.meta !== undefined) {
    row.text(`${comma}${JSON.stringify(names.meta)}:`)
    addMeta(row, result, names)
  }
  return row.text('}\n').join()
}

const EMPTY = Buffer.from('{}')
const CLOSE_BRACE = 0x7d
const LETTER_N = 0x6e
const BACKSLASH = 0x5c

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
