import { messageOf } from '../../errors.ts'
import { nodeDisk } from '../../job/disk.ts'
import { inspectJobs, type JobOnDisk } from '../../job/inspect.ts'
import { lockFolder } from '../../job/lock.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { stateDir } from '../state-dir.ts'
import { duration } from '../values.ts'

const DEFAULT_KEEP = '30d'

/** Deletes finished jobs that are older than --keep, or than the run that made them said. Unfinished ones hold paid work and are never deleted. */
export async function prune({ flags, io, talk }: Context): Promise<Ending> {
  const now = Date.now()
  const given = flags.text('keep')
  const keepMs = duration('--keep', given ?? DEFAULT_KEEP)
  for (const job of await inspectJobs(nodeDisk, stateDir(flags, io.env))) {
    const made = Date.parse(job.card?.created_at ?? '')
    const kept = given === undefined ? (ownKeep(job) ?? keepMs) : keepMs
    if (!job.state?.finished || !(made <= now - kept)) continue
    // Somebody prints its results just now, say; the next prune finds it.
    const lock = await lockFolder(job.folder).catch((cause: unknown) =>
      talk.detail(`job ${job.name} stays: ${messageOf(cause)}`),
    )
    if (!lock) continue
    await nodeDisk.remove(job.folder)
    await lock.release()
    talk.say(`deleted job ${job.name}`)
  }
  return { code: EXIT.answered }
}

/** What --keep of its run said, in milliseconds. */
function ownKeep({ card }: JobOnDisk): number | undefined {
  const settings = card?.settings
  if (typeof settings !== 'object' || settings === null || !('keep' in settings)) return undefined
  return duration('--keep', String(settings.keep))
}
