import { join } from 'node:path'
import { messageOf } from '../../core/errors.ts'
import { nodeDisk } from '../../store/disk.ts'
import { inspectJob, type JobOnDisk } from '../../store/inspect.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Context } from '../context.ts'
import { exitCodeOf, isClosedReader } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { inFlags } from '../in-flags.ts'
import type { EndSettings } from './end-options.ts'
import { notify } from './notify.ts'
import { runCommand } from './run-command.ts'
import { summaryOf } from './summary.ts'

/**
 * Runs a command on a job, closes the job, and sends the notifications that the flags name. The exit code stays that of the
 * command, since it describes the rows. An interrupted or detached run sends no notification.
 */
export async function tellingEnd(
  context: Context,
  { settings, job }: { readonly settings: EndSettings; readonly job: StoredJob },
  work: () => Promise<Ending>,
): Promise<Ending> {
  const worked = await closing(job, work).then(
    ending => ({ ending, code: ending.code, error: null }),
    (cause: unknown) => ({ cause, code: exitCodeOf(cause), error: inFlags(messageOf(cause)) }),
  )
  const isDetached = context.flags.has('detach') && worked.error === null
  const isOver = !context.signal.aborted && !isDetached
  if (isOver && !('cause' in worked && isClosedReader(worked.cause)))
    await tell(context, settings, job, { exit_code: worked.code, error: worked.error })
  if ('cause' in worked) throw worked.cause
  return worked.ending
}

async function closing(job: StoredJob, work: () => Promise<Ending>): Promise<Ending> {
  try {
    return await work()
  } finally {
    await job.close()
  }
}

async function tell(
  { io, talk, signal }: Context,
  { onComplete, notify: url }: EndSettings,
  { store: { folder }, name }: StoredJob,
  how: { readonly exit_code: number; readonly error: string | null },
): Promise<void> {
  if (onComplete === undefined && url === undefined) return
  let summary: Awaited<ReturnType<typeof summaryOf>>
  try {
    const found = await inspectJob(nodeDisk, join(folder, '../..'), name)
    if (!found) throw new Error('another process has deleted the job')
    // It was open until now, so it can be read.
    summary = await summaryOf(found as JobOnDisk, io.clock)
  } catch (cause) {
    talk.warn(`the end of the job cannot be reported: ${messageOf(cause)}`)
    return
  }
  const body = `${JSON.stringify({ ...summary, ...how })}\n`
  const told = async (flag: string, telling: Promise<string | undefined>): Promise<void> => {
    const why = await telling
    if (why !== undefined) talk.warn(`${flag} failed: ${why}`)
  }
  // The command may print to the terminal.
  const release = talk.hold()
  await Promise.all([
    onComplete !== undefined && told('--on-complete', runCommand(onComplete, body, io, signal)),
    url !== undefined &&
      told('--notify', notify({ url, body, env: io.env, clock: io.clock, signal })),
  ])
  release()
}
