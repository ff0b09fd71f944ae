import type { Api } from '../../api/api.ts'
import { resultsUrlOf, type BatchListPage, type RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { ownedIds } from '../../store/sendable.ts'
import type { StoredJob } from '../../store/job.ts'
import { countOf, type Moment } from '../../core/job/event.ts'
import { isRuledOut, openCandidates, type BatchState } from '../../core/job/state.ts'
import { EXPIRES_AFTER_MS, MAX_LIST_PAGES, MAX_PAGE } from '../../core/limits.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import { eachFirstCustomId } from '../../api/first-lines.ts'
import {
  createdFrom,
  driftOf,
  hasCount,
  isCandidate,
  isEarlier,
  isOfAnotherTime,
  reconcile,
  undecidedIn,
  type Proof,
  minElapsed,
  type PendingCreate,
  type SearchEvidence,
  type Reconciliation,
} from './reconcile.ts'

/** The first and the longest pause between two listings. */
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

/** In how many ways a list is requested: with pages of a different size. */
const LIST_VARIANTS = 500

export interface SearchOptions {
  readonly job: StoredJob
  readonly api: Api
  readonly number: number
  readonly settleMs: number
  readonly signal: AbortSignal
  /** Ids that other jobs of this machine own. */
  readonly ownedElsewhere?: OwnedElsewhere | undefined
  /** The user's decisions about candidates whose ids were chosen. */
  readonly adopt?: readonly string[] | undefined
  /**
   * A time after the last byte was sent, by the monotonic clock.
   * @default now
   */
  readonly sentBefore?: number | undefined
  /**
   * Whether its id is known to be another batch's. Then the search ends instead of waiting for the results of candidates, and the
   * job can be resumed later.
   * @default false
   */
  readonly isOthers?: boolean
  /** Called with the reason whenever the search has to wait. */
  readonly onWait: (why: string) => void
}

/** The decision that none of the batches that were named is this one. */
const NONE = 'none'

/** Batch ids that belong to other jobs. */
export type OwnedElsewhere = () => Promise<ReadonlySet<string>>

/** The batch that was searched for, as the API described it last. */
export interface FoundBatch {
  readonly id: string
  readonly remote: RemoteBatch
}

/** Ended batches with the ids of the batch that was searched for. The user chose these ids, so only the user can decide. */
export interface Undecided {
  readonly undecided: readonly RemoteBatch[]
}

/**
 * Searches for a batch whose create has an unknown outcome until it is found or proven not to exist: an armed one, or a
 * submitted one whose id the API does not know. `absent`: the API does not have it. `lost`: a candidate may be this batch, and
 * that can never be proven; with `isOthers`, not by now.
 */
export async function search(
  options: SearchOptions,
): Promise<FoundBatch | Undecided | 'absent' | 'lost'> {
  const { job, number, settleMs, signal, ownedElsewhere, adopt = [] } = options
  const pending = await pendingCreateOf(options)
  const startedAt = job.clock.elapsed()
  const sentBefore = options.sentBefore ?? startedAt
  const proofs = new Map<string, Proof>()
  const decisions = new Map<string, Proof>()
  const learned = { proofs, decisions, foreign: new Set<string>() }
  for (const [id, candidate] of Object.entries(job.batch(number).candidates)) {
    // The user may take a decision back as long as nothing was sent because of it.
    if (isRuledOut(candidate) && !adopt.includes(id)) proofs.set(id, 'foreign')
    // The user has decided about the batches that an earlier run named, not about others.
    else if (candidate === 'named' && adopt.includes(NONE)) decisions.set(id, 'foreign')
  }
  mustBeOne(job.batch(number), adopt)
  for (const id of adopt) decisions.set(id, 'ours')
  const from = listedFrom(job, number, pending)
  let listings = 0
  let incomplete = 0
  let variant = Math.floor(Math.random() * LIST_VARIANTS)
  for (;;) {
    // A listing proves absence only if it was requested after the settle time.
    const settled = elapsedSinceArmed(job, number, sentBefore) >= settleMs
    // A cache that hides itself may have stored an earlier listing, so each has a URL of its own.
    variant = (variant + 1) % LIST_VARIANTS
    const listed = await listedBy(options, from, MAX_PAGE - variant)
    if (!listed) return 'absent'
    // The list may not reach back to a candidate that an earlier process, with another clock, has named.
    for (const id of openCandidates(job.batch(number))) {
      const named = listed.some(one => one.id === id) ? undefined : await options.api.lookUp(id)
      if (named) listed.push(named)
    }
    const known = listed.find(({ id }) => id === job.batch(number).id)
    if (known && !options.isOthers) return { id: known.id, remote: known }
    const verified = verifiedIds(job, number)
    // The reply to another create may have had the id of this batch, and the one to this create its id.
    const owned = options.isOthers
      ? verified
      : new Set([...ownedIds(job.state), ...(await ownedByOthers(job, ownedElsewhere))])
    const lateId = options.isOthers ? undefined : await job.shared?.lateIdOf(number)
    if (lateId !== undefined && !owned.has(lateId)) {
      const remote = await options.api.lookUp(lateId)
      if (remote) return { id: lateId, remote }
    }
    for (const batch of listed) {
      if (
        isCandidate(batch, pending, owned) &&
        job.batch(number).candidates[batch.id] === undefined
      ) {
        await job.note({ type: 'candidate', number, id: batch.id }, false)
      }
    }
    const verdict = await decide(options, pending, { listed, owned, verified, settled }, learned)
    if (verdict.kind === 'undecided') return { undecided: verdict.candidates }
    if (verdict.kind === 'adopt') return { id: verdict.batch.id, remote: verdict.batch }
    if (verdict.kind === 'absent') {
      const hidden = await hiddenIn(listed, options, from)
      if (hidden === undefined) return 'absent'
      incomplete += 1
      if (incomplete === MAX_INCOMPLETE) throw incompleteList(hidden)
      options.onWait(`the API's list lacks batch ${hidden}`)
      await job.clock.sleep(FIRST_PAUSE_MS * 2 ** incomplete, signal)
      continue
    }
    if (options.isOthers && verdict.for === 'proof') {
      const undecided = undecidedIn({ listed, owned, proofs })
      return undecided.length > 0 ? { undecided } : 'lost'
    }
    const waited = elapsedSinceArmed(job, number, sentBefore)
    // After the lifetime of a batch no proof can arrive, but one failed download is not the last word. Its requests are never
    // sent again on a guess.
    const isTried = job.clock.elapsed() - startedAt >= settleMs
    if (verdict.for === 'proof' && isTried && waited > EXPIRES_AFTER_MS + settleMs) {
      const undecided = undecidedIn({ listed, owned, proofs })
      return undecided.length > 0 ? { undecided } : 'lost'
    }
    options.onWait(verdict.why)
    const rest = settleMs - waited
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(listings, 6), LONGEST_PAUSE_MS)
    listings += 1
    await job.clock.sleep(rest > 0 ? Math.max(1, Math.min(rest, pause)) : pause, signal)
  }
}

/**
 * The same. If the search fails, it returns undefined: submission stops with the reason, the batch stays as it is, and the others are
 * still collected.
 */
export async function searchOrStop(
  options: SearchOptions,
): Promise<Awaited<ReturnType<typeof search>> | undefined> {
  const { job, number } = options
  try {
    return await search(options)
  } catch (cause) {
    if (!isOfApi(cause) || job.lost.aborted) throw cause
    job.queue.leaveUndecided(number, [], cause)
    return undefined
  }
}

/** Whether the API, or what is between, is the cause of an error. */
export function isOfApi(cause: unknown): cause is BatchStreamError {
  return (
    cause instanceof BatchStreamError && (cause.code === 'CBS_API' || cause.code === 'CBS_ACCESS')
  )
}

/** The batches back to a time; undefined if the list is refused and the user has decided that the API has no such batch. */
async function listedBy(
  { api, number, adopt = [] }: SearchOptions,
  from: number,
  limit: number,
): Promise<RemoteBatch[] | undefined> {
  let isThere = true
  const pageAfter = async (after: string | undefined): Promise<BatchListPage> => {
    if (!adopt.includes(NONE)) return await api.list(after, limit, 'proof')
    const page = await api.listIfAllowed(after, limit)
    isThere &&= page !== undefined
    return page ?? NO_LIST
  }
  try {
    const listed = await listFrom(from, pageAfter)
    return isThere ? listed : undefined
  } catch (cause) {
    if (!(cause instanceof BatchStreamError)) throw cause
    const why = `the API may have batch ${number}, and only its list shows whether it does: resume the job when it can be read. If it never can, and you know that there is no such batch, \`adopt\`: none sends it again`
    throw new BatchStreamError(cause.code, `${cause.message}; ${why}`, { cause })
  }
}

/**
 * Rejects decisions that name several batches of the API for one batch of the job.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function mustBeOne({ number, candidates }: BatchState, adopt: readonly string[]): void {
  // Others may be candidates by their count alone.
  const ids = [...new Set(adopt)].filter(id => candidates[id] === 'named')
  if (ids.length > 1)
    throw new BatchStreamError(
      'CBS_OPTION',
      `\`adopt\` has ${ids.join(' and ')}, but batch ${number} is only one of them: name that one`,
      { option: 'adopt' },
    )
}

/**
 * Rejects a decision for a batch that an earlier one ruled out, if that has had effects.
 * @throws BatchStreamError `CBS_OPTION`
 */
export function mustBePossible(batches: Iterable<BatchState>, adopt: readonly string[]): void {
  const all = [...batches]
  for (const id of adopt) {
    if (all.some(batch => batch.id === id || mayAdopt(batch, id))) continue
    const batch = all.find(({ candidates }) => isRuledOut(candidates[id]))
    if (!batch) continue
    const since =
      batch.candidates[id] === 'replaced'
        ? 'which has been sent again since'
        : batch.phase === 'void'
          ? 'which has been split since'
          : 'whose rows are final'
    throw new BatchStreamError(
      'CBS_OPTION',
      `\`adopt\` has ${id}, but that was ruled out for batch ${batch.number}, ${since}: \`claude-batch-stream results ${id}\` prints its answers`,
      { option: 'adopt' },
    )
  }
}

/** Whether a batch may be this batch of the API, or may be so again if the user takes a decision back. */
function mayAdopt(batch: BatchState, id: string): boolean {
  if (openCandidates(batch).includes(id)) return true
  return batch.candidates[id] === 'ruledOut' && batch.fetched === null && batch.phase !== 'void'
}

/** Batch ids of other jobs, according to their journals and the ledger. */
export async function ownedByOthers(
  job: StoredJob,
  ownedElsewhere: OwnedElsewhere | undefined,
): Promise<ReadonlySet<string>> {
  return new Set([
    ...((await ownedElsewhere?.()) ?? []),
    ...((await job.shared?.ownedElsewhere()) ?? []),
  ])
}

/**
 * Whether a batch that a create returned is provably older than its request, by the API's clock. A gateway may have replied from
 * a cache.
 */
function isOlderThanArmed({ armed }: Pick<BatchState, 'armed'>, batch: RemoteBatch): boolean {
  const serverAt = armed?.serverAt ?? null
  return isEarlier(batch, { serverAt, at: serverAt ?? 0, lagMs: 0 })
}

/** The same for the reply to a create. If the API's time was unknown when the batch was sent, the reply shows it. */
export function isOlderThanSent(job: StoredJob, number: number, batch: RemoteBatch): boolean {
  const armed = armedOf(job, number)
  return isEarlier(batch, {
    serverAt: sentAtOf(job, armed),
    at: armed.serverAt ?? armed.at,
    lagMs: 0,
  })
}

/** What shows that a batch of the API is not this one, as the end of a sentence; undefined if nothing does. */
export function whyAnother(batch: BatchState, remote: RemoteBatch): string | undefined {
  if (!hasCount(remote, batch.requests))
    return `has ${countOf(remote.request_counts)} requests instead of ${batch.requests}`
  return isOlderThanArmed(batch, remote) ? 'was created before that batch was sent' : undefined
}

/** Ids of the job's batches whose results have shown that they are right, and the id that this batch has had so far. */
function verifiedIds(job: StoredJob, number: number): ReadonlySet<string> {
  const ids = [...job.state.batches.values()].flatMap(batch =>
    batch.number === number || batch.fetched !== null ? (batch.id ?? []) : [],
  )
  return new Set(ids)
}

/** What is known about candidates. */
interface Learned {
  readonly proofs: Map<string, Proof>
  /** What the user has decided. */
  readonly decisions: ReadonlyMap<string, Proof>
  /** Batches whose results were those of another batch when they were read for the first time. */
  readonly foreign: Set<string>
}

async function decide(
  options: SearchOptions,
  pending: PendingCreate,
  seen: Pick<SearchEvidence, 'listed' | 'owned' | 'verified' | 'settled'>,
  { proofs, decisions, foreign }: Learned,
): Promise<Exclude<Reconciliation, { kind: 'prove' }>> {
  const { job, number, isOthers } = options
  for (const [id, proof] of proofs) if (proof === 'unreadable') proofs.delete(id)
  for (;;) {
    const candidates = Object.keys(job.batch(number).candidates)
    const now = job.session.serverTime.nowOrOurs()
    const verdict = reconcile(pending, { ...seen, proofs, candidates, now })
    if (verdict.kind !== 'prove') return verdict
    for (const candidate of verdict.candidates) {
      const isOther = job.batch(number).id === null ? isEarlier : isOfAnotherTime
      // A journaled candidate was named to the user, or by the reply to the create, so its time alone does not rule it out.
      const isNamed = job.batch(number).candidates[candidate.id] !== undefined
      const shown = await prove(options, candidate, !isNamed && isOther(candidate, pending))
      // A batch that another journal owns is no question to the user, so the decision does not mean it.
      const isAsked = shown === 'chosen' && !seen.owned.has(candidate.id)
      let proof = isAsked ? (decisions.get(candidate.id) ?? shown) : shown
      // A gateway may have replied with another batch's results, and what is ruled out is sent again: they are read twice.
      if (shown === 'foreign' && !isOthers && !foreign.has(candidate.id)) {
        foreign.add(candidate.id)
        proof = 'unreadable'
      }
      proofs.set(candidate.id, proof)
      if (proof === 'foreign') await job.note({ type: 'ruledOut', number, id: candidate.id }, false)
      if (proof === 'ours') break
    }
  }
}

/**
 * Reads the first result lines of an ended batch: their custom_ids show whose it is. `isOther`: chosen ids do not count, since
 * the batch is of another time.
 */
export async function prove(
  { job, api, number, signal }: Pick<SearchOptions, 'job' | 'api' | 'number' | 'signal'>,
  candidate: Parameters<typeof resultsUrlOf>[0],
  isOther: boolean,
): Promise<Proof> {
  const ids = await BatchIds.of(job, number)
  let proof: Proof = 'unreadable'
  // The set may contain a line of another batch, but no generated id of this batch by chance.
  const visit = (id: string): boolean => {
    const position = ids.position(id)
    if (position !== -1 && ids.chosenAt(position) === undefined) proof = 'ours'
    else if (position !== -1 && !isOther) proof = 'chosen'
    else if (proof !== 'chosen') proof = 'foreign'
    return proof === 'ours'
  }
  const needsMore = (): boolean => proof === 'chosen' && !ids.areAllChosen
  try {
    const url = resultsUrlOf(candidate)
    const isCached = await eachFirstCustomId(api, url, signal, visit, needsMore)
    // `visit` has set it, which TypeScript does not see.
    const shown = proof as Proof
    // Another batch's results from a cache do not rule this one out.
    return shown === 'foreign' && isCached ? 'unreadable' : shown
  } catch (cause) {
    if (signal.aborted || cause instanceof BatchStreamError) throw cause
    return 'unreadable'
  }
}

/** The page of a list that follows a batch. */
type PageAfter = (id: string | undefined) => Promise<BatchListPage>

/** Every batch of the workspace back to a time. Pages are newest first; a list in another order is read to its end. */
async function listFrom(from: number, pageAfter: PageAfter): Promise<RemoteBatch[]> {
  const listed: RemoteBatch[] = []
  const cursors = new Set<string>()
  let last = Infinity
  let isSorted = true
  let after: string | undefined
  for (;;) {
    const page = await pageAfter(after)
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
        `the API's list of batches does not end, or returns to ${page.last_id}, so the outcome of a create cannot be determined: resume the job later`,
      )
    after = page.last_id
    cursors.add(after)
  }
}

/** Enough for the batches that a workspace creates within seconds. */
const SHORT_PAGE = 20

const NO_LIST: BatchListPage = { data: [], has_more: false, last_id: null }

/** The maximum difference between a `date` header and the creation time in the same moment; usually it is below a second. */
const SAME_TIME_MS = 2000

/**
 * Whether the API may have accepted a batch although the reply to its create refuses it: a proxy that sent the create twice passes on
 * the reply to the second one. If the list has a batch of this size that was created since the last byte was sent, it becomes a
 * candidate. `listed`: it may have one, also because the list cannot be read; `refused`: the list is refused, too (4xx).
 */
export async function isListedAnyway(
  job: StoredJob,
  api: Api,
  number: number,
  ownedElsewhere: OwnedElsewhere | undefined,
): Promise<'listed' | 'absent' | 'refused'> {
  const { requests } = job.batch(number)
  const sentAt = sentAtOf(job, armedOf(job, number))
  const own = new Map([...job.state.batches.values()].map(batch => [batch.id, batch.armed]))
  let isThere = true
  const pageAfter = async (id: string | undefined): Promise<BatchListPage> => {
    const page = await api.listIfAllowed(id, SHORT_PAGE)
    isThere = page !== undefined
    return page ?? NO_LIST
  }
  const listBackTo = async (from: number): Promise<RemoteBatch[]> => await listFrom(from, pageAfter)
  try {
    const newest = await listBackTo(sentAt - SAME_TIME_MS)
    if (!isThere) return 'refused'
    // A gateway's stub: the list has no batch of the job, either.
    if (newest.length === 0 && ownedIds(job.state).size > 0) return 'listed'
    const sent = newest.flatMap(batch => {
      const armed = own.get(batch.id)
      return armed ? [{ batch, sentAt: sentAtOf(job, armed) }] : []
    })
    const { lagMs } = driftOf(sent)
    const from = sentAt - SAME_TIME_MS - lagMs
    const listed = lagMs === 0 ? newest : await listBackTo(from)
    const fresh = listed.filter(
      batch => Date.parse(batch.created_at) >= from && hasCount(batch, requests),
    )
    if (fresh.length === 0) return 'absent'
    const owned = new Set([...ownedIds(job.state), ...(await ownedByOthers(job, ownedElsewhere))])
    const unowned = fresh.filter(({ id }) => !owned.has(id))
    for (const { id } of unowned) await job.note({ type: 'candidate', number, id }, false)
    return unowned.length > 0 ? 'listed' : 'absent'
  } catch (cause) {
    if (cause instanceof BatchStreamError && cause.code === 'CBS_API') return 'listed'
    throw cause
  }
}

/** When a last byte was sent, by the API's clock. The local clock is corrected by what it shows now. */
function sentAtOf({ clock, session }: StoredJob, { at, serverAt }: Moment): number {
  return serverAt ?? at + session.serverTime.nowOrOurs() - clock.now()
}

/** How many other batches of the job are looked up at most; users may have deleted some. */
const MAX_LOOKED_UP = 5

/**
 * How far back a list must go: to the time of the batch, and to the job's newest other one, which shows whether the list is
 * complete.
 */
function listedFrom(job: StoredJob, number: number, pending: PendingCreate): number {
  const { state, session } = job
  // If the API's time was unknown, all batches that run are candidates.
  const isTimed = pending.serverAt !== null
  const running = isTimed ? Infinity : session.serverTime.nowOrOurs() - 2 * EXPIRES_AFTER_MS
  const from = Math.min(createdFrom(pending), running)
  const other = [...state.batches.values()].findLast(
    ({ number: one, id, armed }) => one !== number && id !== null && armed !== null,
  )
  if (!other?.armed) return from
  const { at } = other.armed
  const before = createdFrom({ ...pending, at, serverAt: sentAtOf(job, other.armed) })
  return before < from - EXPIRES_AFTER_MS ? from : Math.min(from, before)
}

/**
 * A batch of the job that was created in the time that a list covers, and is not in it although it exists; undefined if there is
 * none. A list that lacks one (a gateway's stub, a cache without headers) proves nothing about another. The user may have deleted
 * batches, but if the API no longer knows any of those that it has shown, nothing is proven, either. A running one cannot have been
 * deleted; its id may be wrong, but then an empty list lacks it, too.
 */
async function hiddenIn(
  listed: readonly RemoteBatch[],
  { job, api, number, adopt = [] }: SearchOptions,
  from: number,
): Promise<string | undefined> {
  const ids = new Set(listed.map(({ id }) => id))
  const others = [...job.state.batches.values()].filter(batch => batch.number !== number)
  const missing = others.filter(({ id }) => id !== null && !ids.has(id)).slice(-MAX_LOOKED_UP)
  // The rows of a batch with an id become unanswered, which costs nothing.
  const mayBeSentAgain = job.batch(number).id === null
  let vanished: string | undefined
  for (const { id, armed, counts } of missing) {
    const remote = await api.lookUp(id as string)
    if (remote && Date.parse(remote.created_at) >= from) return remote.id
    const isShown = counts !== null || (mayBeSentAgain && listed.length === 0)
    if (!remote && isShown && armed && (armed.serverAt ?? armed.at) >= from) vanished = id as string
  }
  const isAnyListed = others.some(({ id }) => id !== null && ids.has(id))
  return isAnyListed || adopt.includes(NONE) ? undefined : vanished
}

/** So many incomplete lists end the search. */
const MAX_INCOMPLETE = 5

function incompleteList(hidden: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the API's list of batches lacks ${hidden}, a batch of the job, so the outcome of a create cannot be determined: resume the job later. If the job's batches were deleted, resume it with \`adopt\`: none`,
  )
}

/** The minimum time since a moment of this process or an earlier one. `after` is a later time of this one, by its monotonic clock. */
export function elapsedSince(job: StoredJob, { at, serverAt }: Moment, after: number): number {
  const here = job.clock.elapsed() - after
  return minElapsed(here, serverAt, job.session.serverTime.now(), job.clock.now() - at)
}

function elapsedSinceArmed(job: StoredJob, number: number, sentBefore: number): number {
  const elapsed = elapsedSince(job, armedOf(job, number), sentBefore)
  // The previous owner may have sent the last byte until its lease ended.
  return job.shared ? Math.min(elapsed, job.shared.leaseEndedMs()) : elapsed
}

function armedOf(job: StoredJob, number: number): Moment {
  // Only batches that were armed are searched for.
  return job.batch(number).armed as Moment
}

async function pendingCreateOf(options: SearchOptions): Promise<PendingCreate> {
  const { job, api, number, settleMs } = options
  const { requests } = job.batch(number)
  const armed = armedOf(job, number)
  const { at, serverAt } = armed
  // The local clock may be wrong by days; a reply of the API shows by how much.
  if (serverAt === null && job.session.serverTime.sure() === null)
    await api.list(undefined, 1, 'proof')
  const shown = { at: serverAt === null ? sentAtOf(job, armed) : at, serverAt }
  return { requests, ...shown, settleMs, ...driftOf(await sentBeside(options)) }
}

/** The job's newest other batches, and when they were sent. */
async function sentBeside({
  job,
  api,
  number,
}: SearchOptions): Promise<readonly { batch: RemoteBatch; sentAt: number }[]> {
  const known = [...job.state.batches.values()].flatMap(batch => {
    const { armed, id } = batch
    if (batch.number === number || armed === null) return []
    const sentAt = sentAtOf(job, armed)
    // A reply with an earlier time is not believed, so its batch may still be a candidate.
    return (id === null ? openCandidates(batch) : [id]).map(one => ({ id: one, sentAt }))
  })
  const sent: { batch: RemoteBatch; sentAt: number }[] = []
  for (const { id, sentAt } of known.slice(-MAX_LOOKED_UP)) {
    const batch = await api.lookUp(id)
    if (batch) sent.push({ batch, sentAt })
  }
  return sent
}

/**
 * Leaves a batch to the user's decision: submission stops, and the run ends with the reason. If it has stopped for another
 * reason, `onWait` is called with this one. Returns the reason.
 */
export async function leaveUndecided(
  job: StoredJob,
  number: number,
  { undecided }: Undecided,
  onWait: (why: string) => void,
): Promise<BatchStreamError> {
  // Durable, since a later decision for none of them counts only for what was named.
  for (const { id } of undecided)
    await job.note({ type: 'candidate', number, id, named: true }, true)
  const ids = undecided.map(({ id }) => id)
  const reason = new BatchStreamError('CBS_STOPPED', undecidedMessage(job, number, undecided), {
    option: 'adopt',
  })
  if (job.queue.stopReason) onWait(reason.message)
  job.queue.leaveUndecided(number, ids, reason)
  return reason
}

/** Whether the user has given up a batch whose id is another batch's, after an earlier run has named it. */
export function isGivenUp({ id, candidates }: BatchState, adopt: readonly string[]): boolean {
  return adopt.includes(NONE) && id !== null && candidates[id] === 'named'
}

function undecidedMessage(
  job: StoredJob,
  number: number,
  undecided: readonly RemoteBatch[],
): string {
  const { id, phase } = job.batch(number)
  const why =
    id === null
      ? `it is unknown whether the API accepted batch ${number}`
      : phase === 'ended'
        ? `the results of ${id}, the id of batch ${number}, are not those of its requests`
        : `the API does not know ${id}, the id of batch ${number}`
  const named = undecided.map(
    one => `${one.id} (created ${new Date(one.created_at).toISOString()})`,
  )
  const whose = named.length === 1 ? 'it has' : 'they have'
  const none = id === null ? `none, which sends batch ${number}` : 'none if it is another one'
  return `${why}. It may be ${named.join(' or ')}: ${whose} the same custom_ids, but ids chosen with \`id\` do not show which job sent them, so nothing more is sent. Decide with \`adopt\`: the id of the batch that belongs to job ${job.name}, or ${none}`
}
