// Whether a create that was refused was accepted after all.
import type { Api } from '../../api/api.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { StoredJob } from '../../store/job.ts'
import { ownedIds } from '../../store/sendable.ts'
import { listFrom } from './listing.ts'
import { ownedByOthers, type OwnedElsewhere } from './owners.ts'
import { driftOf, hasCount } from './reconcile.ts'
import { armedOf, creationsOf, sentAtOf } from './sent.ts'

/** Enough for the batches that a workspace creates within seconds. */
const SHORT_PAGE = 20

/** The maximum difference between a `date` header and the creation time in the same moment; usually it is below a second. */
const SAME_TIME_MS = 2000

/**
 * Whether the API may have accepted a batch although the reply to its create refuses it: a proxy that sent the create twice passes on
 * the reply to the second one. If the list has a batch of this size that was created since the last byte was sent, it becomes a
 * candidate. The API may also have it if the list cannot be read, but not if that is refused, too (4xx).
 */
export async function isListedAnyway(
  job: StoredJob,
  api: Api,
  number: number,
  ownedElsewhere: OwnedElsewhere | undefined,
): Promise<boolean> {
  const { requests } = job.batch(number)
  const sentAt = sentAtOf(job, armedOf(job, number))
  const own = new Map([...job.state.batches.values()].map(batch => [batch.id, batch.armed]))
  const listBackTo = (from: number): ReturnType<typeof listFrom> =>
    listFrom(from, after => api.listIfAllowed(after, SHORT_PAGE))
  try {
    const newest = await listBackTo(sentAt - SAME_TIME_MS)
    if (!newest) return false
    // A gateway's stub: the list has no batch of the job, either.
    if (newest.batches.length === 0 && ownedIds(job.state).size > 0) return true
    const sent = newest.batches.flatMap(batch => {
      const armed = own.get(batch.id)
      const createdAt = Date.parse(batch.created_at)
      return armed ? [{ createdAt, sentAt: sentAtOf(job, armed) }] : []
    })
    const { lagMs } = driftOf([...sent, ...creationsOf(job, number)])
    const from = sentAt - SAME_TIME_MS - lagMs
    const listed = lagMs === 0 ? newest : await listBackTo(from)
    if (!listed || listed.end === 'endless') return true
    const fresh = listed.batches.filter(
      batch => Date.parse(batch.created_at) >= from && hasCount(batch, requests),
    )
    if (fresh.length === 0) return false
    const owned = new Set([...ownedIds(job.state), ...(await ownedByOthers(job, ownedElsewhere))])
    const unowned = fresh.filter(({ id }) => !owned.has(id))
    for (const { id } of unowned) await job.note({ type: 'candidate', number, id }, false)
    return unowned.length > 0
  } catch (cause) {
    if (cause instanceof BatchStreamError && cause.code === 'CBS_API') return true
    throw cause
  }
}
