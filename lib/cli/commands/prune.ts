import { messageOf } from '../../errors.ts'
import { nodeDisk } from '../../job/disk.ts'
import { inspectJobs } from '../../job/inspect.ts'
import { lockFolder } from '../../job/lock.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { stateDir } from '../state-dir.ts'
import { duration } from '../values.ts'

const DEFAULT_KEEP = '30d'

/** Deletes finished jobs that are older than --keep. Unfinished ones hold paid work and are never deleted. */
export async function prune({ flags, io, talk }: Context): Promise<Ending> {
  const keepMs = duration('--keep', flags.text('keep') ?? DEFAULT_KEEP)
  const before = Date.now() - keepMs
  for (const job of await inspectJobs(nodeDisk, stateDir(flags, io.env))) {
    const made = Date.parse(job.card?.created_at ?? '')
    if (!job.state?.finished || !(made <= before)) continue
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
