import type { Result } from '../../core/results/result.ts'
import type { LineRange } from '../../core/results/line-members.ts'
import type { ResultLine } from '../../core/results/result-line.ts'
import type { RowBytes } from './row-bytes.ts'
import type { FieldNames } from './row-fields.ts'
import { memberOf } from '../../core/json/find.ts'
import { elements, type Range } from '../../core/json/scan.ts'

const TEXT = '"text"'

/** Adds the content blocks of an answer that are not text (thinking, tool_use ...), byte for byte, if there are any. */
function addBlocks(row: RowBytes, { json, message }: ResultLine): void {
  const content = message && memberOf(json, 'content', message.start)
  if (!content) return
  const blocks = [...elements(json, content.valueStart)].filter(block => !isText(json, block))
  for (const [at, { start, end }] of blocks.entries())
    row.text(at === 0 ? ',"blocks":[' : ',').bytes(json, start, end)
  if (blocks.length > 0) row.text(']')
}

function isText(json: Buffer, { start }: Range): boolean {
  const type = memberOf(json, 'type', start)
  return type !== undefined && json.toString('utf8', type.valueStart, type.valueEnd) === TEXT
}

/**
 * Returns a function that adds the value of `_batch` to a row. `custom_id` and `batch_id` are null if there is none; other
 * members are omitted. Values of the API are copied byte for byte.
 */
export function metaOf({
  costOf,
  blocks,
}: Pick<FieldNames, 'costOf' | 'blocks'>): (row: RowBytes, result: Result) => void {
  const originOf = origins()
  return (row, result) => {
    const { record, line, error } = result
    row.text(`{"status":"${result.status}","custom_id":`)
    if (line?.customId) row.bytes(line.json, line.customId.start, line.customId.end)
    else row.text(JSON.stringify(result.customId))
    if (record) row.text(`,"line":${record.line}`)
    row.text(originOf(result))
    if (result.repeat) row.text(',"repeat":true')
    if (result.reused !== null) row.text(`,"reused":${JSON.stringify(result.reused)}`)
    if (line) {
      addPlace(row, ',"stop_reason":', line, line.stopReason)
      addPlace(row, ',"model":', line, line.model)
      if (!result.repeat && result.reused === null) addPlace(row, ',"usage":', line, line.usage)
    }
    if (costOf) row.text(`,"cost_usd":${costOf(result)}`)
    if (error) row.text(`,"error":${JSON.stringify(error)}`)
    if (blocks && line) addBlocks(row, line)
    // The text of an answer that breaks the schema is paid for and has no other place.
    if (result.status === 'invalid' && result.response !== null)
      row.text(`,"text":${JSON.stringify(result.response)}`)
    row.text('}')
  }
}

/** Serializes the origin of a row, which is cached because consecutive rows mostly share it. */
function origins(): (result: Result) => string {
  let source: string | undefined
  let batchId: string | null = null
  let attempt = 0
  let text = ''
  return result => {
    const { record, batchId: id, attempt: tries } = result
    if (record?.source === source && id === batchId && tries === attempt) return text
    source = record?.source
    batchId = id
    attempt = tries
    const said = source === undefined ? '' : `,"source":${JSON.stringify(source)}`
    return (text = `${said},"batch_id":${JSON.stringify(id)},"attempt":${tries}`)
  }
}

const LETTER_N = 0x6e

function addPlace(
  row: RowBytes,
  label: string,
  { json }: ResultLine,
  place: LineRange | undefined,
): void {
  // Only null starts with an n.
  if (place && json[place.start] !== LETTER_N) row.text(label).bytes(json, place.start, place.end)
}
