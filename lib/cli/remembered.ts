import { BatchStreamError } from '../core/errors.ts'
import { nodeDisk } from '../store/disk.ts'
import {
  inspectJob,
  inspectJobs,
  NO_JOURNAL,
  type JobCard,
  type JobOnDisk,
  type SoundJob,
  unusable,
} from '../store/inspect.ts'
import { didYouMean } from '../core/nearest.ts'
import { nameOfShards } from '../core/shard.ts'
import { isUnfinished } from './job-work.ts'
import type { RowOptions } from './row-options.ts'
import type { Settings } from './settings.ts'

/** What a job remembers of the command that created it. */
export interface Remembered {
  readonly run: Settings
  readonly rows: RowOptions
  /** The columns of its input, if they were known before its records were read. */
  readonly columns?: readonly string[]
  /** The command's words, and the folder for its relative inputs. */
  readonly words: readonly string[]
  readonly cwd: string
  /** The --note of the newest run. */
  readonly note?: string
  /** The --concurrency of the newest run that was given one. */
  readonly concurrency?: string
  /** How long `prune` lets it be, once it is finished. */
  readonly keep?: string
}

/** A job by name, or the only unfinished one. */
export async function jobNamed(dir: string, name: string | undefined): Promise<SoundJob> {
  if (name !== undefined) {
    return sound(await existingJob(dir, name))
  }
  const unfinished = await unfinishedJobs(dir)
  const [only] = unfinished
  if (only && unfinished.length === 1) return sound(only)
  if (!only)
    throw new BatchStreamError(
      'CBS_OPTION',
      `no job in ${dir} is unfinished; see \`claude-batch-stream list\``,
    )
  throw new BatchStreamError(
    'CBS_OPTION',
    `several jobs are unfinished, name one: ${unfinished.map(({ name }) => name).join(', ')}`,
  )
}

export async function unfinishedJobs(dir: string): Promise<readonly JobOnDisk[]> {
  return (await inspectJobs(nodeDisk, dir)).filter(isUnfinished)
}

/** A job by name, in any state. */
export async function existingJob(dir: string, name: string): Promise<JobOnDisk> {
  const job = await inspectJob(nodeDisk, dir, name)
  if (job) return job
  const names = (await inspectJobs(nodeDisk, dir)).map(other => other.name)
  const shards = names.filter(other => nameOfShards(other) === name).sort()
  if (shards.length > 0)
    throw new BatchStreamError(
      'CBS_OPTION',
      `job ${name} has shards, and each of them is a job: name one (${shards[0]} to ${shards.at(-1)}); \`claude-batch-stream merge ${name}\` prints the rows of all`,
    )
  throw new BatchStreamError(
    'CBS_OPTION',
    `there is no job ${name} in ${dir}${didYouMean(name, names)}; see \`claude-batch-stream list\``,
  )
}

/** A job whose journal can be read; otherwise the error that says why it cannot. */
export function sound(job: JobOnDisk): SoundJob {
  const { state } = job
  if (state) return { ...job, state }
  throw hasBegun(job) ? unusable(job) : neverBegan(job)
}

/** The record of a job's first command in its card, if there is one. */
export function rememberedIn(card: JobCard | undefined): Remembered | undefined {
  const settings = card?.settings
  const isKnown =
    typeof settings === 'object' && settings !== null && 'run' in settings && 'rows' in settings
  // run-job.ts writes this type, and job.json has a checksum.
  return isKnown ? (settings as Remembered) : undefined
}

/** The record of the job's first command. */
export function rememberedBy(job: JobOnDisk): Remembered {
  const known = rememberedIn(sound(job).card)
  if (known) return known
  if (!hasBegun(job)) throw neverBegan(job)
  throw new BatchStreamError(
    'CBS_STATE',
    `job ${job.name} has no record of its command (job.json); see \`claude-batch-stream doctor ${job.name}\``,
  )
}

function neverBegan({ name }: JobOnDisk): BatchStreamError {
  return new BatchStreamError(
    'CBS_INPUT',
    `job ${name} ended before any of its input was spooled, and nothing was sent: run the same command again`,
  )
}

/** Whether a job has started: a crash before its card is written leaves a job that has sent nothing. */
export function hasBegun({ card, state, trouble }: JobOnDisk): boolean {
  if (card) return true
  return state ? state.spooled.records > 0 || state.batches.size > 0 : trouble !== NO_JOURNAL
}
