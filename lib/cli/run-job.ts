import type { Clock } from '../clock.ts'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { BatchStreamError } from '../errors.ts'
import type { SourceRecord } from '../flow.ts'
import { deleteJob } from '../job/delete.ts'
import { nodeDisk, replaceFile } from '../job/disk.ts'
import {
  inspectJob,
  inspectJobs,
  NO_JOURNAL,
  type JobCard,
  type JobOnDisk,
} from '../job/inspect.ts'
import type { Job } from '../job/job.ts'
import { JOB_NAME, openJob } from '../job/open.ts'
import { lockFolder } from '../job/lock.ts'
import { checkNewOutput } from '../write/output.ts'
import { EXIT, exitCodeOf } from './exit-code.ts'
import { isUnsent } from './job-work.ts'
import { rememberedBy } from './remembered.ts'
import type { RowOptions } from './row-options.ts'
import type { Settings } from './settings.ts'
import type { Talk } from './talk.ts'
import { wrongFlag } from './values.ts'

/** What a job remembers of the command that made it. */
export interface Remembered {
  readonly run: Settings
  readonly rows: RowOptions
  /** The columns of its input, where they were known before its records were read. */
  readonly columns?: readonly string[]
  /** Its words, and the folder that its inputs are named from. */
  readonly words: readonly string[]
  readonly cwd: string
  /** How long `prune` lets it be, once it is finished. */
  readonly keep?: string
}

/** What decides that a command is the same: its settings and the first record. */
export function fingerprintOf(settings: Settings, first: SourceRecord): string {
  const { maxInvalid: _, price: __, maxCost: ___, canary: ____, ...rest } = settings
  const { onComplete: _____, notify: ______, ...deciding } = rest
  return createHash('sha256').update(JSON.stringify(deciding)).update(first.raw).digest('hex')
}

export interface Choice {
  readonly dir: string
  readonly name: string | undefined
  readonly fresh: boolean
  readonly fingerprint: string
  readonly remembered: Remembered
  readonly clock: Clock | undefined
}

/** A run's job, and what is remembered of the command that made it. */
export interface RunJob {
  readonly job: Job
  /** Whether an earlier run began it. */
  readonly goesOn: boolean
  readonly remembered: Remembered
}

/**
 * The job for a run: the unfinished one of the same command, or a new one. A named job that is finished, or that another
 * command made, is never touched; one that is damaged may hold paid work, so its command does not silently begin anew.
 */
export async function jobForRun(choice: Choice, talk: Talk): Promise<RunJob> {
  const { dir, fresh, fingerprint } = choice
  if (choice.name !== undefined) return await namedJob(choice, choice.name, talk)
  const same = fresh
    ? undefined
    : (await inspectJobs(nodeDisk, dir)).findLast(
        // One that is damaged has no state.
        job => job.card?.fingerprint === fingerprint && !job.state?.finished,
      )
  if (!same) return await createJob(choice, newName(new Date()))
  const known = rememberedBy(same)
  talk.say(
    `going on with job ${same.name}, which this command left unfinished (--fresh starts anew)`,
  )
  return await goOn(choice, same, known)
}

async function namedJob(choice: Choice, name: string, talk: Talk): Promise<RunJob> {
  const { dir, fresh, fingerprint } = choice
  const found = await lookUp(dir, name)
  if (!found || !hasBegun(found)) return await createJob(choice, name)
  if (fresh) {
    await mustBeFree(choice.remembered.rows)
    await setAside(dir, name, talk)
    return await createJob(choice, name)
  }
  const known = rememberedBy(found)
  mustBeOf(found, fingerprint)
  talk.say(`going on with job ${name}`)
  return await goOn(choice, found, known)
}

/** Input without a record is no input of a job that has some: an empty pipe must not pass for the answers to a full one. */
export async function mustNotHaveBegun(dir: string, name: string): Promise<void> {
  const found = await lookUp(dir, name)
  if (found && hasBegun(found)) mustBeOf(found, undefined)
}

async function lookUp(dir: string, name: string): Promise<JobOnDisk | undefined> {
  if (!JOB_NAME.test(name))
    throw wrongFlag(
      '--job',
      'letters, digits, ".", "_" or "-", at most 64, the first a letter or digit',
      name,
    )
  return await inspectJob(nodeDisk, dir, name)
}

function mustBeOf({ name, state, card }: JobOnDisk, fingerprint: string | undefined): void {
  if (state?.finished) {
    throw new BatchStreamError(
      'CBS_INPUT',
      `job ${name} is finished; \`claude-batch-stream results ${name}\` prints it again, --fresh runs anew`,
    )
  }
  if (fingerprint === undefined || card?.fingerprint !== fingerprint) {
    throw new BatchStreamError(
      'CBS_INPUT',
      `job ${name} was made by another command or input; nothing was sent. \`claude-batch-stream resume ${name}\` goes on with it, --fresh starts anew`,
    )
  }
}

/** The rows of the new command count from now on, also for whoever resumes it. */
async function goOn(
  { dir, remembered, clock }: Choice,
  found: JobOnDisk,
  known: Remembered,
): Promise<RunJob> {
  const { columns: _, ...newer } = remembered
  const job = await openJob({ dir, name: found.name, clock })
  return {
    job,
    goesOn: true,
    remembered: await remember(job, found, { ...known, ...newer }),
  }
}

/** Keeps what a command has changed of how its job is gone on with. */
export async function remember(
  job: Job,
  { card }: Pick<JobOnDisk, 'card'>,
  remembered: Remembered,
): Promise<Remembered> {
  const same = JSON.stringify(card?.settings) === JSON.stringify(remembered)
  if (card && !same) await writeCard(job, { ...card, settings: remembered })
  return remembered
}

/** Keeps a cap that was raised while the job ran. */
export async function rememberCap(job: Job, maxCost: string): Promise<void> {
  // It is open, so it is there.
  const found = (await inspectJob(nodeDisk, join(job.folder, '../..'), job.name)) as JobOnDisk
  const known = rememberedBy(found)
  await remember(job, found, { ...known, run: { ...known.run, maxCost } })
}

async function writeCard(job: Job, card: JobCard): Promise<void> {
  const text = `${JSON.stringify(card, undefined, 2)}\n`
  await replaceFile(nodeDisk, join(job.folder, 'job.json'), Buffer.from(text))
}

/** What a crash leaves of a job before its card is written has sent nothing. */
export function hasBegun({ card, state, trouble }: JobOnDisk): boolean {
  if (card) return true
  return state ? state.kept.records > 0 || state.batches.size > 0 : trouble !== NO_JOURNAL
}

/** Paid answers are never deleted to make room for a new run. */
async function setAside(dir: string, name: string, talk: Talk): Promise<void> {
  const lock = await lockFolder(join(dir, 'jobs', name))
  const aside = `${name.slice(0, 45)}.${Date.now().toString(36)}`
  await nodeDisk.rename(join(dir, 'jobs', name), join(dir, 'jobs', aside))
  await lock.release()
  talk.say(`job ${name} was there and is now called ${aside}`)
}

/** An output that exists or cannot be made is found out before there is a job that nobody wants. */
async function mustBeFree({ output, errors }: RowOptions): Promise<void> {
  for (const path of [output, errors]) {
    if (path === undefined || path === '-') continue
    // A device or a pipe takes rows as stdout does.
    if ((await nodeDisk.look(path)) !== 'special') await checkNewOutput(nodeDisk, path)
  }
}

/**
 * Deletes the job of a run that has failed, where nothing of it was sent and running it again fails again: before its first
 * record was read, by a mistake in the command or its input, or by a key that the API has never accepted. Says whether it did.
 */
export async function discardFailedStart(
  { folder, name, state }: Pick<Job, 'folder' | 'name' | 'state'>,
  cause: unknown,
  isStarted: boolean,
): Promise<boolean> {
  const code = exitCodeOf(cause)
  const isWrong =
    code === EXIT.usage || code === EXIT.input || (code === EXIT.access && state.workspace === null)
  if (!isUnsent(state) || (isStarted && !isWrong)) return false
  // The job has been closed: another process may have it now.
  const lock = await lockFolder(folder).catch(() => undefined)
  if (!lock) return false
  try {
    const now = (await inspectJob(nodeDisk, join(folder, '../..'), name))?.state
    if (!now || !isUnsent(now)) return false
    await deleteJob(nodeDisk, folder)
    return true
  } finally {
    await lock.release()
  }
}

async function createJob(choice: Choice, name: string): Promise<RunJob> {
  const { dir, fingerprint, remembered, clock } = choice
  await mustBeFree(remembered.rows)
  const job = await openJob({ dir, name, clock })
  try {
    const created_at = new Date().toISOString()
    await writeCard(job, { name, created_at, fingerprint, settings: remembered })
    return { job, goesOn: false, remembered }
  } catch (cause) {
    await job.close()
    throw cause
  }
}

/** The date, so that jobs sort by age, and what tells those of one day apart. */
function newName(now: Date): string {
  const day = now.toISOString().slice(0, 10)
  return `${day}-${Math.floor(Math.random() * 36 ** 5)
    .toString(36)
    .padStart(5, '0')}`
}
