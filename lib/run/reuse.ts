// Which earlier jobs a run takes answers from.
import { BatchStreamError } from '../core/errors.ts'
import { didYouMean } from '../core/nearest.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { AnswerSchema } from '../core/schema/answer-schema.ts'
import type { Reuse } from '../stages/aggregate/aggregate.ts'
import { nodeDisk } from '../store/disk.ts'
import {
  readEarlierNote,
  writeEarlierNote,
  type EarlierJob,
  type EarlierNote,
} from '../store/earlier-note.ts'
import {
  inspectJob,
  inspectJobOrShards,
  inspectJobs,
  isDamaged,
  isSound,
  jobNames,
  unusable,
  type SoundJob,
} from '../store/inspect.ts'
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
    open: async ({ name, store: { disk, folder } }) => {
      const jobs = await jobsOf(options, name)
      const keyed = jobs.filter(hasKeys)
      const known = await readEarlierNote(disk, folder)
      // Another choice of the user makes the earlier one irrelevant.
      if (known?.reuse === options.reuse) mustStillHave(keyed, known)
      const note = { reuse: options.reuse, jobs: keyed.map(idOf) }
      await writeEarlierNote(disk, folder, note)
      return await openAnswers(options, `${folder}/batches/earlier`, jobs)
    },
  }
}

function idOf({ name, state: { run } }: SoundJob): EarlierJob {
  return { name, run }
}

/** Throws if a job that an earlier run reused is no longer there: what it has answered would be paid for again. */
function mustStillHave(jobs: readonly SoundJob[], known: EarlierNote): void {
  const runs = new Set(jobs.map(({ state }) => state.run))
  const gone = known.jobs.find(({ run }) => !runs.has(run))
  if (gone) throw goneError(gone.name)
}

function goneError(name: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_OPTION',
    `\`reuse\`: job ${name}, whose answers are reused, was deleted, replaced or damaged since, so nothing more is sent. The same run without \`reuse\` sends the rest, and pays for it again`,
    { option: 'reuse' },
  )
}

/**
 * Opens the answers of earlier jobs, with an index at `path`, which is deleted when they are closed. `auto` leaves out the
 * job named `own`.
 */
export async function openEarlier(
  options: ReuseOptions,
  path: string,
  own: string | undefined,
): Promise<EarlierAnswers> {
  return await openAnswers(options, path, await jobsOf(options, own))
}

async function openAnswers(
  { dir, reuse, answeredBy, schema, onNotice, onFound }: ReuseOptions,
  path: string,
  jobs: readonly SoundJob[],
): Promise<EarlierAnswers> {
  const keyed = jobs.filter(hasKeys)
  const runs = new Map(keyed.map(({ name, state }) => [name, state.run]))
  const damaged = new Set<string>()
  const earlier = await EarlierAnswers.open({
    ...{ disk: nodeDisk, path, jobs: keyed, answeredBy },
    check: schema && answerCheck(schema),
    onDamage: async (job, why) => {
      // Answers of a job that was deleted would all be paid for again; damage affects only some of them.
      const now = await inspectJob(nodeDisk, dir, job)
      if (now?.state?.run !== runs.get(job)) throw goneError(job)
      if (damaged.has(job)) return
      damaged.add(job)
      onNotice(
        `\`reuse\`: some answers of job ${job} cannot be read, and their records are sent: ${why}`,
      )
    },
  })
  for (const { name, state } of jobs)
    if (!state.finished)
      onNotice(
        `\`reuse\`: job ${name} is not finished: its records without an answer are sent, and paid for, again`,
      )
  const none = whyNone(jobs, keyed)
  if (none !== undefined) onNotice(`\`reuse\` ${reuse}: ${none}, so all records are sent`)
  else if (earlier.count === 0)
    onNotice(`\`reuse\` ${reuse}: there are no answers from ${answeredBy}, so all records are sent`)
  else onFound?.(earlier.count, keyed.length)
  return earlier
}

/** The jobs to take answers from: the named one or its shards, or all finished ones but this one, the newest first. */
async function jobsOf(
  { dir, reuse }: Pick<ReuseOptions, 'dir' | 'reuse'>,
  own: string | undefined,
): Promise<readonly SoundJob[]> {
  if (reuse === AUTO) {
    const all = await inspectJobs(nodeDisk, dir)
    const lost = all.find(job => job.name !== own && isDamaged(job))
    if (lost)
      throw unusable(
        lost,
        'its answers would be paid for again (delete it, or name a job in `reuse`)',
      )
    const jobs = all.filter(isSound)
    return jobs.filter(({ name, state }) => name !== own && state.finished).reverse()
  }
  await mustExist(reuse, dir)
  const named = await inspectJobOrShards(nodeDisk, dir, reuse)
  const damaged = named.find(job => !isSound(job))
  if (damaged) throw unusable(damaged)
  return named.filter(isSound)
}

function whyNone(jobs: readonly SoundJob[], keyed: readonly SoundJob[]): string | undefined {
  if (keyed.length > 0) return undefined
  if (jobs.length === 0) return 'there is no finished job yet'
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
