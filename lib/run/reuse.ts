// Which earlier jobs a run takes answers from.
import { BatchStreamError } from '../core/errors.ts'
import { didYouMean } from '../core/nearest.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { AnswerSchema } from '../core/schema/answer-schema.ts'
import type { Reuse } from '../stages/aggregate/aggregate.ts'
import { nodeDisk } from '../store/disk.ts'
import { inspectJobOrShards, inspectJobs, jobNames, type JobOnDisk } from '../store/inspect.ts'
import { EarlierAnswers, hasKeys } from '../store/results/earlier-answers.ts'

/** The word for all finished jobs. */
export const AUTO = 'auto'

export interface ReuseOptions {
  /** The folder that contains `jobs/`. */
  readonly dir: string
  /** The name of a job, or of a job's shards; or `auto`. */
  readonly reuse: string
  /** The API's origin and betas, which must be the same. */
  readonly answeredBy: string
  readonly schema: AnswerSchema | undefined
  /** Called with what the user should know, such as that there are no usable answers. */
  readonly onNotice: (message: string) => void
  /** Called with the number of answers that can be searched, and of the jobs that received them. */
  readonly onFound?: ((answers: number, jobs: number) => void) | undefined
}

/** Where a run takes answers from. */
export function reuseFrom(options: ReuseOptions): Reuse {
  return {
    answeredBy: options.answeredBy,
    open: async job => await openEarlier(options, `${job.store.folder}/batches/earlier`, job.name),
  }
}

/**
 * Opens the answers of earlier jobs, with an index at `path`, which is deleted when they are closed. `auto` leaves out the
 * job named `own`.
 */
export async function openEarlier(
  { dir, reuse, answeredBy, schema, onNotice, onFound }: ReuseOptions,
  path: string,
  own: string | undefined,
): Promise<EarlierAnswers> {
  const jobs =
    reuse === AUTO ? await finishedJobs(dir, own) : await inspectJobOrShards(nodeDisk, dir, reuse)
  const keyed = jobs.filter(hasKeys)
  const damaged = new Set<string>()
  const earlier = await EarlierAnswers.open({
    ...{ disk: nodeDisk, path, jobs: keyed, answeredBy },
    check: schema && answerCheck(schema),
    onDamage: (job, why) => {
      if (damaged.has(job)) return
      damaged.add(job)
      onNotice(
        `\`reuse\`: some answers of job ${job} cannot be read, and their records are sent: ${why}`,
      )
    },
  })
  for (const { name, state } of jobs)
    if (state && !state.finished)
      onNotice(
        `\`reuse\`: job ${name} is not finished: its records without an answer are sent, and paid for, again`,
      )
  const none = whyNone(reuse, jobs, keyed)
  if (none !== undefined) onNotice(`\`reuse\` ${reuse}: ${none}, so all records are sent`)
  else if (earlier.count === 0)
    onNotice(`\`reuse\` ${reuse}: there are no answers from ${answeredBy}, so all records are sent`)
  else onFound?.(earlier.count, keyed.length)
  return earlier
}

/** All finished jobs but this one, the newest first. */
async function finishedJobs(dir: string, own: string | undefined): Promise<readonly JobOnDisk[]> {
  const jobs = await inspectJobs(nodeDisk, dir)
  return jobs.filter(({ name, state }) => name !== own && state?.finished).reverse()
}

function whyNone(
  reuse: string,
  jobs: readonly JobOnDisk[],
  keyed: readonly JobOnDisk[],
): string | undefined {
  if (keyed.length > 0) return undefined
  if (jobs.length === 0) return reuse === AUTO ? 'there is no finished job yet' : 'the job is gone'
  const which = jobs.length === 1 ? 'the job does' : `the ${jobs.length} finished jobs do`
  return `${which} not say what was asked (it is in a ledger, or nothing was answered)`
}

/**
 * Rejects a job that does not exist, before anything is read.
 *
 * @throws BatchStreamError `CBS_OPTION`
 */
export async function mustExist(reuse: string, dir: string): Promise<void> {
  if (reuse === AUTO || (await inspectJobOrShards(nodeDisk, dir, reuse)).length > 0) return
  const names = await jobNames(nodeDisk, dir)
  throw new BatchStreamError(
    'CBS_OPTION',
    `\`reuse\`: there is no job ${reuse} in ${dir}${didYouMean(reuse, names)}; see \`claude-batch-stream list\``,
    { option: 'reuse' },
  )
}
