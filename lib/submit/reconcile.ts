import type { RemoteBatch } from '../api/api.ts'
import { countOf } from '../job/event.ts'
import { EXPIRES_AFTER_MS, SILENCE_MS } from '../limits.ts'

/** How far the API's own machines may disagree about the time. */
const SKEW_MS = 10 * 60 * 1000

/** How far back a batch is looked for where nothing told the API's clock: our own may be wrong by this much. */
const BLIND_MS = 2 * EXPIRES_AFTER_MS

/** What is known of a batch whose create has an unknown outcome. */
export interface Unknown {
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

export type Verdict =
  | { readonly kind: 'adopt'; readonly id: string }
  /** Candidates whose results must be looked at before anything can be said. */
  | { readonly kind: 'prove'; readonly candidates: readonly RemoteBatch[] }
  /** Something may still be ours: wait, for this reason. `time` heals it; `proof` may never come. */
  | { readonly kind: 'wait'; readonly for: 'time' | 'proof'; readonly why: string }
  /** Nothing of it is at the API. */
  | { readonly kind: 'resend' }

/** The earliest time, by the API's clock, at which the batch can have been created. */
export function createdFrom(unknown: Unknown): number {
  return unknown.serverAt === null ? unknown.at - BLIND_MS : unknown.serverAt - SKEW_MS
}

/** The latest: what was created after the settle time is somebody else's, as a batch sent again would be. */
function createdUntil(unknown: Unknown): number {
  const { serverAt, at, settleMs } = unknown
  return settleMs + (serverAt === null ? at + BLIND_MS : serverAt + SKEW_MS)
}

/** Could this batch be the one? Its count is the tag: no two unresolved batches of a job share it. */
export function isCandidate(
  batch: RemoteBatch,
  unknown: Unknown,
  owned: ReadonlySet<string>,
): boolean {
  const created = Date.parse(batch.created_at)
  return (
    countOf(batch.request_counts) === unknown.requests &&
    !owned.has(batch.id) &&
    created >= createdFrom(unknown) &&
    created <= createdUntil(unknown)
  )
}

/** All that is known when a verdict is asked for. */
export interface Evidence {
  /** A whole listing of the workspace's batches, back to `createdFrom`. */
  readonly listed: readonly RemoteBatch[]
  /** Ids that journals on this machine own. */
  readonly owned: ReadonlySet<string>
  /** What looks at candidates have shown. */
  readonly proofs: ReadonlyMap<string, Proof>
  /** Candidates seen at any time; one that is no longer listed may have been ours. */
  readonly suspects: Iterable<string>
  /** Whether the listing was made after the settle time had passed. */
  readonly settled: boolean
}

/** What to do about an unknown create. When in doubt it waits: an unknown costs latency, never money. */
export function judge(unknown: Unknown, evidence: Evidence): Verdict {
  const { listed, owned, proofs, suspects, settled } = evidence
  const candidates = listed.filter(batch => isCandidate(batch, unknown, owned))
  const ours = candidates.find(batch => proofs.get(batch.id) === 'ours')
  if (ours) return { kind: 'adopt', id: ours.id }
  const unread = candidates.filter(
    batch => batch.processing_status === 'ended' && !proofs.has(batch.id),
  )
  if (unread.length > 0) return { kind: 'prove', candidates: unread }
  const open = candidates.find(batch => proofs.get(batch.id) !== 'foreign')
  if (open) return { kind: 'wait', for: 'proof', why: waitingFor(open) }
  const ids = new Set(listed.map(batch => batch.id))
  for (const id of suspects) {
    if (!ids.has(id) && !owned.has(id) && proofs.get(id) !== 'foreign') {
      const why = `batch ${id}, which may be ours, is no longer listed`
      return { kind: 'wait', for: 'proof', why }
    }
  }
  if (settled) return { kind: 'resend' }
  return { kind: 'wait', for: 'time', why: 'the settle time has not passed' }
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
 * and now; never by wall time.
 */
export function sureElapsed(
  hereMs: number,
  serverAt: number | null,
  serverNow: number | null,
): number {
  if (serverAt === null || serverNow === null) return hereMs
  return Math.max(hereMs, serverNow - serverAt - SLACK_MS)
}
