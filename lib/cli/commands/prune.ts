import { messageOf } from '../../errors.ts'
import { deleteJob, finishDeletions } from '../../job/delete.ts'
import { nodeDisk } from '../../job/disk.ts'
import { inspectJob, inspectJobs, type JobOnDisk } from '../../job/inspect.ts'
import { lockFolder } from '../../job/lock.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { hasUnprinted, inFlight, standingOf } from '../job-work.ts'
import { stateDir } from '../state-dir.ts'
import { duration } from '../values.ts'

const DEFAULT_KEEP = '30d'

/** Deletes jobs that have nothing left to do and are older than --keep, or than the run that made them said. Others hold paid work and are never deleted. */
export async function prune({ flags, io, talk }: Context): Promise<Ending> {
  const now = Date.now()
  const given = flags.text('keep')
  const keepMs = duration('--keep', given ?? DEFAULT_KEEP)
  const dir = stateDir(flags, io.env)
  for (const job of await inspectJobs(nodeDisk, dir)) {
    const made = Date.parse(job.card?.created_at ?? '')
    const kept = given === undefined ? (ownKeep(job) ?? keepMs) : keepMs
    if (!(await isDone(job)) || !(made <= now - kept)) continue
    // Somebody prints its results just now, say; the next prune finds it.
    const lock = await lockFolder(job.folder).catch((cause: unknown) =>
      talk.detail(`job ${job.name} stays: ${messageOf(cause)}`),
    )
    if (!lock) continue
    // Looked at again under the lock: the process that held it may have sent something since.
    const locked = await inspectJob(nodeDisk, dir, job.name)
    const isSame = locked !== undefined && (await isDone(locked))
    if (isSame) await deleteJob(nodeDisk, job.folder)
    await lock.release()
    if (isSame) talk.say(`deleted job ${job.name}`)
  }
  await finishDeletions(nodeDisk, dir)
  return { code: EXIT.answered }
}

/** Is every answer that was paid for here, and printed? A retry of a finished job may be in flight. */
async function isDone(job: JobOnDisk): Promise<boolean> {
  const { state } = job
  const standing = standingOf(job)
  if (!state || standing === 'damaged' || standing === 'unfinished') return false
  return inFlight(state).length === 0 && !(await hasUnprinted(job))
}

/** What --keep of its run said, in milliseconds. */
function ownKeep({ card }: JobOnDisk): number | undefined {
  const settings = card?.settings
  if (typeof settings !== 'object' || settings === null || !('keep' in settings)) return undefined
  return duration('--keep', String(settings.keep))
}
