import { memberOf } from '../../core/json/find.ts'
import { skipBlanks } from '../../core/json/scan.ts'
import { withoutMembers } from '../../core/json/without.ts'
import type { Result } from '../../core/results/result.ts'
import { metaOf } from './meta.ts'
import { addResponse } from './response.ts'
import type { RowBytes } from './row-bytes.ts'
import type { FieldNames } from './row-fields.ts'

/**
 * Makes merged rows, each with a newline: the record byte for byte, with the response and meta fields added before its last
 * brace. Fields of these names from an earlier run are replaced. A rejected record keeps a response that it already has, and a
 * skipped record passes through unchanged. Without a record (another tool made the batch), the row has only the two fields.
 */
export function mergedRows(names: FieldNames, row: RowBytes): (result: Result) => Buffer {
  const response = field(names.response)
  const meta = names.meta === undefined ? undefined : field(names.meta)
  const addMeta = metaOf(names)
  return result => {
    const { record } = result
    if (record && result.status === 'skipped')
      return row.begin().bytes(record.raw).text('\n').take()
    const present = record ? presentIn(record.raw, response, meta) : NONE
    const keepsOwn =
      record !== undefined &&
      present.includes(names.response) &&
      result.status === 'rejected' &&
      hasValue(record.raw, names.response)
    const replaced = keepsOwn ? present.filter(key => key !== names.response) : present
    const raw = record?.raw ?? EMPTY
    const object = replaced.length === 0 ? raw : withoutMembers(raw, replaced)
    row.begin().bytes(object, 0, object.length - 1)
    let comma = object[skipBlanks(object, 1)] === CLOSE_BRACE ? '' : ','
    if (!keepsOwn) {
      row.text(comma + response.label)
      addResponse(row, result)
      comma = ','
    }
    if (meta) {
      row.text(comma + meta.label)
      addMeta(row, result)
    }
    return row.text('}\n').take()
  }
}

const EMPTY = Buffer.from('{}')
const NONE: readonly string[] = []
const CLOSE_BRACE = 0x7d
const LETTER_N = 0x6e
const BACKSLASH = 0x5c

/** A field that rows add. */
interface AddedField {
  readonly key: string
  /** The text before its value. */
  readonly label: string
  /** The key as JSON, to search for. */
  readonly bytes: Buffer
}

function field(key: string): AddedField {
  const json = JSON.stringify(key)
  return { key, label: `${json}:`, bytes: Buffer.from(json) }
}

/**
 * The added keys that a record may already have. A native search saves most records the walk over their members; a record with
 * escapes is always walked, since a key can be written with escapes.
 */
function presentIn(
  raw: Buffer,
  response: AddedField,
  meta: AddedField | undefined,
): readonly string[] {
  const hasEscapes = raw.includes(BACKSLASH)
  const hasResponse = hasEscapes || raw.includes(response.bytes)
  const hasMeta = meta !== undefined && (hasEscapes || raw.includes(meta.bytes))
  if (!hasResponse) return hasMeta ? [meta.key] : NONE
  return hasMeta ? [response.key, meta.key] : [response.key]
}

function hasValue(raw: Buffer, key: string): boolean {
  const own = memberOf(raw, key)
  // Only null starts with an n.
  return own !== undefined && raw[own.valueStart] !== LETTER_N
}
