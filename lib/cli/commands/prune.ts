import { counted } from '../shown.ts'
import { BatchStreamError, messageOf } from '../../core/errors.ts'
import { deleteJob, finishDeletions } from '../../store/delete.ts'
import { nodeDisk } from '../../store/disk.ts'
import { reusers } from '../../store/earlier-note.ts'
import { inspectJob, inspectJobs, type JobOnDisk } from '../../store/inspect.ts'
import { lockFolder } from '../../store/lock.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { hasUnprinted, inFlight, statusOf } from '../job-work.ts'
import { neededByOthers } from '../shards.ts'
import { stateDir } from '../state-dir.ts'
import { duration, whole } from '../values.ts'

const DEFAULT_KEEP = '30d'

/**
 * Deletes jobs with nothing left to do that are older than --keep, or than the --keep of their run, except for the newest
 * that --keep-last keeps. Other jobs hold paid work and are never deleted. It asks first on a terminal, but not in a cron
 * job.
 */
export async function prune(context: Context): Promise<Ending> {
  const { flags, io, talk } = context
  const dir = stateDir(flags, io.env)
  const jobs = await oldJobs(context, dir)
  if (flags.has('dry-run')) {
    for (const { name } of jobs) talk.info(`would delete job ${name}`)
    if (jobs.length === 0) talk.info('there is no job to delete')
    return { code: EXIT.answered }
  }
  if (jobs.length > 0 && io.stdin.isTTY)
    await confirm(context, questionFor(jobs), 'nothing was deleted')
  for (const job of jobs) {
    // Another process may be printing its results; the next prune deletes it.
    const lock = await lockFolder(job.folder).catch(async (cause: unknown) => {
      const isInUse = cause instanceof BatchStreamError && cause.code === 'CBS_JOB_IN_USE'
      const isGone = (await nodeDisk.stat(job.folder)) === undefined
      if (!isInUse && !isGone) throw cause
      talk.detail(`job ${job.name} stays: ${messageOf(cause)}`)
    })
    if (!lock) continue
    // Checked again under the lock: the process that held it may have sent something.
    const locked = await inspectJob(nodeDisk, dir, job.name)
    const isSame = locked !== undefined && isDone(locked)
    if (isSame) await deleteJob(nodeDisk, job.folder)
    await lock.release()
    if (isSame) talk.info(`deleted job ${job.name}`)
  }
  await finishDeletions(nodeDisk, dir)
  return { code: EXIT.answered }
}

/** Finished jobs older than their keep time. */
async function oldJobs({ flags, io }: Context, dir: string): Promise<readonly JobOnDisk[]> {
  const now = io.clock.now()
  const given = flags.text('keep')
  const last = flags.text('keep-last')
  const keepLast = last === undefined ? 0 : whole('--keep-last', last, 0)
  const keepMs = duration('--keep', given ?? (last === undefined ? DEFAULT_KEEP : '0s'))
  const done: JobOnDisk[] = []
  const jobs = await inspectJobs(nodeDisk, dir)
  const isNeeded = neededByOthers(jobs)
  const reusedBy = await reusers(nodeDisk, jobs)
  for (const job of jobs) {
    const isReused = job.state && reusedBy.has(job.state.run)
    if (!isReused && !isNeeded(job) && isDone(job)) done.push(job)
  }
  // The newest come last.
  return done.slice(0, Math.max(0, done.length - keepLast)).filter(job => {
    const kept = given === undefined ? (ownKeep(job) ?? keepMs) : keepMs
    return Date.parse(job.card?.created_at ?? '') <= now - kept
  })
}

function questionFor(jobs: readonly JobOnDisk[]): string {
  const names = jobs.slice(0, 10).map(({ name }) => name)
  const more = jobs.length > names.length ? ` and ${jobs.length - names.length} more` : ''
  return `delete ${counted(jobs.length, 'job')} (${names.join(', ')}${more})?`
}

/** Whether every paid answer is stored and printed. A retry of a finished job may be in flight. */
function isDone(job: JobOnDisk): boolean {
  const { state, card } = job
  if (!state || statusOf(job) === 'unfinished') return false
  return inFlight(state).length === 0 && !hasUnprinted({ card, state })
}

/** The --keep of its run, in milliseconds. */
function ownKeep({ card }: JobOnDisk): number | undefined {
  const settings = card?.settings
  if (typeof settings !== 'object' || settings === null || !('keep' in settings)) return undefined
  return duration('--keep', String(settings.keep))
}
