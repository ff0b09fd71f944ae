import type { Api } from '../../api/api.ts'
import { eachFirstCustomId } from '../../api/first-lines.ts'
import { resultsUrlOf, type BatchListPage, type RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { isRuledOut, openCandidates, type BatchState } from '../../core/job/state.ts'
import { EXPIRES_AFTER_MS, MAX_PAGE, RESULTS_KEPT_MS } from '../../core/limits.ts'
import type { StoredJob } from '../../store/job.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import { ownedIds } from '../../store/sendable.ts'
import { asking, isDecided, isOfApi, mustBeOne, NONE, type Undecided } from './decisions.ts'
import {
  hiddenIn,
  incompleteList,
  listedFrom,
  listFrom,
  MAX_LOOKED_UP,
  newestOnly,
  type Listing,
  unprovenList,
} from './listing.ts'
import { ownedByOthers, verifiedIds, type OwnedElsewhere } from './owners.ts'
import {
  areApart,
  driftOf,
  mayHaveCount,
  isCandidate,
  isEarlier,
  isOfAnotherTime,
  reconcile,
  undecidedIn,
  type Creation,
  type PendingCreate,
  type Proof,
  type Reconciliation,
  type SearchEvidence,
} from './reconcile.ts'
import { armedOf, creationsOf, elapsedSinceArmed, mustBeSentTo, sentAtOf } from './sent.ts'

// Other stages import this file only.
export { isGivenUp, isOfApi } from './decisions.ts'
export { leaveUndecided, mustBeOne, mustBePossible } from './decisions.ts'
export { ownedByOthers, type OwnedElsewhere } from './owners.ts'
export { isListedAnyway } from './refused-create.ts'
export { elapsedSince, isOlderThanSent, whyAnother } from './sent.ts'

/** The first and the longest pause between two listings. */
const FIRST_PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 60_000

/** The least time between two readings of results that rule a batch out: longer than a gateway repeats a reply by mistake. */
const TWICE_MS = 60_000

/** In how many ways a list is requested: with pages of a different size. */
const LIST_VARIANTS = 500

/** So many incomplete lists end the search. */
const MAX_INCOMPLETE = 5

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

/** The batch that was searched for, as the API described it last. */
export interface FoundBatch {
  readonly id: string
  readonly remote: RemoteBatch
}

/**
 * Searches for a batch whose create has an unknown outcome until it is found or proven not to exist: an armed one, or a
 * submitted one whose id the API does not know. `absent`: the API does not have it. `lost`: a candidate may be this batch, and
 * that can never be proven; with `isOthers`, not by now.
 *
 * @throws BatchStreamError `CBS_API` or `CBS_ACCESS` if the API's list does not show it, and only the user can decide
 */
export async function search(
  options: SearchOptions,
): Promise<FoundBatch | Undecided | 'absent' | 'lost'> {
  return await asking(options, () => searchUntilKnown(options))
}

async function searchUntilKnown(given: SearchOptions): ReturnType<typeof search> {
  const { job, number, settleMs, signal, ownedElsewhere, adopt = [] } = given
  const isAbsentAnyway = isDecided(job.batch(number), adopt)
  // A run that may leave waits neither for a list that fails nor for another batch to end.
  const api = given.api.waiting(wait => job.queue.betweenTries(number, wait))
  const options = { ...given, api }
  mustBeOne(job.batch(number), adopt)
  const named = adopt.length > 0 ? await namedBatch(options) : undefined
  if (named) return named
  const pending = await pendingCreateOf(options)
  const startedAt = job.clock.elapsed()
  const sentBefore = options.sentBefore ?? startedAt
  const proofs = new Map<string, Proof>()
  const decisions = new Map<string, Proof>()
  const learned = { proofs, decisions, foreign: new Map<string, number>() }
  for (const [id, candidate] of Object.entries(job.batch(number).candidates)) {
    // The user may take a decision back as long as nothing was sent because of it.
    if (isRuledOut(candidate) && !adopt.includes(id)) proofs.set(id, 'foreign')
    // The user has decided about the batches that an earlier run named, not about others.
    else if (candidate === 'named' && adopt.includes(NONE)) decisions.set(id, 'foreign')
  }
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
    const limit = MAX_PAGE - variant
    const open = openCandidates(job.batch(number))
    // The results of a known candidate may show that it is this one, also where there is no list.
    const listing = await listFrom(from, (after, isPastEnd) =>
      isPastEnd || open.length > 0
        ? api.listIfThere(after, limit, 'proof')
        : pageOf(options, after, limit),
    )
    if (!listing && open.length === 0) return 'absent'
    const listed = [...(listing?.batches ?? [])]
    // The list may not reach back to a candidate that an earlier process, with another clock, has named, or show it as it once was.
    for (const id of open) {
      const at = listed.findIndex(one => one.id === id)
      if (listed[at]?.processing_status === 'ended') continue
      const shown = await api.lookUpSurely(id)
      if (typeof shown === 'object') listed.splice(at === -1 ? listed.length : at, 1, shown)
      else if (shown === undefined && isAbsentAnyway) proofs.set(id, 'foreign')
    }
    // Neither a list nor a candidate: this says so.
    if (!listing && listed.length === 0) await pageOf(options, undefined, 1)
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
      if (isAbsentAnyway) return 'absent'
      mustBeSentTo(api, job.batch(number), job.state.workspace)
      const problem = await problemOf(listing, { ...options, from, pending })
      if (problem === undefined) return 'absent'
      incomplete += 1
      if (incomplete === MAX_INCOMPLETE) throw problem
      options.onWait(problem.message)
      await job.clock.sleep(FIRST_PAUSE_MS * 2 ** incomplete, signal)
      continue
    }
    if (options.isOthers && verdict.for !== 'time') {
      const undecided = undecidedIn({ listed, owned, proofs })
      return undecided.length > 0 ? { undecided } : 'lost'
    }
    const waited = elapsedSinceArmed(job, number, sentBefore)
    // After the lifetime of a batch no proof can arrive, but one failed download is not the last word. Its requests are never
    // sent again on a guess.
    const isTried = job.clock.elapsed() - startedAt >= settleMs
    const isLate = waited > EXPIRES_AFTER_MS + settleMs
    if (verdict.for !== 'time' && isTried && isLate) {
      const undecided = undecidedIn({ listed, owned, proofs })
      return undecided.length > 0 ? { undecided } : 'lost'
    }
    options.onWait(verdict.why)
    const rest = settleMs - waited
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** Math.min(listings, 6), LONGEST_PAUSE_MS)
    listings += 1
    const sleep = job.clock.sleep(rest > 0 ? Math.max(1, Math.min(rest, pause)) : pause, signal)
    await (verdict.for === 'end' && !isLate ? job.queue.betweenTries(number, sleep) : sleep)
  }
}

/** So many batches after a create, and none before it, are the newest ones of a longer list. */
const CUT_SHORT = 10

/** Whether a gateway may list the newest batches only, and too few of them. */
function isCutShort(
  listed: readonly RemoteBatch[],
  { api, pending: { serverAt, at, leadMs } }: Searched,
): boolean {
  if (!api.isThroughGateway || listed.length < CUT_SHORT) return false
  return listed.every(({ created_at }) => Date.parse(created_at) > (serverAt ?? at) + leadMs)
}

/** Whether the list comes in pages of the requested size. A gateway that lists the newest batches only has no pages. */
async function hasPages({ api }: Searched): Promise<boolean> {
  const { data, has_more } = await api.list(undefined, CUT_SHORT / 2, 'proof')
  return has_more && data.length === CUT_SHORT / 2
}

/** Options of a search, and what it searches for. */
interface Searched extends SearchOptions {
  readonly from: number
  readonly pending: PendingCreate
}

/** Why a list does not prove that a batch is absent; undefined if it does. */
async function problemOf(
  listing: Listing | undefined,
  options: Searched,
): Promise<BatchStreamError | undefined> {
  // Without candidates, the next look says that there is no list.
  if (listing?.end !== 'complete') return unprovenList()
  if (isCutShort(listing.batches, options) && !(await hasPages(options))) return newestOnly()
  const hidden = await hiddenIn(listing.batches, options, options.from)
  return hidden === undefined ? undefined : incompleteList(hidden)
}

/**
 * The same. If the search fails, it returns undefined: submission stops with the reason, the batch stays as it is, and the others are
 * still collected.
 */
export async function searchOrStop(
  options: SearchOptions,
): Promise<Awaited<ReturnType<typeof search>> | undefined> {
  return await orStop(options, () => search(options))
}

async function orStop<T>(
  { job, number }: Pick<SearchOptions, 'job' | 'number'>,
  call: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await call()
  } catch (cause) {
    if (!(cause instanceof BatchStreamError) || job.lost.aborted) throw cause
    if (cause.option !== 'adopt' && !isOfApi(cause)) throw cause
    job.queue.leaveUndecided(number, [], cause)
    return undefined
  }
}

/** Whether a batch that the API does not know is missing. If it may be another account's, submission stops, and it stays as it is. */
export async function isMissing(
  options: Pick<SearchOptions, 'job' | 'api' | 'number' | 'adopt'>,
): Promise<boolean> {
  const proven = async (): Promise<true> => {
    await mustBeMissing(options)
    return true
  }
  return (await orStop(options, proven)) ?? false
}

/**
 * Ensures that a batch that the API does not know is missing, and not that of another account, unless the user has decided so.
 *
 * @throws BatchStreamError `CBS_ACCESS` if only the user can decide; then submission stops
 */
export async function mustBeMissing(
  options: Pick<SearchOptions, 'job' | 'api' | 'number' | 'adopt'>,
): Promise<void> {
  const { job, api, number, adopt = [] } = options
  const batch = job.batch(number)
  if (!isDecided(batch, adopt))
    await asking(options, () => mustBeSentTo(api, batch, job.state.workspace))
}

/**
 * Ensures that the API knows a batch of the job, unless the user has decided that the one in question does not exist: with the key of
 * another account all of them would seem to be deleted, and to be sent again.
 *
 * @throws BatchStreamError `CBS_ACCESS` if only the user can decide; then submission stops
 */
export async function mustKnowAny(
  options: Pick<SearchOptions, 'job' | 'api' | 'number' | 'adopt'>,
): Promise<void> {
  const { job, api, number, adopt = [] } = options
  if (isDecided(job.batch(number), adopt)) return
  const ids = [...ownedIds(job.state)].slice(-MAX_LOOKED_UP)
  for (const id of ids) if (await api.lookUp(id)) return
  return await asking(options, () => {
    throw new BatchStreamError(
      'CBS_ACCESS',
      `the API knows no batch of job ${job.name}, so it may be another account than the one that the job was sent to: use the settings that it was sent with. If its batches were deleted, continue with \`adopt\`: none, which sends the requests again that have no answer`,
      { option: 'adopt' },
    )
  })
}

/**
 * The batch of the API that the user names, once its results show that it is this one. The list, which a gateway may lack, is not
 * needed for that.
 *
 * @throws BatchStreamError `CBS_OPTION` if the named batch is unknown, cannot be read, or is another one: then nothing is sent
 */
async function namedBatch(options: SearchOptions): Promise<FoundBatch | undefined> {
  const { job, number, ownedElsewhere, adopt = [] } = options
  const { candidates } = job.batch(number)
  const owned = new Set([...ownedIds(job.state), ...(await ownedByOthers(job, ownedElsewhere))])
  const isOfSome = (is: (one: BatchState) => boolean): boolean =>
    [...job.state.batches.values()].some(is)
  for (const id of adopt) {
    const isOfAnother =
      candidates[id] === undefined && isOfSome(one => one.candidates[id] !== undefined)
    if (id === NONE || owned.has(id) || isRuledOut(candidates[id]) || isOfAnother) continue
    const found = await proven(options, id)
    if (typeof found === 'object') return { id, remote: found }
    // It is another batch of the job, or may be one whose create got no reply.
    const isOther = isOfSome(
      one => one.id === id || (one.number !== number && one.phase === 'armed'),
    )
    if (found === 'foreign' && isOther) continue
    throw unproven(number, id, found)
  }
  return undefined
}

/** What a batch is whose results do not show that it is the one. */
type Unproven = 'foreign' | 'unknown' | 'unreadable'

/** The error for a batch that the user names and that cannot be proven. */
export function unproven(number: number, id: string, found: Unproven): BatchStreamError {
  const why: Record<Unproven, string> = {
    unknown: 'the API does not know it',
    unreadable: 'its results cannot be read',
    foreign: `its results do not show that it is batch ${number}`,
  }
  return new BatchStreamError('CBS_OPTION', `\`adopt\` has ${id}, but ${why[found]}`, {
    option: 'adopt',
  })
}

/** A batch whose results show that it is this one; otherwise, what it is. It waits for the end of a batch that runs. */
export async function proven(
  options: Pick<SearchOptions, 'job' | 'api' | 'number' | 'settleMs' | 'signal' | 'onWait'>,
  id: string,
): Promise<RemoteBatch | Unproven> {
  const { job, api, number, settleMs, signal, onWait } = options
  const { requests, candidates } = job.batch(number)
  let unreadSince: number | undefined
  for (;;) {
    const remote = await api.retrieve(id)
    if (!remote) return 'unknown'
    if (remote.processing_status === 'ended') {
      const proof = await prove(options, remote, false)
      if (proof === 'ours' || proof === 'chosen') return remote
      if (proof !== 'unreadable') return 'foreign'
      unreadSince ??= job.clock.elapsed()
      if (job.clock.elapsed() - unreadSince >= settleMs) return proof
    } else if (
      candidates[id] === undefined &&
      !mayHaveCount(remote, { requests, areCountsExact: false })
    )
      return 'foreign'
    onWait(`only its results show whether ${id} is batch ${number}`)
    const sleep = job.clock.sleep(LONGEST_PAUSE_MS, signal)
    await (unreadSince === undefined ? job.queue.betweenTries(number, sleep) : sleep)
  }
}

/** One page of the list; undefined if there is none and the user has decided. */
async function pageOf(
  { job, api, number, adopt = [] }: SearchOptions,
  after: string | undefined,
  limit: number,
): Promise<BatchListPage | undefined> {
  if (isDecided(job.batch(number), adopt)) return await api.listIfThere(after, limit, 'proof')
  try {
    return await api.list(after, limit, 'proof')
  } catch (cause) {
    if (!(cause instanceof BatchStreamError)) throw cause
    const why = `the API may have batch ${number}, and only its list shows whether it does: resume the job when it can be read. If it never can, \`adopt\` names its id; if you know that there is no such batch, \`adopt\`: none sends it again`
    throw new BatchStreamError(cause.code, `${cause.message}; ${why}`, { cause })
  }
}

/** What is known about candidates. */
interface Learned {
  readonly proofs: Map<string, Proof>
  /** What the user has decided. */
  readonly decisions: ReadonlyMap<string, Proof>
  /** When the results of a batch were those of another one for the first time, by the monotonic clock. */
  readonly foreign: Map<string, number>
}

async function decide(
  options: SearchOptions,
  pending: PendingCreate,
  seen: Pick<SearchEvidence, 'listed' | 'owned' | 'verified' | 'settled'>,
  { proofs, decisions, foreign }: Learned,
): Promise<Exclude<Reconciliation, { kind: 'prove' }>> {
  const { job, number, isOthers, settleMs } = options
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
      if (shown === 'foreign' && !isOthers) {
        const since = foreign.get(candidate.id)
        foreign.set(candidate.id, since ?? job.clock.elapsed())
        const isOnce =
          since === undefined || job.clock.elapsed() - since < Math.min(settleMs, TWICE_MS)
        if (isOnce) proof = 'unreadable'
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
  let other: string | undefined
  // The set may contain a line of another batch, but no generated id of this batch by chance.
  const visit = (id: string): boolean => {
    const position = ids.position(id)
    if (position !== -1 && ids.chosenAt(position) === undefined) proof = 'ours'
    else if (position !== -1 && !isOther) proof = 'chosen'
    else if (proof !== 'chosen') proof = 'foreign'
    if (position === -1) other ??= id
    return proof === 'ours'
  }
  const needsMore = (): boolean => proof === 'chosen' && !ids.areAllChosen
  try {
    const url = resultsUrlOf(candidate)
    const isCached = await eachFirstCustomId(api, url, signal, visit, needsMore)
    // `visit` has set it, which TypeScript does not see.
    const shown = proof as Proof
    if (shown !== 'foreign') return shown
    // Another batch's results from a cache do not rule this one out.
    const isOfCache = isCached || (await isKnownElsewhere(job, candidate.id, String(other)))
    return isOfCache ? 'unreadable' : shown
  } catch (cause) {
    if (signal.aborted || cause instanceof BatchStreamError) throw cause
    return 'unreadable'
  }
}

/** Whether a request of the job with this id was answered by another batch of the API, so that its results are not the candidate's. */
async function isKnownElsewhere(
  job: StoredJob,
  candidate: string,
  customId: string,
): Promise<boolean> {
  for (const { number, id, fetched } of job.state.batches.values()) {
    if (fetched === null || id === candidate) continue
    const ids = await BatchIds.of(job, number)
    const position = ids.position(customId)
    if (position !== -1 && ids.chosenAt(position) === undefined) return true
  }
  return false
}

async function pendingCreateOf(options: SearchOptions): Promise<PendingCreate> {
  const { job, api, number, settleMs } = options
  const { requests } = job.batch(number)
  const armed = armedOf(job, number)
  const { at, serverAt } = armed
  const { serverTime } = job.session
  // The local clock may be wrong by days, and so may a gateway's; another reply of the API shows by how much.
  if (areApart({ at, serverAt }) || (serverAt === null && serverTime.sure() === null))
    await pageOf(options, undefined, 1)
  const shown = { at: serverAt === null ? sentAtOf(job, armed) : at, serverAt }
  const now = serverTime.nowOrOurs()
  const oldest = Math.min(serverAt ?? now, now) - RESULTS_KEPT_MS
  const areCountsExact = !api.isThroughGateway
  return {
    requests,
    areCountsExact,
    ...shown,
    oldest,
    settleMs,
    ...driftOf(await sentBeside(options)),
  }
}

/** The job's other batches, and when they were sent. */
async function sentBeside({ job, api, number }: SearchOptions): Promise<readonly Creation[]> {
  const sent = creationsOf(job, number)
  const known = [...job.state.batches.values()].flatMap(batch => {
    const { armed, id } = batch
    if (batch.number === number || armed === null) return []
    const sentAt = sentAtOf(job, armed)
    // A reply with an earlier time is not believed, so its batch may still be a candidate.
    return (id === null ? openCandidates(batch) : [id]).map(one => ({ id: one, sentAt }))
  })
  // The list may show other times than the replies to the creates.
  for (const { id, sentAt } of known.slice(-MAX_LOOKED_UP)) {
    const batch = await api.lookUp(id)
    if (batch) sent.push({ createdAt: Date.parse(batch.created_at), sentAt })
  }
  return sent
}
