// The compiler rejects a wrong order of stages. In JavaScript the first item reveals it.
import { BatchStreamError } from './errors.ts'
import { SourceRecord, type EndedBatch } from './flow.ts'
import { Result } from './results/result.ts'

/** The kinds of input of stages. */
export type InputKind =
  'records' | 'requests' | 'sealed batches' | 'submitted batches' | 'ended batches' | 'results'

/** How each input is recognised, and which stage produces it. */
const TAKEN: Record<InputKind, { is: (item: unknown) => boolean; before: string }> = {
  records: {
    is: isRecord,
    before: 'put a parse stage before it, or create them with `new SourceRecord(raw, { line })`',
  },
  requests: {
    is: isRequest,
    before: 'put template before it, or pass objects with `params`',
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

/** The error of a stage that received the wrong kind of input; undefined if it is right. */
export function wrongInputError(
  stage: string,
  taken: InputKind,
  item: unknown,
): BatchStreamError | undefined {
  const { is, before } = TAKEN[taken]
  if (is(item)) return undefined
  return new BatchStreamError('CBS_STAGE', `${stage} takes ${taken}: ${before}`)
}

/** A record of this package or of another copy of it. */
function isRecord(item: unknown): boolean {
  if (item instanceof SourceRecord) return true
  // Treated as a record; each member that is read is checked.
  const { raw, line } = (item ?? {}) as Partial<SourceRecord>
  return raw instanceof Uint8Array && typeof line === 'number'
}

/** A request, or a rejected record. */
function isRequest(item: unknown): boolean {
  if (typeof item !== 'object' || item === null || isRecord(item)) return false
  const { record } = item as { readonly record?: unknown }
  return record === undefined ? 'params' in item : isRecord(record) && !(item instanceof Result)
}

function isBatch(item: unknown, states: readonly string[]): boolean {
  // Likewise.
  const { job, state } = (item ?? {}) as Partial<EndedBatch>
  return typeof job?.on === 'function' && states.includes(String(state))
}
