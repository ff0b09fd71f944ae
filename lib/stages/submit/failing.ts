import { hasApiForm } from '../../api/sdk-error.ts'
import type { BatchState, JobState } from '../../core/job/state.ts'
import type { CreateOutcome, Refusal } from './outcome.ts'

/** So many failed creates of one batch may have its content as their cause. */
const SUSPECT_AFTER = 3

/** A gateway with a limit on the time of an upload may cut bodies of more bytes. */
const LARGE_BYTES = 8 * 1024 * 1024

/**
 * What to do with a batch whose creates fail for no stated reason (no reply, a server error) and that the API does not have. A filter on the
 * way may drop a connection because of one record, which would keep its whole batch from ever being sent: then the batch is halved until
 * that request is alone. It is only rejected if it fails while the API accepts others.
 */
export function afterFailure(
  { batches }: Pick<JobState, 'batches'>,
  number: number,
  { now, settleMs }: { readonly now: number; readonly settleMs: number },
): 'again' | 'split' | 'reject' {
  const batch = batches.get(number)
  if (!batch?.failed) return 'again'
  const { requests, failed, root, bytes } = batch
  const isSuspect = isFailingForLong(batch, { now, settleMs })
  if (requests === 1) return isSuspect && failed.apart >= SUSPECT_AFTER ? 'reject' : 'again'
  const isHalved = [...batches.values()].some(
    one => one.root === root && one.number !== number && one.phase === 'void' && one.failed,
  )
  // A half that is halved in vain costs nothing but another call. Without a sign from others, only its size may be the cause.
  if (isHalved) return failed.apart > 0 || (isSuspect && bytes > LARGE_BYTES) ? 'split' : 'again'
  const isCommon = [...batches.values()].some(
    one => one.failed && one.root !== root && one.submittedAt === null,
  )
  return isSuspect && (failed.apart > 0 || !isCommon) ? 'split' : 'again'
}

/** Whether the creates of a batch have failed so often, and for so long, that its content may be the cause. */
export function isFailingForLong(
  { failed }: Pick<BatchState, 'failed'>,
  { now, settleMs }: { readonly now: number; readonly settleMs: number },
): boolean {
  return failed !== undefined && failed.times >= SUSPECT_AFTER && now - failed.since >= settleMs
}

/** How a filter may answer a create because of what it contains, besides the statuses that refuse a request anyway. */
const FILTER_STATUSES: readonly (number | null)[] = [403, 404]

/**
 * The reply of a filter that has read the create: a 403 or 404 that is not in the API's form, by the failure that ended it. One of the
 * records may be the cause, as for a 400, unless the filter blocks all of them. Undefined for any other outcome.
 */
export function filteredBy(outcome: CreateOutcome): CreateOutcome | undefined {
  const stop = outcome.kind === 'unknown' ? outcome.refusal : outcome
  if (stop?.kind !== 'stop' || hasApiForm(stop.failure.cause)) return undefined
  if (!FILTER_STATUSES.includes(stop.failure.status)) return undefined
  const refusal: Refusal = { kind: 'refused', failure: stop.failure }
  return outcome.kind === 'unknown' ? { ...outcome, refusal } : refusal
}
