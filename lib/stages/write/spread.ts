import { BatchStreamError, lineOf, wrongOption } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import { skipBlanks } from '../../core/json/scan.ts'
import { withoutMembers } from '../../core/json/without.ts'
import type { Result } from '../../core/results/result.ts'
import { isUnsent } from '../../core/results/status.ts'
import { propertiesOfAnswer } from './answer.ts'
import { metaOf } from './meta.ts'
import type { RowBytes } from './row-bytes.ts'
import type { FieldNames } from './row-fields.ts'

/**
 * Makes merged rows in which each property of the answer is a field: the record byte for byte, then the properties, then the
 * meta field. Such fields of an earlier run are replaced; a record that was not sent keeps them.
 *
 * @throws BatchStreamError `CBS_OPTION`; the returned function `CBS_OUTPUT` for a record that has such a field of its own
 */
export function spreadRows(
  properties: readonly string[],
  names: FieldNames,
  row: RowBytes,
): (result: Result) => Buffer {
  const { meta } = names
  if (properties.some(name => name === meta))
    throw wrongOption('metaField', 'a name that is not a property of the answers', meta)
  const addMeta = metaOf(names)
  const label = (name: string): string => `${JSON.stringify(name)}:`
  return result => {
    const { record } = result
    if (record && result.status === 'skipped')
      return row.begin().bytes(record.raw).text('\n').take()
    const own = record ? ownFields(record, properties) : NONE
    const isKept = isUnsent(result.status)
    if (record && !isKept && own.length > 0) assertReplaceable(record, own, meta)
    const added = isKept ? properties.filter(name => !own.includes(name)) : properties
    const replaced = meta === undefined ? added : [...added, meta]
    const object = record ? withoutMembers(record.raw, replaced) : EMPTY
    row.begin().bytes(object, 0, object.length - 1)
    let comma = object[skipBlanks(object, 1)] === CLOSE_BRACE ? '' : ','
    const answer = propertiesOfAnswer(result)
    for (const name of added) {
      row.text(`${comma}${label(name)}${answer.get(name) ?? 'null'}`)
      comma = ','
    }
    if (meta !== undefined) {
      row.text(comma + label(meta))
      addMeta(row, result)
    }
    return row.text('}\n').take()
  }
}

const EMPTY = Buffer.from('{}')
const NONE: readonly string[] = []
const CLOSE_BRACE = 0x7d

/** The properties for which a record has a value of its own. */
function ownFields({ fields }: SourceRecord, properties: readonly string[]): readonly string[] {
  return properties.filter(name => Object.hasOwn(fields, name) && fields[name] !== null)
}

/** Fields that an earlier run added may be replaced, but never the user's own data. */
function assertReplaceable(
  record: SourceRecord,
  [name]: readonly string[],
  meta: string | undefined,
): void {
  if (meta !== undefined && Object.hasOwn(record.fields, meta)) return
  throw new BatchStreamError(
    'CBS_OUTPUT',
    `the record on ${lineOf(record)} has a field ${JSON.stringify(name)}, which the answer would overwrite: omit \`spread\``,
    { option: 'spread', place: { source: record.source, line: record.line } },
  )
}
