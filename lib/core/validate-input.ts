// The compiler rejects a wrong order of stages; in JavaScript the first item does.
import { BatchStreamError } from './errors.ts'
import { SourceRecord, type EndedBatch } from './flow.ts'
import { Result } from './results/result.ts'

/** What a stage takes. */
export type Taken =
  'records' | 'requests' | 'sealed batches' | 'submitted batches' | 'ended batches' | 'results'

/** How each input is recognised, and which stage produces it. */
const TAKEN: Record<Taken, { is: (item: unknown) => boolean; before: string }> = {
  records: {
    is: isRecord,
    before: 'put a parse stage before it, or make them with `new SourceRecord(raw, { line })`',
  },
  requests: {
    is: isRequest,
    before: 'put template before it, or give it objects with `params`',
  },
  'sealed batches': {
    is: item => isBatch(item, ['sealed', 'submitted', 'ended']),
    before: 'put aggregate before it',
  },
  'submitted batches': {
    is: item => isBatch(item, ['submitted', 'ended']),
    before: 'put submit before it',
  },
  'ended batches': {
    is: item => isBatch(item, ['ended']),
    before: 'put awaitEnd before it',
  },
  results: {
    is: item => item instanceof Result,
    before: 'put fetchResults before it',
  },
}

/** The error of a stage that was given something else than it takes; undefined for what it takes. */
export function wrongInputError(
  stage: string,
  taken: Taken,
  item: unknown,
): BatchStreamError | undefined {
  const { is, before } = TAKEN[taken]
  if (is(item)) return undefined
  return new BatchStreamError('CBS_STAGE', `${stage} takes ${taken}: ${before}`)
}

/** One of ours, or of another copy of this package. */
function isRecord(item: unknown): boolean {
  if (item instanceof SourceRecord) return true
  // Read as what it should be; what is read is looked at.
  const { raw, line } = (item ?? {}) as Partial<SourceRecord>
  return raw instanceof Uint8Array && typeof line === 'number'
}

/** A request, or a record that cannot be asked. */
function isRequest(item: unknown): boolean {
  if (typeof item !== 'object' || item === null || isRecord(item)) return false
  const { record } = item as { readonly record?: unknown }
  return record === undefined ? 'params' in item : isRecord(record) && !(item instanceof Result)
}

function isBatch(item: unknown, states: readonly string[]): boolean {
  // As above.
  const { job, state } = (item ?? {}) as Partial<EndedBatch>
  return typeof job?.on === 'function' && states.includes(String(state))
}
