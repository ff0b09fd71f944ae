// --reuse: which jobs' answers a run takes, and what is said of them.
import { join } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import { didYouMean } from '../core/nearest.ts'
import type { Reuse } from '../stages/aggregate/aggregate.ts'
import { nodeDisk } from '../store/disk.ts'
import { inspectJob, inspectJobs, jobNames, type JobOnDisk } from '../store/inspect.ts'
import { EarlierAnswers, hasKeys } from '../store/results/earlier-answers.ts'
import { makeTemporaryFolder, temporaryDisk } from '../store/temporary.ts'
import { baseUrlOf } from './client.ts'
import type { Context } from './context.ts'
import { shardsIn } from './shards.ts'
import type { Settings } from './settings.ts'
import { counted } from './shown.ts'
import { stateDir } from './state-dir.ts'
import type { Talk } from './talk.ts'

/** The API when nothing names another. */
const DEFAULT_API = 'https://api.anthropic.com'

/** The word for all finished jobs. */
const AUTO = 'auto'

/** What an answer depends on besides its request: the API's origin, so that no emulated answer passes for a real one, and the betas. */
export function answeredByOf(baseURL: string, betas: readonly string[]): string {
  const names = new Set(betas.flatMap(text => text.split(',')))
  return [new URL(baseURL).origin, ...[...names].sort()].join(' ')
}

/** Refuses what --reuse does not go with, and a job that does not exist, before anything is read. */
export async function checkReuse({ flags, io }: Context, settings: Settings): Promise<void> {
  const { reuse } = settings
  if (reuse === undefined) return
  const refuse = (why: string): never => {
    throw new BatchStreamError('CBS_OPTION', why)
  }
  if (flags.has('emulate'))
    refuse(
      '--reuse does not go with --emulate, whose jobs end with the command: run `claude-batch-stream emulate` beside it, and name its URL with --base-url',
    )
  if (reuse === AUTO) return
  if (reuse === flags.text('job')) refuse(`--reuse ${reuse} is the job itself: name an earlier one`)
  const dir = stateDir(flags, io.env)
  if ((await jobsOf(dir, reuse)).length > 0) return
  const names = await jobNames(nodeDisk, dir)
  refuse(
    `--reuse: there is no job ${reuse} in ${dir}${didYouMean(reuse, names)}; see \`claude-batch-stream list\``,
  )
}

/** A job by name, or its shards. */
async function jobsOf(dir: string, name: string): Promise<readonly JobOnDisk[]> {
  const job = await inspectJob(nodeDisk, dir, name)
  return job ? [job] : await shardsIn(dir, name)
}

export interface ReuseParts {
  readonly settings: Settings
  readonly stateDir: string
  readonly answeredBy: string
  readonly talk: Talk
}

/** Where a run takes answers from; undefined where it asks everything. */
export function reuseOf(parts: ReuseParts): Reuse | undefined {
  const { reuse } = parts.settings
  if (reuse === undefined) return undefined
  return {
    answeredBy: parts.answeredBy,
    open: async job =>
      await openEarlier(parts, reuse, {
        path: `${job.store.folder}/batches/earlier`,
        own: job.name,
      }),
  }
}

async function openEarlier(
  { settings, stateDir: dir, answeredBy, talk }: ReuseParts,
  reuse: string,
  { path, own }: { readonly path: string; readonly own: string | undefined },
): Promise<EarlierAnswers> {
  const jobs = reuse === AUTO ? await finishedJobs(dir, own) : await jobsOf(dir, reuse)
  const keyed = jobs.filter(hasKeys)
  const damaged = new Set<string>()
  const earlier = await EarlierAnswers.open({
    ...{ disk: nodeDisk, path, jobs: keyed, answeredBy },
    check: settings.schema && answerCheck(settings.schema),
    onDamage: (job, why) => {
      if (damaged.has(job)) return
      damaged.add(job)
      talk.info(
        `--reuse: some answers of job ${job} cannot be read, and their records are sent: ${why}`,
      )
    },
  })
  for (const { name, state } of jobs)
    if (state && !state.finished)
      talk.info(
        `--reuse: job ${name} is not finished: its records without an answer are sent, and paid for, again`,
      )
  const none = whyNone(reuse, jobs, keyed)
  if (none !== undefined) talk.info(`--reuse ${reuse}: ${none}, so all records are sent`)
  else if (earlier.count === 0)
    talk.info(`--reuse ${reuse}: there are no answers from ${answeredBy}, so all records are sent`)
  else
    talk.detail(
      `--reuse ${reuse}: ${counted(earlier.count, 'answer')} of ${counted(keyed.length, 'job')}`,
    )
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
  return `${which} not say what was asked (it is in a ledger or of the library, or nothing was answered)`
}

/** The same for a preview, which has no job and calls no API. Whoever gets it closes it. */
export async function previewReuse(
  { flags, io, talk }: Context,
  settings: Settings,
): Promise<{ readonly earlier: EarlierAnswers; close(): Promise<void> } | undefined> {
  const { reuse } = settings
  if (reuse === undefined) return undefined
  const answeredBy = answeredByOf(baseUrlOf(flags, io.env) ?? DEFAULT_API, settings.betas)
  const folder = await makeTemporaryFolder()
  const parts = { settings, stateDir: stateDir(flags, io.env), answeredBy, talk }
  const where = { path: join(folder, 'earlier'), own: flags.text('job') }
  const earlier = await openEarlier(parts, reuse, where)
  return {
    earlier,
    close: async () => {
      await earlier.close()
      await temporaryDisk.remove(folder)
    },
  }
}
