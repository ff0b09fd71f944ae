import type { Result } from '../../core/results/result.ts'
import type { RowBytes } from './row-bytes.ts'

/**
 * Adds the response as JSON. Text is copied byte for byte as the API wrote it, so that an answer of megabytes is never parsed.
 * An answer that breaks the schema becomes null: it must not look like a valid one.
 */
export function addResponse(row: RowBytes, { line, checked }: Result): void {
  const texts = line?.texts ?? []
  if (checked) row.text('value' in checked ? JSON.stringify(checked.value) : 'null')
  else if (!line || texts.length === 0) row.text('null')
  else {
    row.text('"')
    for (const { start, end } of texts) row.bytes(line.json, start + 1, end - 1)
    row.text('"')
  }
}
