import type { Result } from '../../core/results/result.ts'
import type { RowBytes } from './row-bytes.ts'

/**
 * Adds the response as JSON. Text is copied byte for byte as the API wrote it, so that an answer of megabytes is never parsed.
 * An answer that breaks the schema becomes null: it must not look like a valid one.
 */
export function addResponse(row: RowBytes, result: Result): void {
  const { line, checked, answerJson } = result
  const texts = line?.texts ?? []
  if (answerJson) row.bytes(answerJson)
  else if (checked) row.text('null')
  else if (!line || texts.length === 0) row.text('null')
  else {
    row.text('"')
    for (const { start, end } of texts) row.bytes(line.json, start + 1, end - 1)
    row.text('"')
  }
}
