// What the API's list of batches shows, and whether it is complete.
import type { Api } from '../../api/api.ts'
import type { BatchListPage, RemoteBatch } from '../../api/remote-batch.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { EXPIRES_AFTER_MS, MAX_LIST_PAGES } from '../../core/limits.ts'
import type { StoredJob } from '../../store/job.ts'
import { createdFrom, type PendingCreate } from './reconcile.ts'
import { sentAtOf } from './sent.ts'

/** How many other batches of the job are looked up at most; users may have deleted some. */
export const MAX_LOOKED_UP = 5

/**
 * The page of a list that follows a batch; undefined if the list is refused. `isPastEnd`: the page before has called itself the last one,
 * so a failure says nothing about the list.
 */
type PageAfter = (id: string | undefined, isPastEnd: boolean) => Promise<BatchListPage | undefined>

/** The batches of a workspace back to a time. */
export interface Listing {
  readonly batches: readonly RemoteBatch[]
  /**
   * Whether these are all: `unproven` if the list ends before that time, and does not say what follows its last entry; `endless` if it
   * does not end.
   */
  readonly end: 'complete' | 'unproven' | 'endless'
}

/**
 * Lists every batch of the workspace back to a time; undefined if the list is refused. Pages are newest first; a list in another order
 * is read to its end. A gateway may have a shorter list and call it complete, so a list that ends before that time is asked for what
 * follows its last entry.
 */
export async function listFrom(from: number, pageAfter: PageAfter): Promise<Listing | undefined> {
  const found = new Map<string, RemoteBatch>()
  const cursors = new Set<string>()
  const listing = (end: Listing['end']): Listing => ({ batches: [...found.values()], end })
  let last = Infinity
  let isSorted = true
  let isPastEnd = false
  let after: string | undefined
  for (;;) {
    const page = await pageAfter(after, isPastEnd)
    if (!page) return isPastEnd ? listing('unproven') : undefined
    for (const batch of page.data) {
      found.set(batch.id, batch)
      const created = Date.parse(batch.created_at)
      isSorted &&= created <= last
      last = created
    }
    after = page.last_id || page.data.at(-1)?.id
    if ((isSorted && last < from) || after === undefined) return listing('complete')
    isPastEnd = !page.has_more
    if (cursors.has(after) || cursors.size === MAX_LIST_PAGES)
      return listing(isPastEnd ? 'unproven' : 'endless')
    cursors.add(after)
  }
}

/**
 * How far back a list must go: to the time of the batch, and to the job's newest other one, which shows whether the list is
 * complete.
 */
export function listedFrom(job: StoredJob, number: number, pending: PendingCreate): number {
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

interface HiddenOptions {
  readonly job: StoredJob
  readonly api: Api
  /** The batch that is searched for. */
  readonly number: number
}

/**
 * A batch of the job that was created in the time that a list covers, and is not in it although it exists; undefined if there is
 * none. A list that lacks one (a gateway's stub, a cache without headers) proves nothing about another, nor does one that cannot be looked up. The user may have deleted
 * batches, but if the API no longer knows any of those that it has shown, nothing is proven, either. A running one cannot have been
 * deleted; its id may be wrong, but then an empty list lacks it, too.
 */
export async function hiddenIn(
  listed: readonly RemoteBatch[],
  { job, api, number }: HiddenOptions,
  from: number,
): Promise<string | undefined> {
  const ids = new Set(listed.map(({ id }) => id))
  const others = [...job.state.batches.values()].filter(batch => batch.number !== number)
  const missing = others.filter(({ id }) => id !== null && !ids.has(id)).slice(-MAX_LOOKED_UP)
  // The rows of a batch with an id become unanswered, which costs nothing.
  const mayBeSentAgain = job.batch(number).id === null
  let vanished: string | undefined
  for (const { id, armed, counts } of missing) {
    const remote = await api.lookUpSurely(id as string)
    if (remote === 'unknown') return id as string
    if (remote && Date.parse(remote.created_at) >= from) return remote.id
    const isShown = counts !== null || (mayBeSentAgain && listed.length === 0)
    if (!remote && isShown && armed && (armed.serverAt ?? armed.at) >= from) vanished = id as string
  }
  const isAnyListed = others.some(({ id }) => id !== null && ids.has(id))
  return isAnyListed ? undefined : vanished
}

export function unprovenList(): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    "the API's list of batches does not end, or does not say what follows its last entry, so the outcome of a create cannot be determined: resume the job later. If you know that the API does not have the batch, resume it with `adopt`: none",
  )
}

export function newestOnly(): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    'the list of batches has only such as were created after the one whose create got no reply, as that of a gateway that lists the newest batches only: resume the job later. If you know that the API does not have the batch, resume it with `adopt`: none',
  )
}

export function incompleteList(hidden: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `the API's list of batches lacks ${hidden}, a batch of the job, so the outcome of a create cannot be determined: resume the job later. If the job's batches were deleted, or you know that the API does not have the batch, resume it with \`adopt\`: none`,
  )
}
