import { Retries } from '../../api/retry-policy.ts'
import { resultsUrlOf, type RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { BatchState } from '../../core/job/state.ts'
import { JoinedSet } from '../../store/results/joined-set.ts'
import { mustBeMissing, mustKnowAny } from '../search/search.ts'
import { Attempts, type Outcome } from './attempts.ts'
import { endOf, hasBeenArchived } from './ended-batch.ts'
import { fetchSet, isGone, pauseBefore, waitToRetry, type FetchOptions } from './fetch-set.ts'

export interface DownloadAgainOptions extends FetchOptions {
  /** How long a batch that the API does not know, and a set that lacks lines, may still be completed. */
  readonly settleMs: number
  /** The user's decisions. */
  readonly adopt?: readonly string[] | undefined
}

/** What is missing in any way is asked for again until the settle time has passed. */
const MISSING: Outcome = { kind: 'incomplete', isGone: false, why: '', odd: undefined }

/**
 * Downloads the set of a fetched batch once more and adds the lines that the stored set lacks. Nothing changes if the API no longer
 * has results. It waits while the API says that the batch is in progress. Returns how many lines were added.
 *
 * @throws BatchStreamError `CBS_API` if the API sends an invalid set, which says nothing about what is missing; `CBS_ACCESS` if the batch
 * was sent to another base URL, and this API does not know it
 */
export async function downloadAgain(
  options: DownloadAgainOptions,
  fetched: NonNullable<BatchState['fetched']>,
): Promise<number> {
  const { job, api, number } = options
  const batch = job.batch(number)
  const set = await JoinedSet.open(job.store, batch, 'lines')
  // With another workspace's key every result set would seem to be gone.
  await api.proveWorkspaceIfListed()
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
async function endedAgain(options: DownloadAgainOptions, id: string): Promise<Ended | undefined> {
  const { job, api, number, settleMs, onWait } = options
  const { counts, resultsUrl } = job.batch(number)
  const end = endOf(options, id, async one => {
    const remote = await api.lookUp(one)
    // With a key that is refused, or an API that fails, every batch would appear unknown.
    if (!remote) await api.list(undefined, 1, 'valid')
    return remote
  })
  const attempts = new Attempts(settleMs)
  for (;;) {
    const { remote } = await end()
    if (remote && remote.processing_status !== 'ended')
      throw new BatchStreamError(
        'CBS_API',
        `the API says that batch ${id} is in progress, so none of its requests is sent again: run the same command later`,
      )
    if (remote) return remote
    await mustBeMissing(options)
    if (counts) {
      await mustKnowAny(options)
      return { id, request_counts: counts, results_url: resultsUrl, archived_at: null }
    }
    const next = attempts.after(MISSING, { now: job.clock.elapsed(), isArchived: false })
    if (next.kind !== 'again') {
      await mustKnowAny(options)
      return undefined
    }
    onWait(`the API does not know batch ${id}; looking again before its requests are sent again`)
    await pauseBefore(options, next)
  }
}

/**
 * Adds the lines of further downloads to a set. Unless the batch is archived, there are at least five until all requests have a line,
 * or the settle time has passed.
 */
async function addMissing(
  options: DownloadAgainOptions,
  remote: Ended,
  set: JoinedSet,
): Promise<void> {
  const { job, number, settleMs, onWait } = options
  const retries = new Retries(job.session)
  const attempts = new Attempts(settleMs)
  for (;;) {
    const fetched = await fetchSet(options, resultsUrlOf(remote), remote.request_counts)
    let what: string
    let invalid: string | undefined
    if ('failure' in fetched) {
      if (fetched.part) await set.add(fetched.part, false)
      if (set.lines === job.batch(number).requests) return
      if (!isGone(fetched.failure, hasBeenArchived(job, remote))) {
        // The user has decided not to wait for the rest.
        if (options.isAdopted) return
        await waitToRetry(options, fetched.failure, retries)
        continue
      }
      what = fetched.failure.message
    } else if (fetched.verdict.kind === 'invalid') what = invalid = fetched.verdict.why
    else {
      if (fetched.lines > 0) await set.add(fetched.index, false)
      what = `${set.lines} lines`
    }
    const isArchived = hasBeenArchived(job, remote)
    const next = attempts.after(MISSING, { now: job.clock.elapsed(), isArchived })
    if (set.lines === job.batch(number).requests) return
    if (isArchived || next.kind !== 'again') {
      if (invalid !== undefined) throw invalidAgain(remote.id, invalid)
      return
    }
    onWait(`the results of batch ${remote.id} are not complete (${what}); downloading them again`)
    await pauseBefore(options, next)
  }
}

function invalidAgain(id: string, why: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the results of batch ${id} are invalid: ${why}. They may have the answers that are missing, so none of its requests is sent again: run the same command later, or with \`adopt\`: ${id}, which takes the lines that are valid`,
  )
}
