import { BatchStreamError } from '../errors.ts'
import { nodeDisk } from '../job/disk.ts'
import { inspectJob, inspectJobs, type JobOnDisk } from '../job/inspect.ts'
import { didYouMean } from '../nearest.ts'
import type { Remembered } from './run-job.ts'
import { isUnfinished } from './run-job.ts'

/** A job by name, or the only unfinished one. */
export async function jobNamed(dir: string, name: string | undefined): Promise<JobOnDisk> {
  if (name !== undefined) {
    const job = await inspectJob(nodeDisk, dir, name)
    if (!job) {
      const names = (await inspectJobs(nodeDisk, dir)).map(other => other.name)
      throw new BatchStreamError(
        'CBS_OPTION',
        `there is no job ${name} in ${dir}${didYouMean(name, names)}; see \`claude-batch-stream list\``,
      )
    }
    return job
  }
  const unfinished = (await inspectJobs(nodeDisk, dir)).filter(isUnfinished)
  const [only] = unfinished
  if (only && unfinished.length === 1) return only
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

/** What the job's first command said. */
export function rememberedBy(job: JobOnDisk): Remembered {
  if (job.trouble !== undefined)
    throw new BatchStreamError(
      'CBS_STATE',
      `job ${job.name} cannot be used: ${job.trouble}; see \`claude-batch-stream doctor ${job.name}\``,
    )
  const settings = job.card?.settings
  if (
    typeof settings === 'object' &&
    settings !== null &&
    'run' in settings &&
    'rows' in settings &&
    'columns' in settings
  ) {
    // Written by run-job.ts from this very type; the journal beside it carries the checksums.
    return settings as Remembered
  }
  throw new BatchStreamError(
    'CBS_STATE',
    `job ${job.name} does not say what it was made for (job.json); see \`claude-batch-stream doctor ${job.name}\``,
  )
}
