import type { Api } from '../../api/api.ts'
import { resultsUrlOf, type RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { ownedIds } from '../../store/batch-queue.ts'
import type { StoredJob } from '../../store/job.ts'
import type { BatchState } from '../../core/job/state.ts'
import { EXPIRES_AFTER_MS, MAX_LIST_PAGES } from '../../core/limits.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import { eachFirstCustomId } from '../../api/first-lines.ts'
import {
  createdFrom,
  isCandidate,
  isEarlier,
  judge,
  type Proof,
  sureElapsed,
  type PendingCreate,
  type Reconciliation,
} from './reconcile.ts'

/** The shortest and the longest pause between two looks at the list. */
const FIRST_LOOK_MS = 1000
const LONGEST_LOOK_MS = 60_000

export interface SearchOptions {
  readonly job: StoredJob
  readonly api: Api
  readonly number: number
  readonly settleMs: number
  readonly signal: AbortSignal
  /** Ids that other jobs of this machine own. */
  readonly ownedElsewhere: () => Promise<ReadonlySet<string>>
  /** Told whenever the search has to go on waiting, and why. */
  readonly onWait: (why: string) => void
}

/**
 * Looks for a batch whose create has an unknown outcome until it is found or proven not to exist. `resend`: it is
 * safe to send again. `lost`: it may be ours and can never be proven.
 */
export async function search(
  options: SearchOptions,
): Promise<{ adopt: string } | 'resend' | 'lost'> {
  const { job, settleMs, signal } = options
  const unknown = await unknownOf(options)
  const began = job.clock.elapsed()
  const proofs = new Map<string, Proof>()
  for (const [id, is] of Object.entries(job.batch(options.number).candidates))
    if (is === 'ruledOut') proofs.set(id, 'foreign')
  let looks = 0
  for (;;) {
    // A listing proves absence only if it was asked for after the settle time had passed.
    const settled = settledFor(job, options.number, began) >= settleMs
    const listed = await listFrom(options.api, createdFrom(unknown))
    const owned = new Set([
      ...ownedIds(job.state),
      ...(await options.ownedElsewhere()),
      ...((await job.shared?.ownedElsewhere()) ?? []),
    ])
    const lateId = await job.shared?.lateIdOf(options.number)
    if (lateId !== undefined && !owned.has(lateId)) return { adopt: lateId }
    for (const batch of listed) {
      if (
        isCandidate(batch, unknown, owned) &&
        job.batch(options.number).candidates[batch.id] === undefined
      ) {
        await job.note({ type: 'candidate', number: options.number, id: batch.id }, false)
      }
    }
    const verdict = await verdictOn(options, unknown, listed, owned, proofs, settled)
    if (verdict.kind === 'adopt') return { adopt: verdict.id }
    if (verdict.kind === 'resend') return 'resend'
    const waited = settledFor(job, options.number, began)
    // What may be ours cannot come back after a batch's whole life: its rows are given up, and never sent on a guess.
    if (verdict.for === 'proof' && waited > EXPIRES_AFTER_MS + settleMs) return 'lost'
    options.onWait(verdict.why)
    const rest = settleMs - waited
    const pause = Math.min(FIRST_LOOK_MS * 2 ** Math.min(looks, 6), LONGEST_LOOK_MS)
    looks += 1
    await job.clock.sleep(rest > 0 ? Math.min(rest, pause) : pause, signal)
  }
}

async function verdictOn(
  options: SearchOptions,
  unknown: PendingCreate,
  listed: readonly RemoteBatch[],
  owned: ReadonlySet<string>,
  proofs: Map<string, Proof>,
  settled: boolean,
): Promise<Exclude<Reconciliation, { kind: 'prove' }>> {
  const { job, number } = options
  for (const [id, proof] of proofs) if (proof === 'unreadable') proofs.delete(id)
  for (;;) {
    const candidates = Object.keys(job.batch(number).candidates)
    const now = job.session.serverTime.nowOrOurs()
    const verdict = judge(unknown, { listed, owned, proofs, candidates, settled, now })
    if (verdict.kind !== 'prove') return verdict
    for (const candidate of verdict.candidates) {
      const proof = await prove(options, candidate, isEarlier(candidate, unknown))
      proofs.set(candidate.id, proof)
      if (proof === 'foreign') await job.note({ type: 'ruledOut', number, id: candidate.id }, false)
      if (proof === 'ours') break
    }
  }
}

/** Looks at the first result lines of an ended batch: their custom_ids say whose it is. */
async function prove(
  { job, api, number, signal }: SearchOptions,
  candidate: RemoteBatch,
  isEarlier: boolean,
): Promise<Proof> {
  const ids = await BatchIds.of(job, number)
  let proof: Proof = 'unreadable'
  try {
    await eachFirstCustomId(api, resultsUrlOf(candidate), signal, id => {
      // A set may hold a line of another batch, but never by chance a line of this one.
      const position = ids.position(id)
      const isSure = !isEarlier || ids.chosenAt(position) === undefined
      proof = position !== -1 && isSure ? 'ours' : 'foreign'
      return proof === 'ours'
    })
    return proof
  } catch (cause) {
    if (signal.aborted || cause instanceof BatchStreamError) throw cause
    return 'unreadable'
  }
}

/** Every batch of the workspace back to a time; pages go newest first. A list in another order is read to its end. */
async function listFrom(api: Api, from: number): Promise<RemoteBatch[]> {
  const listed: RemoteBatch[] = []
  const cursors = new Set<string>()
  let last = Infinity
  let isSorted = true
  let after: string | undefined
  for (;;) {
    const page = await api.list(after)
    listed.push(...page.data)
    for (const { created_at } of page.data) {
      const created = Date.parse(created_at)
      isSorted &&= created <= last
      last = created
    }
    if (!page.has_more || page.last_id === null || (isSorted && last < from)) return listed
    if (cursors.has(page.last_id) || cursors.size === MAX_LIST_PAGES)
      throw new BatchStreamError(
        'CBS_API',
        `the list of batches has no end, or comes round to ${page.last_id} again: what became of a batch cannot be found out`,
      )
    after = page.last_id
    cursors.add(after)
  }
}

function settledFor(job: StoredJob, number: number, began: number): number {
  const { at, serverAt } = armedOf(job, number)
  const here = job.clock.elapsed() - began
  const elapsed = sureElapsed(here, serverAt, job.session.serverTime.now(), job.clock.now() - at)
  // The owner before may have sent the last byte up to the end of its lease.
  return job.shared ? Math.min(elapsed, job.shared.leaseEndedMs()) : elapsed
}

function armedOf(job: StoredJob, number: number): NonNullable<BatchState['armed']> {
  // Only an armed batch is looked for.
  return job.batch(number).armed as NonNullable<BatchState['armed']>
}

async function unknownOf({ job, api, number, settleMs }: SearchOptions): Promise<PendingCreate> {
  const { requests } = job.batch(number)
  const { at, serverAt } = armedOf(job, number)
  if (serverAt !== null) return { requests, serverAt, at, settleMs }
  // Our clock may be wrong by any number of days, and an answer of the API's tells by how much.
  if (job.session.serverTime.sure() === null) await api.list(undefined, 1)
  const behind = job.session.serverTime.nowOrOurs() - job.clock.now()
  return { requests, serverAt, at: at + behind, settleMs }
}
