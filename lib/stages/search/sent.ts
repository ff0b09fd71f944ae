// When a batch was sent, and what that shows.
import type { RemoteBatch } from '../../api/remote-batch.ts'
import type { Api } from '../../api/api.ts'
import { BatchStreamError } from '../../core/errors.ts'
import { countOf, type Armed, type Caller, type Moment } from '../../core/job/event.ts'
import type { BatchState } from '../../core/job/state.ts'
import type { StoredJob } from '../../store/job.ts'
import { hasCount, isEarlier, minElapsed, type Creation } from './reconcile.ts'

/** When the last byte of a create was sent, by the API's clock. The local clock is corrected by what it shows now. */
export function sentAtOf({ clock, session }: StoredJob, { at, serverAt }: Moment): number {
  return serverAt ?? at + session.serverTime.nowOrOurs() - clock.now()
}

export function armedOf(job: StoredJob, number: number): Armed {
  // Only batches that were armed are searched for.
  return job.batch(number).armed as Armed
}

/** When the job's other batches were created, as the journal knows it. */
export function creationsOf(job: StoredJob, number: number): Creation[] {
  return [...job.state.batches.values()].flatMap(({ number: other, armed, createdAt }) =>
    other === number || armed === null || createdAt === undefined
      ? []
      : [{ createdAt, sentAt: sentAtOf(job, armed) }],
  )
}

/**
 * What one API does not have, another one may have: a batch that was sent to another base URL, or with another key, token, workspace or
 * header, is not missing, unless replies have named the same workspace to both.
 *
 * `workspace`: that of the job's first batches, which were sent before a reply had named it.
 *
 * @throws BatchStreamError `CBS_ACCESS` if the batch may be that of another account
 */
export function mustBeSentTo(
  { caller }: Pick<Api, 'caller'>,
  { number, armed }: Pick<BatchState, 'number' | 'armed'>,
  workspace: string | null,
): void {
  const by = armed?.by
  if (by === undefined) return
  const sentTo = by.workspace ?? workspace ?? caller.workspace
  const isElsewhere = caller.workspace !== undefined && sentTo !== caller.workspace
  if (!isElsewhere && isSameCaller(by, caller)) return
  const how = isElsewhere
    ? `to workspace ${sentTo}, and ${caller.workspace}`
    : by.origin === caller.origin
      ? 'with another key, token, workspace, header or path of the base URL, and the API with these'
      : `to ${by.origin}, and ${caller.origin}`
  const what = `batch ${number} was sent ${how} does not have it: use the settings that it was sent with`
  throw new BatchStreamError(
    'CBS_ACCESS',
    `${what}. If both are the same account, and you know that it has no such batch, continue with \`adopt\`: none`,
    { option: 'adopt' },
  )
}

function isSameCaller(a: Caller, b: Caller): boolean {
  if (a.workspace !== undefined && b.workspace !== undefined) return a.workspace === b.workspace
  return a.origin === b.origin && a.access === b.access
}

/** The minimum time since a moment of this process or an earlier one. `after` is a later time of this one, by its monotonic clock. */
export function elapsedSince(job: StoredJob, { at, serverAt }: Moment, after: number): number {
  const here = job.clock.elapsed() - after
  return minElapsed(here, serverAt, job.session.serverTime.now(), job.clock.now() - at)
}

export function elapsedSinceArmed(job: StoredJob, number: number, sentBefore: number): number {
  const elapsed = elapsedSince(job, armedOf(job, number), sentBefore)
  // The previous owner may have sent the last byte until its lease ended.
  return job.shared ? Math.min(elapsed, job.shared.leaseEndedMs()) : elapsed
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
