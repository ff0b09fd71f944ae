import { SourceRecord, type EndedBatch, type RecordOrigin } from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { Result } from '../../../lib/core/results/result.ts'

// Writers read the batch's numbers alone, never its job.
const job = { name: 'made by hand' } as StoredJob

export const batch: EndedBatch = {
  state: 'ended',
  id: 'msgbatch_1',
  job,
  number: 1,
  attempt: 1,
  records: 1,
  requests: 1,
  bytes: 100,
}

export function record(json: string, origin: Partial<RecordOrigin> = {}): SourceRecord {
  return new SourceRecord(Buffer.from(json), { line: 18, ...origin })
}

export const usage = {
  input_tokens: 12,
  output_tokens: 3,
  cache_read_input_tokens: null,
  service_tier: 'batch',
}

/** The result that the API sent with this line; a value is written as JSON. */
export function answered(
  result: unknown,
  source: SourceRecord | string | undefined = '{"id":"17"}',
): Result {
  return new Result({
    batch,
    customId: 'r-1',
    record: typeof source === 'string' ? record(source) : source,
    raw: Buffer.from(JSON.stringify({ custom_id: 'r-1', result })),
    last: false,
  })
}

/** A succeeded line whose message has these blocks. */
export function message(content: unknown, more: Record<string, unknown> = {}): unknown {
  const defaults = { model: 'claude-haiku-5-5', stop_reason: 'end_turn', usage }
  return {
    type: 'succeeded',
    message: { type: 'message', role: 'assistant', content, ...defaults, ...more },
  }
}

export function said(text: string, source?: SourceRecord | string): Result {
  return answered(message([{ type: 'text', text }]), source)
}

/** A result for which there is no line. */
export function without(
  status: 'rejected' | 'unanswered',
  source: SourceRecord | string = '{"id":"17"}',
  type = 'missing_field',
): Result {
  return new Result({
    batch,
    customId: status === 'rejected' ? null : 'r-1',
    record: typeof source === 'string' ? record(source) : source,
    raw: null,
    without: { status, problem: { type, message: 'a reason' } },
    last: true,
  })
}
