import { BatchStreamError } from '../../core/errors.ts'
import { lacksAnswers } from '../../core/job/state.ts'
import { deleteJob } from '../../store/delete.ts'
import { nodeDisk } from '../../store/disk.ts'
import { reusers } from '../../store/earlier-note.ts'
import { inspectJobs, LEDGER_COPY, type JobOnDisk } from '../../store/inspect.ts'
import { lockFolder } from '../../store/lock.ts'
import { confirm } from '../confirm.ts'
import type { Context } from '../context.ts'
import { EXIT } from '../exit-code.ts'
import type { Ending } from '../finish.ts'
import { hasUnprinted, inFlight } from '../job-work.ts'
import { existingJob } from '../remembered.ts'
import { stateDir } from '../state-dir.ts'

/** Deletes a job from this machine. It asks first if paid answers would be lost. */
export async function rm(context: Context): Promise<Ending> {
  const { flags, io, talk } = context
  const dir = stateDir(flags, io.env)
  // The parser requires a name.
  const name = flags.args[0] as string
  const { folder } = await existingJob(dir, name)
  await mustBeJob(folder)
  const lock = await lockFolder(folder)
  try {
    // Read again, since it cannot change under the lock.
    const job = await existingJob(dir, name)
    const losses = await lossesOf(dir, job)
    const first = job.state
      ? `resume ${name}\` prints its rows first`
      : `doctor ${name}\` says more`
    if (losses.length > 0)
      await confirm(
        context,
        `job ${name} ${losses.join(' and ')}; \`claude-batch-stream ${first}. Delete it all the same?`,
        'nothing was deleted',
      )
    await deleteJob(nodeDisk, folder)
    talk.info(`deleted job ${name}`)
    const running = job.state ? inFlight(job.state) : []
    const ids = running.map(({ id }) => id).filter(id => id !== null)
    // They cost money whether or not anybody reads them.
    if (ids.length > 0)
      talk.warn(
        `still at the API: ${ids.join(', ')}; \`claude-batch-stream results BATCH_ID\` prints one, \`cancel BATCH_ID\` cancels it`,
      )
    return { code: EXIT.answered }
  } finally {
    await lock.release()
  }
}

/** Names of which every job has one, also after a crash while it was created. */
const OF_A_JOB = ['journal.jsonl', LEDGER_COPY, 'job.json', 'records.jsonl', 'batches']

/** Throws if a folder belongs to something else, whatever the answer would be. */
async function mustBeJob(folder: string): Promise<void> {
  const names = await nodeDisk.list(folder)
  if (names.some(found => OF_A_JOB.some(name => found.startsWith(name)))) return
  throw new BatchStreamError(
    'CBS_OPTION',
    `${folder} has none of the files of a job; nothing was deleted`,
  )
}

/** What would be lost with a job, each as the predicate of a sentence. */
async function lossesOf(dir: string, job: JobOnDisk): Promise<string[]> {
  if (!job.state) return [`cannot be read (${job.trouble}) and may hold paid answers`]
  const running = inFlight(job.state).length
  const reused =
    (await reusers(nodeDisk, await inspectJobs(nodeDisk, dir))).get(job.state.run) ?? []
  return [
    ...reused.map(
      name => `is reused by the unfinished job ${name} (\`resume ${name}\` copies what it needs)`,
    ),
    ...(running === 0 ? [] : [`has ${running} ${running === 1 ? 'batch' : 'batches'} in flight`]),
    ...(hasUnprinted({ ...job, state: job.state })
      ? ['has paid answers that were not printed']
      : []),
    ...(lacksAnswers(job.state) ? ['lacks answers that `retry` may still find at the API'] : []),
  ]
}
