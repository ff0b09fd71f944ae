import type { Api } from '../../api/api.ts'
import type { RemoteBatch } from '../../api/remote-batch.ts'
import { pauseAfter } from '../../api/retry-policy.ts'
import { EXPIRES_AFTER_MS } from '../../core/limits.ts'
import type { StoredJob } from '../../store/job.ts'
import type { FetchOptions } from './fetch-set.ts'

/**
 * Makes a function that retrieves a batch and waits while the API says that it is in progress: an earlier reply that said that it had
 * ended may have been wrong. It waits for the lifetime of a batch in all; from then on, it returns what the API says.
 */
export function endOf(
  { job, api, signal, onWait }: Pick<FetchOptions, 'job' | 'api' | 'signal' | 'onWait'>,
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
      if (remote === undefined || !isRunning(job, remote)) return { remote, hasWaited }
      since ??= clock.elapsed()
      if (clock.elapsed() - since > EXPIRES_AFTER_MS) return { remote, hasWaited }
      onWait(`batch ${id} had ended, but now the API says that it is in progress`)
      polls += 1
      await clock.sleep(pauseAfter(polls, session), signal)
    }
  }
}

/** Whether a batch may be processed, whatever its status says: a gateway may have translated that wrongly. */
function isRunning(
  { session }: StoredJob,
  { processing_status: status, request_counts: counts, created_at }: RemoteBatch,
): boolean {
  if (status !== 'ended') return true
  const age = session.serverTime.nowOrOurs() - Date.parse(created_at)
  return counts.processing > 0 && age < EXPIRES_AFTER_MS
}

/** Whether results are gone. A gateway may send the time when they will be. */
export function hasBeenArchived(
  { session }: StoredJob,
  { archived_at: at }: Pick<RemoteBatch, 'archived_at'>,
): boolean {
  return at !== null && Date.parse(at) <= session.serverTime.nowOrOurs()
}
