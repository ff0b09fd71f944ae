import { EXPIRES_AFTER_MS, RESULTS_KEPT_MS } from '../core/limits.ts'
import type { BatchFault } from './batch-fault.ts'
import { rfc3339 } from './clock.ts'
import type { SpoolFile } from './spool.ts'

/** Counts of outcomes of an ended batch. */
export interface OutcomeCounts {
  readonly succeeded: number
  readonly errored: number
  readonly canceled: number
  readonly expired: number
}

/** An ended batch: one outcome per request in request order, and its result lines. */
export interface Settled {
  readonly tally: OutcomeCounts
  readonly outcomes: Uint8Array
  readonly lines: SpoolFile
}

/** An accepted batch. Only this stays in memory; its requests are in a file. */
export interface Batch {
  readonly id: string
  /** From 1 in order of creation; 0 for a batch of another tool. */
  readonly number: number
  readonly workspace: string
  /** The `anthropic-version` of its create; it applies to all of its requests. */
  readonly version: string
  /** The `anthropic-beta` of its create. */
  readonly betas: string
  readonly userProfile: string | null
  readonly requests: number
  /** Size of the create's body in bytes. */
  readonly bytes: number
  readonly createdAt: number
  /** How long it takes unless it is canceled. */
  readonly batchTimeMs: number
  readonly cancelTimeMs: number
  readonly fault: BatchFault
  readonly spool: SpoolFile
  cancelAt: number | null
  deletedAt: number | null
  /** Set at the first look after its end. */
  settled: Promise<Settled> | undefined
}

const COUNTS = ['processing', 'succeeded', 'errored', 'canceled', 'expired'] as const

/** Whether a batch is processed, is being canceled, or has ended, as the API says it. */
export type ProcessingStatus = 'in_progress' | 'canceling' | 'ended'

/** When the batch ends, as scheduled now. */
export function endOf(batch: Batch): number {
  const natural = batch.createdAt + Math.min(batch.batchTimeMs, EXPIRES_AFTER_MS)
  return batch.cancelAt === null ? natural : Math.min(natural, batch.cancelAt + batch.cancelTimeMs)
}

/** The status at this time. Nothing runs in the background; the status follows from the clock. */
export function statusOf(batch: Batch, now: number): ProcessingStatus {
  if (now >= endOf(batch)) return 'ended'
  return batch.cancelAt === null ? 'in_progress' : 'canceling'
}

/** Whether the batch can be retrieved by its id. */
export function isFound(batch: Batch, now: number): boolean {
  return (
    batch.deletedAt === null &&
    now >= batch.createdAt + (batch.fault.notFoundMs ?? 0) &&
    !hasVanished(batch, now)
  )
}

/** Whether the list shows the batch. */
export function isListed(batch: Batch, now: number): boolean {
  return (
    batch.deletedAt === null &&
    now >= batch.createdAt + (batch.fault.listedAfterMs ?? 0) &&
    !hasVanished(batch, now)
  )
}

function hasVanished(batch: Batch, now: number): boolean {
  return now >= batch.createdAt + (batch.fault.vanishAfterMs ?? Infinity)
}

/** Whether its results can no longer be fetched. */
export function isArchived(batch: Batch, now: number): boolean {
  return batch.fault.archived === true || now >= batch.createdAt + RESULTS_KEPT_MS
}

/**
 * The fate of the request at this position. In a canceled batch every third request completes, so that tests can rely on
 * it; in a batch that ran into its 24 hours, the first part completes.
 */
export function fateOf(batch: Batch, index: number): 'answered' | 'canceled' | 'expired' {
  const { expire } = batch.fault
  if (expire === true || expire?.includes(index)) return 'expired'
  const natural = batch.createdAt + Math.min(batch.batchTimeMs, EXPIRES_AFTER_MS)
  if (batch.cancelAt !== null && endOf(batch) < natural)
    return index % 3 === 2 ? 'answered' : 'canceled'
  const done = Math.floor((batch.requests * EXPIRES_AFTER_MS) / batch.batchTimeMs)
  return index < done || batch.batchTimeMs <= EXPIRES_AFTER_MS ? 'answered' : 'expired'
}

/** The batch as the API shows it. `tally` is used once it has ended. */
export function showBatch(
  batch: Batch,
  now: number,
  tally: OutcomeCounts | undefined,
  origin: string,
): object {
  const status = statusOf(batch, now)
  const counts = {
    processing: tally ? 0 : batch.requests,
    ...(tally ?? { succeeded: 0, errored: 0, canceled: 0, expired: 0 }),
  }
  const more = (tally && batch.fault.counts) || {}
  for (const name of COUNTS) counts[name] += more[name] ?? 0
  const micros = batch.number
  return {
    id: batch.id,
    type: 'message_batch',
    processing_status: status,
    request_counts: counts,
    created_at: rfc3339(batch.createdAt, micros),
    expires_at: rfc3339(batch.createdAt + EXPIRES_AFTER_MS, micros),
    ended_at: status === 'ended' ? rfc3339(endOf(batch), micros) : null,
    cancel_initiated_at: batch.cancelAt === null ? null : rfc3339(batch.cancelAt, micros),
    archived_at: isArchived(batch, now)
      ? rfc3339(Math.min(now, batch.createdAt + RESULTS_KEPT_MS), micros)
      : null,
    results_url: status === 'ended' ? resultsUrl(batch, origin) : null,
  }
}

function resultsUrl(batch: Batch, origin: string): string | null {
  const { resultsUrl: given } = batch.fault
  if (given === null) return null
  const path = `/v1/messages/batches/${batch.id}/results`
  // A faulty URL replaces scheme, host and port; its own path, if any, goes first.
  return given === undefined ? origin + path : given.replace(/\/$/, '') + path
}
