import type { Result } from '../results/result.ts'
import type { Answer } from './answer.ts'

/**
 * What `_batch` says of a row, as JSON, in the order that users read it. `custom_id` and `batch_id` are null where there
 * is none; the others are left out where there is nothing to say.
 */
export function metaJson(result: Result, answer: Answer): string {
  const { record } = result
  return JSON.stringify({
    status: result.status,
    custom_id: result.customId,
    line: record?.line,
    source: record?.source,
    batch_id: result.batchId,
    attempt: result.attempt,
    stop_reason: result.stopReason ?? undefined,
    model: result.model ?? undefined,
    usage: result.usage ?? undefined,
    error: result.error ?? undefined,
    text: answer.text ?? undefined,
  })
}
