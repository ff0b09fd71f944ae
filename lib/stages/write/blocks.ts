import { memberOf } from '../../core/json/find.ts'
import { elements, type Range } from '../../core/json/scan.ts'
import type { ResultLine } from '../../core/results/result-line.ts'
import type { RowBytes } from './row-bytes.ts'

const TEXT = '"text"'

/** Adds the blocks of an answer that are no text (thinking, tool_use ...), byte for byte; nothing where there are none. */
export function addBlocks(row: RowBytes, { json, message }: ResultLine): void {
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
