import type { RemoteBatch } from '../../api/remote-batch.ts'
import { countOf } from '../../core/job/event.ts'
import { EXPIRES_AFTER_MS, SILENCE_MS } from '../../core/limits.ts'

/** How far the API's own machines may disagree about the time. */
const SKEW_MS = 10 * 60 * 1000

/** How far back a batch is looked for where nothing told the API's clock: our own may be wrong by this much. */
const BLIND_MS = 2 * EXPIRES_AFTER_MS

/** What is known of a batch whose create has an unknown outcome. */
export interface PendingCreate {
  readonly requests: number
  /** When its last byte went out, by the API's clock; null where no answer had told it. */
  readonly serverAt: number | null
  /** The same by our clock, set right where the API's is known by now; ours may have jumped in between. */
  readonly at: number
  /** How long after that the API may still come to make a batch of it. */
  readonly settleMs: number
}

/** What a look at a candidate's results has shown: our custom_ids, others, or no line that could be read. */
export type Proof = 'ours' | 'foreign' | 'unreadable'

export type Reconciliation =
  | { readonly kind: 'adopt'; readonly id: string }
  /** Candidates whose results must be looked at before anything can be said. */
  | { readonly kind: 'prove'; readonly candidates: readonly RemoteBatch[] }
  /** Something may still be ours: wait, for this reason. `time` heals it; `proof` may never come. */
  | { readonly kind: 'wait'; readonly for: 'time' | 'proof'; readonly why: string }
  /** Nothing of it is at the API. */
  | { readonly kind: 'resend' }

/** The earliest time, by the API's clock, at which the batch can have been created. */
export function createdFrom(unknown: PendingCreate): number {
  return unknown.serverAt === null ? unknown.at - BLIND_MS : unknown.serverAt - SKEW_MS
}

/** The latest: what was created after the settle time is somebody else's, as a batch sent again would be. */
function createdUntil(unknown: PendingCreate): number {
  const { serverAt, at, settleMs } = unknown
  return settleMs + (serverAt === null ? at + BLIND_MS : serverAt + SKEW_MS)
}

/**
 * Does this batch have the right count, and no owner? The count is the tag: no two unresolved batches of a job share it. A
 * batch has requests, so one that says none has not been counted yet.
 */
function isTagged(batch: RemoteBatch, unknown: PendingCreate, owned: ReadonlySet<string>): boolean {
  const count = countOf(batch.request_counts)
  return (count === unknown.requests || count === 0) && !owned.has(batch.id)
}

/** Could this batch be the one? */
export function isCandidate(
  batch: RemoteBatch,
  unknown: PendingCreate,
  owned: ReadonlySet<string>,
): boolean {
  const created = Date.parse(batch.created_at)
  return (
    isTagged(batch, unknown, owned) &&
    created >= createdFrom(unknown) &&
    created <= createdUntil(unknown)
  )
}

/**
 * Was this batch made before ours was sent? Its time alone does not rule it out, but an id that the user chose does not prove
 * it ours then: an earlier run over the same records has the same ids, and other answers. Where nothing had told the API's
 * time, that of ours may be wrong by days: then nothing is earlier.
 */
export function isEarlier(batch: RemoteBatch, { serverAt }: PendingCreate): boolean {
  return serverAt !== null && Date.parse(batch.created_at) < serverAt - SKEW_MS
}

/** No batch is from the future, and none runs for longer than its life: the API's clocks disagree, and its times tell nothing. */
function isImpossible(batch: RemoteBatch, now: number): boolean {
  const age = now - Date.parse(batch.created_at)
  return age < -SKEW_MS || age > EXPIRES_AFTER_MS + SKEW_MS
}

/** All that is known when a verdict is asked for. */
export interface SearchEvidence {
  /** A whole listing of the workspace's batches, back to `createdFrom`. */
  readonly listed: readonly RemoteBatch[]
  /** Ids that journals on this machine own. */
  readonly owned: ReadonlySet<string>
  /** What looks at candidates have shown. */
  readonly proofs: ReadonlyMap<string, Proof>
  /** Candidates seen at any time; one that is no longer listed may have been ours. */
  readonly candidates: Iterable<string>
  /** Whether the listing was made after the settle time had passed. */
  readonly settled: boolean
  /** The time by the API's clock. */
  readonly now: number
}

/** What to do about an unknown create. When in doubt it waits: an unknown costs latency, never money. */
export function judge(unknown: PendingCreate, evidence: SearchEvidence): Reconciliation {
  const { listed, owned, proofs, candidates, settled, now } = evidence
  const ours = listed.find(batch => !owned.has(batch.id) && proofs.get(batch.id) === 'ours')
  if (ours) return { kind: 'adopt', id: ours.id }
  const possible = listed.filter(batch => isCandidate(batch, unknown, owned))
  const unread = possible.filter(
    batch => batch.processing_status === 'ended' && !proofs.has(batch.id),
  )
  if (unread.length > 0) return { kind: 'prove', candidates: unread }
  const open = possible.find(batch => proofs.get(batch.id) !== 'foreign')
  if (open) return { kind: 'wait', for: 'proof', why: waitingFor(open) }
  const ids = new Set(listed.map(batch => batch.id))
  for (const id of candidates) {
    if (!ids.has(id) && !owned.has(id) && proofs.get(id) !== 'foreign') {
      const why = `batch ${id}, which may be ours, is no longer listed`
      return { kind: 'wait', for: 'proof', why }
    }
  }
  if (!settled) return { kind: 'wait', for: 'time', why: 'the settle time has not passed' }
  // Two clocks at the API may differ by more than they should. Before money is spent again, what only its time rules out is
  // looked at too: where it has ended that costs a call, where it runs it must be proven only if its time cannot be true.
  const strays = listed.filter(batch => isTagged(batch, unknown, owned) && !proofs.has(batch.id))
  const toRead = strays.filter(batch => batch.processing_status === 'ended')
  if (toRead.length > 0) return { kind: 'prove', candidates: toRead }
  const running = strays.find(batch => isImpossible(batch, now))
  if (running) return { kind: 'wait', for: 'proof', why: waitingFor(running) }
  return { kind: 'resend' }
}

function waitingFor(batch: RemoteBatch): string {
  return batch.processing_status === 'ended'
    ? `batch ${batch.id} may be ours and holds no result line that could tell`
    : `batch ${batch.id} may be ours and tells only when it has ended`
}

/**
 * How much older than the truth `serverAt` may be: a `date` header counts whole seconds, and was written up to the longest
 * silence before we read it.
 */
const SLACK_MS = 1000 + SILENCE_MS

/**
 * How long ago the last byte went out, at the least: by this process's own clock since it looks, or by the API's clock then
 * and now. That one may jump too, so it is believed as far as our wall time agrees, which says nothing alone.
 */
export function sureElapsed(
  hereMs: number,
  serverAt: number | null,
  serverNow: number | null,
  wallMs: number,
): number {
  if (serverAt === null || serverNow === null) return hereMs
  return Math.max(hereMs, Math.min(serverNow - serverAt - SLACK_MS, wallMs))
}
