import type { Api } from '../../api/api.ts'
import { errorOf } from '../../api/api.ts'
import { eachPart } from '../../api/transport.ts'
import { resultsUrlOf, type RemoteBatch } from '../../api/remote-batch.ts'
import type { Failure } from '../../api/failure.ts'
import { withIdleTimeout, type IdleTimer } from '../../api/idle-timeout.ts'
import { observeFailure, pauseAfter, Retries } from '../../api/retry-policy.ts'
import { BrokenBody, isSdkError, isUndecodable, MalformedReply } from '../../api/sdk-error.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { Counts } from '../../core/job/event.ts'
import { openCandidates, type BatchState } from '../../core/job/state.ts'
import { AppendFile } from '../../store/append-file.ts'
import type { StoredJob } from '../../store/job.ts'
import { EXPIRES_AFTER_MS, IDLE_TIMEOUT_MS, MAX_RESULT_LINE_BYTES } from '../../core/limits.ts'
import type { Ids } from '../../store/results/ids.ts'
import type { LineIndex } from '../../store/results/line-index.ts'
import { withDownloadScanner, type Scanner } from '../../core/json/scanner.ts'
import { JoinedSet } from '../../store/results/joined-set.ts'
import { ResultFile } from '../../store/results/result-file.ts'
import { isGivenUp, leaveUndecided, prove, search, type OwnedElsewhere } from '../search/search.ts'
import { LineFeed } from './line-feed.ts'
import { contradictionIn, emptyTally, isKnown, Verifier, type ResultSetVerdict } from './verify.ts'
import { ResultLine } from '../../core/results/result-line.ts'

/** How often a result set that is incomplete or invalid is downloaded at least before the job accepts or rejects it. */
const DOWNLOADS = 5

export interface DownloadOptions {
  readonly job: StoredJob
  readonly api: Api
  readonly number: number
  readonly ids: Ids
  readonly signal: AbortSignal
  /**
   * How long a 404, and a set with fewer lines than the batch has requests, is a temporary failure, unless the API says that the batch
   * is archived.
   */
  readonly settleMs: number
  readonly onWait: (why: string) => void
  readonly ownedElsewhere?: OwnedElsewhere | undefined
  readonly adopt?: readonly string[] | undefined
}

/**
 * Downloads a batch's result set to disk and verifies it: every line parses, every custom_id belongs to the batch and occurs
 * once, and the counts agree. Only then is `fetched` appended to the journal, durably. The lines of incomplete sets are joined. If
 * some are still missing at the settle time, their requests are unanswered. If the set stays invalid, that is `CBS_API` and the file
 * is kept in the job's folder.
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { job, api, number, onWait, signal, settleMs } = options
  const batch = job.batch(number)
  const { counts: reported, resultsUrl, id, requests, submittedAt } = batch
  if (reported === null || resultsUrl === null || id === null || submittedAt === null) {
    return await noteMissing(job, number, notFound(batch))
  }
  const set = await setOf(job, batch)
  // With another workspace's key every result set would seem to be gone.
  await api.proveWorkspace()
  const retries = new Retries(job.session)
  let counts = reported
  let url = resultsUrl
  let createdAt = submittedAt
  // When the first 404 came, by the monotonic clock: the wall clocks of both sides may be wrong by weeks.
  let goneSince: number | undefined
  let isArchived = false
  const end = endOf(options, id)
  // The batch's own counts may be late, and its results_url may have changed. Returns whether the batch was in progress.
  const refreshBatch = async (): Promise<boolean> => {
    const { remote: now, hasWaited } = await end()
    if (hasWaited) {
      goneSince = undefined
      shortSince = undefined
    }
    if (now?.processing_status !== 'ended') return hasWaited
    counts = now.request_counts
    url = resultsUrlOf(now)
    createdAt = Date.parse(now.created_at)
    isArchived = hasBeenArchived(job, now)
    return hasWaited
  }
  let invalid = 0
  let short = 0
  // When the first incomplete set came, by the monotonic clock.
  let shortSince: number | undefined
  for (;;) {
    try {
      const { verdict, lines, index } = await fetchOnce(options, url, counts)
      goneSince = undefined
      if (verdict.kind !== 'invalid' && lines > 0)
        await join(job, batch, set, index, verdict.kind === 'complete')
      if (verdict.kind === 'complete') return await commit(job, number, set, null)
      const isWhole = set.lines === requests
      // A gateway may have written a line of its own into one of the joined sets.
      const odd =
        isWhole || verdict.kind === 'incomplete' ? await oddIn(set, requests, counts) : undefined
      if (isWhole && odd === undefined) return await commit(job, number, set, null)
      let pauseMs: number
      let what: string
      if (verdict.kind === 'incomplete') {
        const now = job.clock.elapsed()
        shortSince ??= now
        short += 1
        const leftMs = isArchived ? 0 : settleMs - (now - shortSince)
        if (short >= DOWNLOADS && leftMs <= 0 && odd !== undefined)
          throw invalidSet(job, number, `are invalid: ${odd}`)
        if (short >= DOWNLOADS && leftMs <= 0)
          return await commit(
            job,
            number,
            set,
            'the API ended the batch without a line for this request',
          )
        what = odd ?? `${set.lines} of ${requests} lines`
        pauseMs = pauseBeforeNext(job, short, leftMs)
      } else {
        what = verdict.why
        invalid += 1
        if (invalid >= DOWNLOADS) {
          const other = await adoptAnother(options, { id, results_url: url })
          if (other === 'adopted') return await download(options)
          if (other !== 'absent') throw await setAside(job, number, what)
          if (!isGivenUp(job.batch(number), options.adopt ?? [])) {
            // Durable, since a later decision for none of them counts only for what was named.
            await job.note({ type: 'candidate', number, id, named: true }, true)
            throw await setAside(job, number, what, GIVE_UP)
          }
          await job.note({ type: 'ruledOut', number, id }, false)
          const why = `batch ${number} of the job was given up: the API replied to its create with the id of another batch, ${id}`
          return await endWith(job, number, set, why)
        }
        pauseMs = pauseAfter(invalid, job.session)
      }
      onWait(`the results of batch ${id} are not complete (${what}); downloading them again`)
      await refreshBatch()
      await job.clock.sleep(pauseMs, signal)
    } catch (cause) {
      const failure = await failureIn(cause, options)
      // The API refuses to give the results of a batch that is in progress.
      if (failure.kind === 'refused' && (await refreshBatch())) continue
      const now = job.clock.elapsed()
      // What comes in between says nothing about a 404, so it starts again.
      goneSince = failure.kind === 'notFound' ? (goneSince ?? now) : undefined
      const goneForMs = now - (goneSince ?? now)
      if (failure.kind === 'notFound' && (isArchived || goneForMs >= settleMs)) {
        const odd = await oddIn(set, requests, counts)
        if (odd !== undefined) throw invalidSet(job, number, `are invalid: ${odd}`)
        return await endWith(job, number, set, noResults(job, id, createdAt))
      }
      await waitToRetry(options, failure, retries, goneForMs)
      if (failure.kind !== 'notFound' && failure.kind !== 'malformed') continue
      await refreshBatch()
      // A results_url may stay wrong, so every second try uses the API's default path.
      if (retries.failures % 2 === 1) url = resultsUrlOf({ id, results_url: null })
    }
  }
}

/**
 * Makes a function that retrieves a batch and waits while the API says that it is in progress: an earlier reply that said that it had
 * ended may have been wrong. It waits for the lifetime of a batch in all; from then on, it returns what the API says.
 */
function endOf(
  { job, api, signal, onWait }: Pick<DownloadOptions, 'job' | 'api' | 'signal' | 'onWait'>,
  id: string,
  retrieve: Api['retrieve'] = one => api.retrieve(one),
): () => Promise<{ readonly remote: RemoteBatch | undefined; readonly hasWaited: boolean }> {
  const { clock, session } = job
  let since: number | undefined
  return async () => {
    let polls = 0
    for (;;) {
      const remote = await retrieve(id)
      const hasWaited = polls > 0
      if (remote === undefined || remote.processing_status === 'ended') return { remote, hasWaited }
      since ??= clock.elapsed()
      if (clock.elapsed() - since > EXPIRES_AFTER_MS) return { remote, hasWaited }
      onWait(`batch ${id} had ended, but now the API says that it is in progress`)
      polls += 1
      await clock.sleep(pauseAfter(polls, session), signal)
    }
  }
}

/**
 * Downloads the set of a fetched batch once more and adds the lines that the stored set lacks. Nothing changes if the API no longer
 * has results, or sends an invalid set. It waits while the API says that the batch is in progress. Returns how many lines were
 * added.
 */
export async function downloadAgain(
  options: Omit<DownloadOptions, 'ownedElsewhere' | 'adopt'>,
  fetched: NonNullable<BatchState['fetched']>,
): Promise<number> {
  const { job, api, number } = options
  const batch = job.batch(number)
  const set = await JoinedSet.open(job.store, batch, 'lines')
  // With another workspace's key every result set would seem to be gone.
  await api.proveWorkspace()
  const { id, candidates } = batch
  // The id of a batch that was given up is another batch's.
  const isOwn = id !== null && candidates[id] !== 'ruledOut'
  const ended = isOwn ? await endedAgain(options, id) : undefined
  if (ended) await addMissing(options, ended, set)
  await job.store.disk.remove(job.store.path(number, 'download'))
  const { lines, bytes } = set
  // A crash may have come after the lines of an earlier call were stored.
  if (lines <= fetched.lines) return 0
  const why = lines === batch.requests ? null : fetched.why
  await job.note({ type: 'refetched', number, lines, bytes, why }, true)
  return lines - fetched.lines
}

/** What is known about a batch that has ended. */
type Ended = Pick<RemoteBatch, 'id' | 'request_counts' | 'results_url' | 'archived_at'>

/**
 * What the API says about a batch whose results are downloaded again, or what it has said: a 404 may be a gateway's, and the results
 * may be there. If nothing is known, it asks until the settle time has passed; undefined after that. Any other failure to retrieve it
 * counts as a 404 while the API's list works: its id may be wrong.
 */
async function endedAgain(
  options: Omit<DownloadOptions, 'ownedElsewhere' | 'adopt'>,
  id: string,
): Promise<Ended | undefined> {
  const { job, api, number, settleMs, signal, onWait } = options
  const { counts, resultsUrl } = job.batch(number)
  const end = endOf(options, id, async one => {
    const remote = await api.lookUp(one)
    // With a key that is refused, or an API that fails, every batch would appear unknown.
    if (!remote) await api.list(undefined, 1, 'valid')
    return remote
  })
  const began = job.clock.elapsed()
  let tries = 0
  for (;;) {
    const { remote } = await end()
    tries += 1
    if (remote && remote.processing_status !== 'ended')
      throw new BatchStreamError(
        'CBS_API',
        `the API says that batch ${id} is in progress, so none of its requests is sent again: run the same command later`,
      )
    if (remote) return remote
    if (counts) return { id, request_counts: counts, results_url: resultsUrl, archived_at: null }
    const leftMs = settleMs - (job.clock.elapsed() - began)
    if (tries >= DOWNLOADS && leftMs <= 0) return undefined
    onWait(`the API does not know batch ${id}; looking again before its requests are sent again`)
    await job.clock.sleep(pauseBeforeNext(job, tries, leftMs), signal)
  }
}

/**
 * Adds the lines of further downloads to a set. Unless the batch is archived, there are at least five until all requests have a line,
 * or the settle time has passed.
 */
async function addMissing(options: DownloadOptions, remote: Ended, set: JoinedSet): Promise<void> {
  const { job, number, signal, settleMs, onWait } = options
  const { clock } = job
  const began = clock.elapsed()
  const retries = new Retries(job.session)
  let tries = 0
  for (;;) {
    let what: string
    try {
      const url = resultsUrlOf(remote)
      const { verdict, lines, index } = await fetchOnce(options, url, remote.request_counts)
      if (verdict.kind !== 'invalid' && lines > 0) await set.add(index, false)
      what = verdict.kind === 'invalid' ? verdict.why : `${set.lines} lines`
    } catch (cause) {
      const failure = await failureIn(cause, options)
      if (failure.kind !== 'notFound') {
        await waitToRetry(options, failure, retries, 0)
        continue
      }
      what = failure.message
    }
    tries += 1
    const isMore = set.lines < job.batch(number).requests && !hasBeenArchived(job, remote)
    const leftMs = settleMs - (clock.elapsed() - began)
    if (!isMore || (tries >= DOWNLOADS && leftMs <= 0)) return
    onWait(`the results of batch ${remote.id} are not complete (${what}); downloading them again`)
    await clock.sleep(pauseBeforeNext(job, tries, leftMs), signal)
  }
}

/** The pause after so many incomplete downloads, in ms. Once there were enough, it is not longer than the time that is left. */
function pauseBeforeNext({ session }: StoredJob, downloads: number, leftMs: number): number {
  const pauseMs = pauseAfter(downloads, session)
  return downloads < DOWNLOADS ? pauseMs : Math.min(pauseMs, Math.max(1, leftMs))
}

/** What an earlier download of the set has left on disk. */
async function setOf(job: StoredJob, batch: BatchState): Promise<JoinedSet> {
  return batch.partlyFetched
    ? await JoinedSet.open(job.store, batch, 'part')
    : JoinedSet.empty(job.store, batch)
}

/** Whether results are gone. A gateway may send the time when they will be. */
function hasBeenArchived(
  { session }: StoredJob,
  { archived_at: at }: Pick<RemoteBatch, 'archived_at'>,
): boolean {
  return at !== null && Date.parse(at) <= session.serverTime.nowOrOurs()
}

/** How a joined set contradicts the batch's own counts; undefined if it does not. */
async function oddIn(
  set: JoinedSet,
  requests: number,
  counts: Counts,
): Promise<string | undefined> {
  const tally = emptyTally()
  for await (const line of set.read()) {
    const read = ResultLine.read(line)
    // A line without a type is never stored.
    const type = read.string(read.type) as string
    if (isKnown(type)) tally[type] += 1
  }
  return contradictionIn(tally, set.lines, requests, counts)
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

/** One download of a set, at the path `download` of its batch. */
interface Fetched {
  readonly verdict: ResultSetVerdict
  readonly lines: number
  readonly index: LineIndex
}

type FetchOptions = Pick<DownloadOptions, 'job' | 'api' | 'number' | 'ids' | 'signal'>

/** Downloads the set once, checking and writing each line as it arrives. */
async function fetchOnce(options: FetchOptions, url: string, counts: Counts): Promise<Fetched> {
  const { job, number, ids } = options
  const { requests } = job.batch(number)
  const path = job.store.path(number, 'download')
  const created = await job.store.disk.open(path, 'create')
  const opened = new AppendFile(created, 0, MAX_RESULT_LINE_BYTES)
  const file = new ResultFile(opened, requests)
  const verifier = new Verifier(ids, requests, counts, file)
  await readSet(options, url, verifier, file)
    .finally(() => opened.close())
    .catch(cause => discard(options, cause))
  return { verdict: verifier.end(), lines: verifier.lines, index: file.index }
}

async function readSet(
  { job, api, signal }: FetchOptions,
  url: string,
  verifier: Verifier,
  file: ResultFile,
): Promise<void> {
  const read = async (
    { signal: idle, moved }: IdleTimer,
    scanner: Scanner | undefined,
  ): Promise<void> => {
    const { body, secrets } = await api.download(url, idle)
    verifier.secrets = secrets
    const feed = new LineFeed(verifier, scanner)
    await eachPart(body, part => {
      moved()
      feed.push(Buffer.from(part.buffer, part.byteOffset, part.byteLength))
      if (feed.held > MAX_RESULT_LINE_BYTES) verifier.tooLong(feed.size - feed.held)
      // An invalid set is not worth the rest of a download, which may be endless.
      if (verifier.isInvalid) return false
      return file.full ? file.flush().then(() => true) : true
    })
    if (!verifier.isInvalid) feed.end()
    await file.sync()
  }
  try {
    await withIdleTimeout({ clock: job.clock, signal, limitMs: IDLE_TIMEOUT_MS }, timer =>
      // Within the timeout, because an abandoned download may still use its scanner for a while.
      withDownloadScanner(scanner => read(timer, scanner)),
    )
  } catch (cause) {
    // An error in the middle of a body comes from the transport, not from the SDK, and means that the connection broke.
    const isBroken = !(
      cause instanceof BatchStreamError ||
      cause instanceof MalformedReply ||
      signal.aborted ||
      isSdkError(cause) ||
      isUndecodable(cause)
    )
    throw isBroken ? new BrokenBody(cause) : cause
  }
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
  await job.note({ type: 'submitted', number, id, at, adopted: true }, true)
  const resultsUrl = resultsUrlOf(found.remote)
  await job.note({ type: 'ended', number, counts, resultsUrl, at }, false)
  return 'adopted'
}

/** Deletes an unfinished result set, which is useless and may fill the disk. */
async function discard({ job, number }: FetchOptions, cause: unknown): Promise<never> {
  await job.store.disk.remove(job.store.path(number, 'download')).catch(() => {})
  throw cause
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

/** Notes that no more results will come: the requests without a stored line are unanswered. */
async function endWith(job: StoredJob, number: number, set: JoinedSet, why: string): Promise<void> {
  if (set.lines > 0) await commit(job, number, set, why)
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

/** The failure of a download that may be repeated. */
async function failureIn(
  cause: unknown,
  { job, signal }: Pick<DownloadOptions, 'job' | 'signal'>,
): Promise<Failure> {
  if (signal.aborted) throw signal.reason
  if (cause instanceof BatchStreamError) throw cause
  return await observeFailure(cause, job.session)
}

async function waitToRetry(
  { job, number, signal, onWait, settleMs }: DownloadOptions,
  failure: Failure,
  retries: Retries,
  goneForMs: number,
): Promise<void> {
  let waitMs = retries.next(failure)
  // A 404 counts as a temporary failure until the settle time has passed.
  if (failure.kind === 'notFound') {
    const pause = pauseAfter(retries.failures, job.session)
    waitMs = Math.min(pause, Math.max(1, settleMs - goneForMs))
  }
  if (waitMs === null) throw errorOf(`fetch the results of batch ${number}`, failure)
  onWait(failure.message)
  const wait = job.clock.sleep(waitMs, signal)
  // How long a 404 lasts decides about rows, so a run stays until it is known.
  await (failure.kind === 'notFound' ? wait : job.queue.betweenTries(number, wait))
}

/** What the user can do about a batch whose id is another batch's. */
const GIVE_UP =
  ". The API's list has no other batch with these requests. Resume the job to look again, or give the batch up with `adopt`: none, which makes its rows `unanswered`"

/** Keeps an invalid result set for inspection. */
async function setAside(
  job: StoredJob,
  number: number,
  why: string,
  more = '',
): Promise<BatchStreamError> {
  const kept = `${job.store.path(number, 'results')}.invalid`
  await job.store.disk.rename(job.store.path(number, 'download'), kept)
  const what = `are invalid after ${DOWNLOADS} downloads: ${why}. They are kept in ${kept}`
  return invalidSet(job, number, what, more)
}

function invalidSet(job: StoredJob, number: number, what: string, more = ''): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the results of batch ${job.batch(number).id} ${what}; none of their rows were written${more}`,
  )
}

/** Why a batch that was sent has no end: the search for it is over. */
function notFound(batch: BatchState): string {
  const { number, id } = batch
  const open = openCandidates(batch).filter(one => one !== id)
  const what = id === null ? `a batch for batch ${number} of the job` : `batch ${id}`
  const why =
    open.length === 0
      ? 'its list has no other batch with these requests; the batch may have been deleted'
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
