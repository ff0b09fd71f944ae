import type { RemoteBatch } from '../../api/remote-batch.ts'
import { resultsUrlOf } from '../../api/remote-batch.ts'
import { Retries } from '../../api/retry-policy.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { Counts } from '../../core/job/event.ts'
import { openCandidates, type BatchState } from '../../core/job/state.ts'
import type { StoredJob } from '../../store/job.ts'
import type { LineIndex } from '../../store/results/line-index.ts'
import { JoinedSet } from '../../store/results/joined-set.ts'
import {
  isGivenUp,
  leaveUndecided,
  mustBeMissing,
  prove,
  search,
  type OwnedElsewhere,
} from '../search/search.ts'
import { Attempts, DOWNLOADS, type Outcome } from './attempts.ts'
import { endOf, hasBeenArchived } from './ended-batch.ts'
import { fetchSet, isGone, pauseBefore, waitToRetry, type FetchOptions } from './fetch-set.ts'
import { contradictionIn, emptyTally, isKnown } from './verify.ts'
import type { Failure } from '../../api/failure.ts'
import { ResultLine } from '../../core/results/result-line.ts'

export interface DownloadOptions extends FetchOptions {
  /**
   * How long a 404, and a set with fewer lines than the batch has requests, is a temporary failure, unless the API says that the batch
   * is archived.
   */
  readonly settleMs: number
  readonly ownedElsewhere?: OwnedElsewhere | undefined
  readonly adopt?: readonly string[] | undefined
}

/** What the API has said last about a batch that has ended. */
interface Ended {
  readonly id: string
  readonly counts: Counts
  readonly url: string
  /** In ms since 1970. */
  readonly createdAt: number
  readonly isArchived: boolean
}

/**
 * Downloads a batch's result set to disk and verifies it: every line parses, every custom_id belongs to the batch and occurs
 * once, and the counts agree. Only then is `fetched` appended to the journal, durably. The lines of incomplete sets are joined. If
 * some are still missing at the settle time, their requests are unanswered. If the set stays invalid, that is `CBS_API` and the file
 * is kept in the job's folder.
 */
export async function download(given: DownloadOptions): Promise<void> {
  const { job, api, number, onWait, settleMs, adopt = [] } = given
  const batch = job.batch(number)
  const options = { ...given, isAdopted: batch.id !== null && adopt.includes(batch.id) }
  const { counts, resultsUrl, id, submittedAt } = batch
  if (counts === null || resultsUrl === null || id === null || submittedAt === null)
    return await noteMissing(job, number, notFound(batch))
  const set = await setOf(job, batch)
  // With another workspace's key every result set would seem to be gone.
  await api.proveWorkspaceIfListed()
  const end = endOf(options, id)
  const attempts = new Attempts(settleMs)
  const retries = new Retries(job.session)
  let ended: Ended = { id, counts, url: resultsUrl, createdAt: submittedAt, isArchived: false }
  // Then it is a batch of this account.
  let isKnownHere = false
  // The batch's own counts may be late, and its results_url may have changed. Returns whether the batch was in progress.
  const refresh = async (): Promise<boolean> => {
    const { remote, hasWaited } = await end()
    if (hasWaited) attempts.restart()
    if (remote) isKnownHere = true
    if (remote?.processing_status === 'ended') ended = endedIn(job, remote)
    return hasWaited
  }
  let isDefaultUrl = false
  for (;;) {
    const tried = await fetchAndJoin(options, ended, set)
    let isWrongUrl = true
    if ('failure' in tried) {
      attempts.interrupt()
      // The API refuses to give the results of a batch that is in progress.
      if (tried.failure.kind === 'refused' && (await refresh())) continue
      if (options.isAdopted && (await isHopeless(options, id, tried.failure, retries))) {
        const why = `the results under this id cannot be downloaded: ${tried.failure.message}`
        return await endWith(job, number, set, why)
      }
      await waitToRetry(options, tried.failure, retries, keptLines(batch, set))
      if (tried.failure.kind !== 'malformed' && tried.failure.kind !== 'notFound') continue
    } else {
      const { isArchived } = ended
      const next = attempts.after(tried.outcome, { now: job.clock.elapsed(), isArchived })
      if (next.kind === 'accept') {
        if (next.why !== null && !isKnownHere) await mustBeMissing(options)
        return await endWith(job, number, set, next.why)
      }
      if (next.kind === 'reject')
        throw invalidSet(job, number, `are invalid: ${next.why}`, adoptAnyway(job, batch))
      if (next.kind === 'suspect') {
        const isReplaced = await replaceSuspect(options, ended, set, next.why)
        return isReplaced ? await download(given) : undefined
      }
      onWait(tried.what)
      await pauseBefore(options, next)
      isWrongUrl = tried.outcome.kind === 'incomplete' && tried.outcome.isGone
    }
    await refresh()
    // A results_url may stay wrong, so every second try uses the API's default path.
    isDefaultUrl = isWrongUrl && !isDefaultUrl
    if (isDefaultUrl) ended = { ...ended, url: resultsUrlOf({ id, results_url: null }) }
  }
}

/** Whether a set that the user has decided about is blocked, and not by a key that is refused for all, or fails again and again. */
async function isHopeless(
  { api }: DownloadOptions,
  id: string,
  { kind }: Failure,
  { failures }: Retries,
): Promise<boolean> {
  return failures >= DOWNLOADS || (kind === 'access' && (await api.lookUp(id)) !== undefined)
}

function endedIn(job: StoredJob, remote: RemoteBatch): Ended {
  return {
    id: remote.id,
    counts: remote.request_counts,
    url: resultsUrlOf(remote),
    createdAt: Date.parse(remote.created_at),
    isArchived: hasBeenArchived(job, remote),
  }
}

/** What a download has shown, and what to say if it is repeated; or its failure. */
type Tried = { readonly outcome: Outcome; readonly what: string } | { readonly failure: Failure }

/** Downloads a set once and stores its lines. */
async function fetchAndJoin(
  options: DownloadOptions,
  { id, counts, url, createdAt, isArchived }: Ended,
  set: JoinedSet,
): Promise<Tried> {
  const { job, number } = options
  const batch = job.batch(number)
  const { requests } = batch
  const fetched = await fetchSet(options, url, counts)
  if ('failure' in fetched) {
    const { failure, part } = fetched
    if (part) {
      await join(job, batch, set, part, false)
      if (set.lines === requests && (await oddIn(options, set, counts)) === undefined)
        return { outcome: { kind: 'complete' }, what: '' }
    }
    if (!isGone(failure, isArchived)) return fetched
    const odd = await oddIn(options, set, counts)
    const why = noResults(job, id, createdAt)
    return { outcome: { kind: 'incomplete', isGone: true, why, odd }, what: failure.message }
  }
  const { verdict, lines, index } = fetched
  if (verdict.kind !== 'invalid' && lines > 0)
    await join(job, batch, set, index, verdict.kind === 'complete')
  const isWhole = set.lines === requests
  const again = (what: string): string =>
    `the results of batch ${id} are not complete (${what}); downloading them again`
  if (verdict.kind === 'complete') return { outcome: verdict, what: '' }
  // A gateway may have written a line of its own into one of the joined sets.
  const odd =
    isWhole || verdict.kind === 'incomplete' ? await oddIn(options, set, counts) : undefined
  if (isWhole && odd === undefined) return { outcome: { kind: 'complete' }, what: '' }
  if (verdict.kind === 'invalid') return { outcome: verdict, what: again(verdict.why) }
  const why = options.isAdopted
    ? 'the results have no valid line for this request'
    : 'the API ended the batch without a line for this request'
  return {
    outcome: { kind: 'incomplete', isGone: false, why, odd },
    what: again(odd ?? `${set.lines} of ${requests} lines`),
  }
}

/** What an earlier download of the set has left on disk. */
async function setOf(job: StoredJob, batch: BatchState): Promise<JoinedSet> {
  return batch.partlyFetched
    ? await JoinedSet.open(job.store, batch, 'part')
    : JoinedSet.empty(job.store, batch)
}

/** How a joined set contradicts the batch's own counts; undefined if it does not, or if the user has adopted it. */
async function oddIn(
  { job, number, isAdopted }: FetchOptions,
  set: JoinedSet,
  counts: Counts,
): Promise<string | undefined> {
  if (isAdopted) return undefined
  const tally = emptyTally()
  for await (const line of set.read()) {
    const read = ResultLine.read(line)
    // A line without a type is never stored.
    const type = read.string(read.type) as string
    if (isKnown(type)) tally[type] += 1
  }
  return contradictionIn(tally, job.batch(number).requests, counts)
}

/** Stores the lines of a download. Those of an incomplete set survive a crash, unless another machine has the set anyway. */
async function join(
  job: StoredJob,
  { number, foreign, fetched }: BatchState,
  set: JoinedSet,
  index: LineIndex,
  isComplete: boolean,
): Promise<void> {
  const before = set.lines
  await set.add(index, isComplete)
  // The next process would give other positions to the ids of a batch of another tool.
  if (isComplete || foreign || fetched || set.lines === before) return
  const { lines, bytes } = set
  await job.note({ type: 'partlyFetched', number, lines, bytes }, true)
}

/**
 * Looks for the batch under another id: a gateway with a broken cache may have answered the create with the id of another
 * batch, whose results these are. `absent`: they are, and the API has no batch with these requests; `lost`: that is not known.
 */
async function adoptAnother(
  options: DownloadOptions,
  results: Parameters<typeof prove>[1],
): Promise<'adopted' | 'absent' | 'lost'> {
  const { job, number, api, signal, settleMs, ownedElsewhere, adopt, onWait } = options
  const { armed, phase } = job.batch(number)
  if (!armed || phase !== 'ended') return 'lost'
  const proof = await prove(options, results, false)
  if (proof === 'ours') return 'lost'
  const found = await search({
    ...{ job, number, api, signal, settleMs, ownedElsewhere, adopt, onWait, isOthers: true },
  })
  if (typeof found === 'object' && 'undecided' in found)
    throw await leaveUndecided(job, number, found, onWait)
  if (typeof found === 'string') return proof === 'unreadable' ? 'lost' : found
  const { id, request_counts: counts } = found.remote
  const at = job.clock.now()
  const createdAt = Date.parse(found.remote.created_at)
  await job.note({ type: 'submitted', number, id, at, adopted: true, createdAt }, true)
  const resultsUrl = resultsUrlOf(found.remote)
  await job.note({ type: 'ended', number, counts, resultsUrl, at }, false)
  return 'adopted'
}

/**
 * Decides about a set that stays invalid: the create may have been answered with the id of another batch. Returns whether this batch
 * was found under another id; otherwise the batch was given up, or it throws.
 */
async function replaceSuspect(
  options: DownloadOptions,
  { id, url }: Ended,
  set: JoinedSet,
  what: string,
): Promise<boolean> {
  const { job, number, adopt = [] } = options
  const other = await adoptAnother(options, { id, results_url: url })
  if (other === 'adopted') return true
  if (other !== 'absent')
    throw await setAside(job, number, what, adoptAnyway(job, job.batch(number)))
  if (!isGivenUp(job.batch(number), adopt)) {
    // Durable, since a later decision for none of them counts only for what was named.
    await job.note({ type: 'candidate', number, id, named: true }, true)
    throw await setAside(job, number, what, GIVE_UP)
  }
  await job.note({ type: 'ruledOut', number, id }, false)
  const why = `batch ${number} of the job was given up: the API replied to its create with the id of another batch, ${id}`
  await endWith(job, number, set, why)
  return false
}

/** Notes that the joined set is final. Requests without a line are unanswered because of `why`. */
async function commit(
  job: StoredJob,
  number: number,
  set: JoinedSet,
  why: string | null,
): Promise<void> {
  const { lines, bytes } = set
  const { fetched } = job.batch(number)
  if (fetched && lines < fetched.lines)
    throw onOtherDisk(number, `the API sends ${lines} of its ${fetched.lines} lines`)
  await set.publish()
  if (!fetched) await job.note({ type: 'fetched', number, lines, bytes, why }, true)
  else if (lines > fetched.lines)
    await job.note({ type: 'refetched', number, lines, bytes, why }, true)
}

/** Notes that no more results will come. Requests without a stored line are unanswered because of `why`; null if there are none. */
async function endWith(
  job: StoredJob,
  number: number,
  set: JoinedSet,
  why: string | null,
): Promise<void> {
  if (why === null || set.lines > 0) await commit(job, number, set, why)
  else await noteMissing(job, number, why)
}

/** Notes that there are no results: every request of the batch is unanswered. */
async function noteMissing(job: StoredJob, number: number, why: string): Promise<void> {
  if (job.batch(number).fetched) throw onOtherDisk(number, why)
  await job.note({ type: 'fetched', number, lines: 0, bytes: 0, why }, true)
}

function onOtherDisk(number: number, why: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the results of batch ${number} are on the disk of another machine and cannot be downloaded again: ${why}`,
  )
}

/** What the user can do about a batch whose id is another batch's. */
const GIVE_UP =
  ". The API's list has no other batch with these requests. Resume the job to look again, or give the batch up with `adopt`: none, which makes its rows `unanswered`"

/** What the user can do about results whose download is always cut. */
function keptLines({ id, requests }: BatchState, { lines }: JoinedSet): string {
  if (lines === 0) return ''
  return `; ${lines} of its ${requests} results have arrived. \`adopt\`: ${id} takes them and makes the rows of the others \`unanswered\``
}

/** What the user can do about results that stay invalid. */
function adoptAnyway({ store: { temporary } }: StoredJob, { id }: BatchState): string {
  const how = temporary ? 'give the same command' : 'resume the job'
  return `. If the results under this id are those of the batch, ${how} with \`adopt\`: ${id}. Then the lines that are valid count, and requests without one become \`unanswered\``
}

/** Keeps an invalid result set for inspection. */
async function setAside(
  job: StoredJob,
  number: number,
  why: string,
  more: string,
): Promise<BatchStreamError> {
  const kept = `${job.store.path(number, 'results')}.invalid`
  await job.store.disk.rename(job.store.path(number, 'download'), kept)
  // The folder of a temporary job is deleted.
  const where = job.store.temporary ? '' : `. They are kept in ${kept}`
  const what = `are invalid after ${DOWNLOADS} downloads: ${why}${where}`
  return invalidSet(job, number, what, more)
}

function invalidSet(job: StoredJob, number: number, what: string, more: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the results of batch ${job.batch(number).id} ${what}; none of their rows were written${more}`,
    { option: 'adopt' },
  )
}

/** Why a batch that was sent has no end: the search for it is over. */
function notFound(batch: BatchState): string {
  const { number, id } = batch
  const open = openCandidates(batch).filter(one => one !== id)
  const what = id === null ? `a batch for batch ${number} of the job` : `batch ${id}`
  const why =
    open.length === 0
      ? 'its list has no other batch with these requests; the batch may have been deleted, or be in another workspace'
      : `the answers may be those of ${open.join(', ')}, which cannot be read`
  return `the API does not know ${what}, and ${why}`
}

function noResults(job: StoredJob, id: string, createdAt: number): string {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
  return `the API has no results for batch ${id} (404 on ${day(job.session.serverTime.nowOrOurs())}); it was created on ${day(createdAt)}, and results are kept for 29 days`
}

/** Whether the results were downloaded by an earlier owner of the job, to another disk. */
export async function areResultsLost(job: StoredJob, number: number): Promise<boolean> {
  const { fetched, foreign } = job.batch(number)
  if (!job.shared || !fetched || fetched.lines === 0 || foreign) return false
  return (await job.store.disk.stat(job.store.path(number, 'lines'))) === undefined
}
