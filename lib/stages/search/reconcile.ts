import type { RemoteBatch } from '../../api/remote-batch.ts'
import { countOf } from '../../core/job/event.ts'
import { EXPIRES_AFTER_MS, IDLE_TIMEOUT_MS, RESULTS_KEPT_MS } from '../../core/limits.ts'

/** The maximum difference between the clocks of the API's machines. */
const SKEW_MS = 10 * 60 * 1000

/** How far back to search if the API's time was unknown: the local clock may be wrong by this much. */
const UNKNOWN_CLOCK_MS = 2 * EXPIRES_AFTER_MS

/** A batch whose create has an unknown outcome. */
export interface PendingCreate {
  readonly requests: number
  /** Whether counts are those of the API itself, and not of a gateway. */
  readonly areCountsExact: boolean
  /** When its last byte was sent, by the API's clock; null if that was unknown. */
  readonly serverAt: number | null
  /** The same by the local clock, corrected if the API's time is known by now; it may have jumped in between. */
  readonly at: number
  /** No batch that the API still has the results of is older; an earlier time by the local clock is wrong. */
  readonly oldest: number
  /** How long after that the API may still create the batch. */
  readonly settleMs: number
  /** How far the API's creation times are known to be behind its own `date` headers, and ahead of them, in ms. */
  readonly lagMs: number
  readonly leadMs: number
}

/**
 * Whose custom_ids a candidate's results contain. `chosen`: those of this batch, but all were chosen by the user, so a batch of
 * another job may have them too. `unreadable`: no line could be read.
 */
export type Proof = 'ours' | 'chosen' | 'foreign' | 'unreadable'

export type Reconciliation =
  | { readonly kind: 'adopt'; readonly batch: RemoteBatch }
  /** The results of these candidates must be read first. */
  | { readonly kind: 'prove'; readonly candidates: readonly RemoteBatch[] }
  /**
   * A batch may still be the pending one: wait. `time` resolves this; `proof` may never arrive, and not before a batch has ended or is
   * listed again if it is `end`.
   */
  | { readonly kind: 'wait'; readonly for: 'time' | 'proof' | 'end'; readonly why: string }
  /** Only the user knows whether one of these ended batches is the pending one. */
  | { readonly kind: 'undecided'; readonly candidates: readonly RemoteBatch[] }
  /** The API does not have it. */
  | { readonly kind: 'absent' }

type Span = readonly [from: number, until: number]

/** Whether the local clock and the `date` header were further apart than either can be believed. */
export function areApart({ serverAt, at }: Pick<PendingCreate, 'serverAt' | 'at'>): boolean {
  return serverAt !== null && Math.abs(at - serverAt) > UNKNOWN_CLOCK_MS
}

/**
 * When the batch can have been created, by the API's clock: from one time until another, both included. A gateway may have written the
 * `date` header, so where it and the local clock disagree, either may be right. A batch created after the settle time is another one, or
 * the same one sent again.
 */
function spansOf(pending: PendingCreate): Span[] {
  const { serverAt, at, oldest, settleMs, lagMs, leadMs } = pending
  const latest = settleMs + leadMs
  if (serverAt === null) return [[at - UNKNOWN_CLOCK_MS - lagMs, at + UNKNOWN_CLOCK_MS + latest]]
  const from = Math.max(Math.min(serverAt, at), serverAt - UNKNOWN_CLOCK_MS)
  const until = Math.min(Math.max(serverAt, at), serverAt + UNKNOWN_CLOCK_MS)
  const spans: Span[] = [[from - SKEW_MS - lagMs, until + SKEW_MS + latest]]
  if (areApart(pending) && at >= oldest) spans.push([at - SKEW_MS - lagMs, at + SKEW_MS + latest])
  return spans
}

/** The earliest time at which the batch can have been created, by the API's clock. */
export function createdFrom(pending: PendingCreate): number {
  return Math.min(...spansOf(pending).map(([from]) => from))
}

/** Whether a batch may have the right request count, and has no owner. The count is the tag: no two unresolved batches of a job share it. */
function isTagged(batch: RemoteBatch, pending: PendingCreate, owned: ReadonlySet<string>): boolean {
  return mayHaveCount(batch, pending) && !owned.has(batch.id)
}

/** Whether a batch has so many requests. A count of 0 means that the API has not counted it yet. */
export function hasCount(batch: RemoteBatch, requests: number): boolean {
  return [0, requests].includes(countOf(batch.request_counts))
}

/**
 * Whether a batch may have so many requests. A gateway may leave counts out, or be late with them: reading the results of an ended batch
 * costs a call, and a running one is waited for.
 */
export function mayHaveCount(
  batch: RemoteBatch,
  { requests, areCountsExact }: Pick<PendingCreate, 'requests' | 'areCountsExact'>,
): boolean {
  if (areCountsExact) return hasCount(batch, requests)
  return batch.processing_status === 'ended' || countOf(batch.request_counts) <= requests
}

/** Whether a batch was created at about the time when the pending one was sent. */
function isInTime(batch: RemoteBatch, pending: PendingCreate): boolean {
  const created = Date.parse(batch.created_at)
  return spansOf(pending).some(([from, until]) => created >= from && created <= until)
}

/** Whether a batch may be the one that was sent. */
export function isCandidate(
  batch: RemoteBatch,
  pending: PendingCreate,
  owned: ReadonlySet<string>,
): boolean {
  if (!isTagged(batch, pending, owned)) return false
  // The local clock may have been wrong by more, and a running batch cannot be read.
  const mayBeOld = pending.serverAt === null && batch.processing_status !== 'ended'
  return mayBeOld || isInTime(batch, pending)
}

/**
 * Whether a batch was created before the pending one was sent. The time alone does not rule it out, but with ids that the user chose it
 * does: an earlier run over the same records has the same ids. If the API's time was unknown, the local time may be
 * wrong by days, so no batch counts as earlier. Where the two clocks disagree, either may be right.
 */
export function isEarlier(
  batch: RemoteBatch,
  { serverAt, at, lagMs }: Pick<PendingCreate, 'serverAt' | 'at' | 'lagMs'>,
): boolean {
  if (serverAt === null) return false
  return Date.parse(batch.created_at) < Math.min(serverAt, at) - SKEW_MS - lagMs
}

/**
 * The same for a batch that was created before or after the pending one. A later run over the same records has the same chosen ids, too,
 * and a submitted batch may be searched for days later.
 */
export function isOfAnotherTime(batch: RemoteBatch, pending: PendingCreate): boolean {
  const { serverAt, at, settleMs, leadMs } = pending
  if (serverAt === null) return false
  const sinceSent = Date.parse(batch.created_at) - Math.max(serverAt, at)
  return isEarlier(batch, pending) || sinceSent > settleMs + leadMs + SKEW_MS
}

/** When a batch of the job was created, by the API, and when it had been sent. */
export interface Creation {
  readonly createdAt: number
  readonly sentAt: number
}

/**
 * How far creation times are behind `date` headers and ahead of them, as batches of the job show that were sent at these times. The
 * clocks behind an API or a gateway may differ by hours.
 */
export function driftOf(sent: readonly Creation[]): Pick<PendingCreate, 'lagMs' | 'leadMs'> {
  const leads = sent.map(({ createdAt, sentAt }) => createdAt - sentAt)
  return { lagMs: -Math.min(0, ...leads), leadMs: Math.max(0, ...leads) }
}

/**
 * Whether a batch that is no candidate may be the pending one if clocks are wrong by days. Results of much older ones may be deleted. If the
 * API's time was unknown, the local clock may have been wrong by any time.
 */
function isNear(batch: RemoteBatch, { serverAt }: PendingCreate, now: number): boolean {
  const created = Date.parse(batch.created_at)
  if (serverAt === null) return now - created <= RESULTS_KEPT_MS
  return Math.abs(created - serverAt) <= UNKNOWN_CLOCK_MS
}

/** Whether a batch is from the future or older than batches get: then the API's clocks disagree and its times prove nothing. */
function isImpossible(batch: RemoteBatch, now: number): boolean {
  const age = now - Date.parse(batch.created_at)
  return age < -SKEW_MS || age > EXPIRES_AFTER_MS + SKEW_MS
}

/** What a search has found so far. */
export interface SearchEvidence {
  /** A complete listing of the workspace's batches, back to `createdFrom`. */
  readonly listed: readonly RemoteBatch[]
  /** Batch ids in journals on this machine. */
  readonly owned: ReadonlySet<string>
  /** Those of them whose results have shown that it is true. */
  readonly verified: ReadonlySet<string>
  /** What the results of candidates have proven. */
  readonly proofs: ReadonlyMap<string, Proof>
  /** All candidates so far; one that is no longer listed may have been the pending one. */
  readonly candidates: Iterable<string>
  /** Whether the listing was made after the settle time had passed. */
  readonly settled: boolean
  /** The time by the API's clock. */
  readonly now: number
}

/** Decides what to do about an unknown create. In doubt it waits, which costs time and never money. */
export function reconcile(pending: PendingCreate, evidence: SearchEvidence): Reconciliation {
  const { listed, owned, verified, proofs, candidates, settled, now } = evidence
  const ours = listed.find(batch => proofs.get(batch.id) === 'ours')
  if (ours) return { kind: 'adopt', batch: ours }
  const named = new Set(candidates)
  const possible = listed.filter(
    batch =>
      isCandidate(batch, pending, owned) ||
      // An earlier process may have had another clock, and counts may be odd for a moment.
      (named.has(batch.id) && !owned.has(batch.id)),
  )
  const unread = possible.filter(
    batch => batch.processing_status === 'ended' && !proofs.has(batch.id),
  )
  if (unread.length > 0) return { kind: 'prove', candidates: unread }
  const open = possible.find(batch => !isRead(proofs.get(batch.id)))
  if (open) return waitingFor(open)
  const ids = new Set(listed.map(batch => batch.id))
  for (const id of named) {
    if (!ids.has(id) && !owned.has(id) && !isRead(proofs.get(id))) {
      const why = `batch ${id}, which may belong to this job, is no longer listed`
      return { kind: 'wait', for: 'end', why }
    }
  }
  if (!settled)
    return {
      kind: 'wait',
      for: 'time',
      why: "its outcome is unknown, so the API's list is searched for it until the settle time (`settle`) has passed",
    }
  // The API's clocks may differ by more than they should. Before money is spent again, batches that only their time rules out
  // are checked too: reading an ended one costs a call; a running one is waited for only if its time is impossible.
  const strays = listed.filter(
    batch =>
      hasCount(batch, pending.requests) && !owned.has(batch.id) && !isRead(proofs.get(batch.id)),
  )
  // A gateway may have replied to another create with this batch, so that another journal has its id.
  const claimed = listed.filter(
    batch =>
      owned.has(batch.id) &&
      !verified.has(batch.id) &&
      hasCount(batch, pending.requests) &&
      isInTime(batch, pending),
  )
  const toRead = [...strays, ...claimed].filter(
    batch => batch.processing_status === 'ended' && !proofs.has(batch.id),
  )
  if (toRead.length > 0) return { kind: 'prove', candidates: toRead }
  const unclear = strays.find(batch =>
    batch.processing_status === 'ended' ? isNear(batch, pending, now) : isImpossible(batch, now),
  )
  if (unclear) return waitingFor(unclear)
  const undecided = undecidedIn(evidence)
  return undecided.length > 0 ? { kind: 'undecided', candidates: undecided } : { kind: 'absent' }
}

/** The listed batches whose ids are those of this batch, but were chosen by the user. */
export function undecidedIn({
  listed,
  owned,
  proofs,
}: Pick<SearchEvidence, 'listed' | 'owned' | 'proofs'>): readonly RemoteBatch[] {
  return listed.filter(({ id }) => !owned.has(id) && proofs.get(id) === 'chosen')
}

/** Whether the results of a candidate have shown all that they can show. */
function isRead(proof: Proof | undefined): boolean {
  return proof === 'foreign' || proof === 'chosen'
}

function waitingFor({ id, processing_status }: RemoteBatch): Reconciliation {
  const isEnded = processing_status === 'ended'
  const why = isEnded
    ? `batch ${id} may belong to this job, and its results have not shown that yet`
    : `batch ${id} may belong to this job; its results will show that when it has ended`
  return { kind: 'wait', for: isEnded ? 'proof' : 'end', why }
}

/**
 * How far `serverAt` may lag: a `date` header has whole seconds, and was written up to one idle timeout before it was read.
 */
const DATE_SLACK_MS = 1000 + IDLE_TIMEOUT_MS

/**
 * The minimum time since the last byte was sent: by this process's monotonic clock since the search began, or by the API's
 * clock then and now. The API's clock may jump too, so it counts only as far as the local wall clock agrees.
 */
export function minElapsed(
  hereMs: number,
  serverAt: number | null,
  serverNow: number | null,
  wallMs: number,
): number {
  if (serverAt === null || serverNow === null) return hereMs
  return Math.max(hereMs, Math.min(serverNow - serverAt - DATE_SLACK_MS, wallMs))
}
