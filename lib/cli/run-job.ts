import type { Clock } from '../core/clock.ts'
import type { SharedLedger } from '../core/job/shared-ledger.ts'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import { nameOfShards } from '../core/shard.ts'
import type { SourceRecord } from '../core/flow.ts'
import { deleteJob } from '../store/delete.ts'
import { nodeDisk, replaceFile } from '../store/disk.ts'
import {
  cardText,
  inspectJob,
  inspectJobsOf,
  inspectNewest,
  inspectShards,
  isDamaged,
  type JobCard,
  type JobOnDisk,
  type SoundJob,
  unusable,
} from '../store/inspect.ts'
import type { StoredJob } from '../store/job.ts'
import { JOB_NAME, openStoredJob } from '../store/open.ts'
import { isLocked, lockFolder, type Lock } from '../store/lock.ts'
import type { Stage } from '../core/stage.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { checkNewOutput } from '../stages/write/output.ts'
import type { InputState } from './input.ts'
import { isUnfinished, isUnsent } from './job-work.ts'
import { writtenBy } from './parquet-output.ts'
import { hasBegun, rememberedBy, rememberedIn, sound, type Remembered } from './remembered.ts'
import type { RowOptions } from './row-options.ts'
import { compareInput, firstRecords, type ComparedInput } from './same-input.ts'
import { decidingSettings, type Settings } from './settings.ts'
import type { Talk } from './talk.ts'
import { wrongFlag } from './values.ts'

function commandText(settings: Settings): string {
  return JSON.stringify(decidingSettings(settings))
}

function commandTextIn(card: JobCard): string | undefined {
  const known = rememberedIn(card)
  return known && commandText(known.run)
}

/** Identifies a command: its settings and the first record. A shard may have no records. */
export function fingerprintOf(settings: Settings, first: SourceRecord | undefined): string {
  const hash = createHash('sha256').update(commandText(settings))
  if (first) hash.update(first.raw)
  return hash.digest('hex')
}

export interface Choice {
  readonly dir: string
  readonly name: string | undefined
  readonly fresh: boolean
  readonly fingerprint: string
  readonly remembered: Remembered
  readonly clock: Clock
  readonly ledger?: SharedLedger | undefined
  readonly input: ChosenInput
}

export interface ChosenInput {
  /** The first records, which are in the stream, too. */
  readonly first: readonly SourceRecord[]
  readonly stream: Stage<never, SourceRecord>
  readonly reading: InputState
  readonly template: TemplateOptions
}

/** The job of a run, and what is remembered of the command that created it. */
export interface RunJob {
  readonly job: StoredJob
  /** Whether an earlier run started it. */
  readonly isResumed: boolean
  readonly remembered: Remembered
  /** The input from its first record; undefined if the job is finished and its rows are only printed again. */
  readonly stream: Stage<never, SourceRecord> | undefined
  /** Closes the source of the stream. */
  close(): Promise<void>
}

/**
 * Finds the job for a run: the unfinished one of the same command, the finished one of the same command and input, or a new
 * one. A named job of another command or input is never touched. A damaged job may contain paid work, so its command does
 * not silently start again.
 */
export async function jobForRun(choice: Choice, talk: Talk): Promise<RunJob> {
  if (choice.name !== undefined) return await namedJob(choice, choice.name, talk)
  if (choice.fresh) return await unnamedJob(choice, [], talk)
  const { dir, fingerprint } = choice
  return await startAlone(choice, async () => {
    const jobs = await inspectJobsOf(nodeDisk, dir, fingerprint)
    const unknown = jobs.find(isOfUnknownCommand)
    if (unknown)
      throw unusable(unknown, 'it may be a job of this command (--fresh starts a new one)')
    return await unnamedJob(
      choice,
      jobs.filter(job => isOfCommand(job, fingerprint)),
      talk,
    )
  })
}

/** Whether a command created a job. Either of its files may be damaged; a crash may have come before job.json was written. */
function isOfCommand(job: JobOnDisk, fingerprint: string): boolean {
  return job.card?.fingerprint === fingerprint || (job.command === fingerprint && hasBegun(job))
}

/** Whether a job cannot be read at all, so that it is unknown which command created it. */
function isOfUnknownCommand(job: JobOnDisk): boolean {
  return !job.card && job.command === undefined && isDamaged(job)
}

/**
 * Ensures that only one of two simultaneous starts of a command continues: otherwise neither would see the other's job, and
 * both would pay.
 */
async function startAlone<T>(
  { dir, fingerprint }: Pick<Choice, 'dir' | 'fingerprint'>,
  start: () => Promise<T>,
): Promise<T> {
  // No job has such a name.
  const folder = join(dir, 'jobs', `.starting-${fingerprint.slice(0, 32)}`)
  const lock = await lockStart(folder)
  try {
    return await start()
  } finally {
    // Another start may just be making its lock there; then that one removes it.
    await nodeDisk.remove(folder).catch(() => {})
    await lock.release()
  }
}

async function lockStart(folder: string): Promise<Lock> {
  for (;;) {
    try {
      await nodeDisk.makeFolder(folder)
      return await lockFolder(folder)
    } catch (cause) {
      if (cause instanceof BatchStreamError && cause.code === 'CBS_JOB_IN_USE') {
        const message = 'another process is starting this very command; nothing was sent'
        throw new BatchStreamError('CBS_JOB_IN_USE', message, { cause })
      }
      // Another start has ended meanwhile and removed the folder, and a third one may have made it again.
      if (!isMissing(cause)) throw cause
    }
  }
}

function isMissing(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  return ('code' in cause && cause.code === 'ENOENT') || isMissing(cause.cause)
}

async function unnamedJob(
  choice: Choice,
  alike: readonly JobOnDisk[],
  talk: Talk,
): Promise<RunJob> {
  // A damaged job has no state.
  const inLedger: JobOnDisk[] = []
  for (const job of alike) if (await isInLedger(job)) inLedger.push(job)
  const same = alike.findLast(job => !job.state?.finished) ?? inLedger.at(-1)
  if (!same) {
    const { same: finished, ...rest } = await compared(choice, alike)
    if (finished) return await printAgain(choice, finished, rest.close, talk)
    // With --reuse, the user knows of an earlier job.
    if (choice.remembered.run.reuse === undefined) await mustBeAnotherInput(choice, talk)
    return await createJob(choice, newName(new Date()), rest)
  }
  const known = rememberedBy(same)
  talk.info(
    `resuming job ${same.name}, which this command left unfinished (--fresh starts a new job)`,
  )
  return await resumeJob(choice, same, known, talk)
}

/** How many jobs of the same command are compared at most. */
const MOST_LEFT = 16

/**
 * Rejects an input that has changed in its first record since the same command was left unfinished: the rest of it would be paid for
 * twice. It has, if at least half of its first records are among those of the job. A job with another input is named.
 */
async function mustBeAnotherInput(
  { dir, fingerprint, remembered, input: { first } }: Choice,
  talk: Talk,
): Promise<void> {
  const command = commandText(remembered.run)
  const isLike = (card: JobCard): boolean =>
    card.fingerprint !== fingerprint && commandTextIn(card) === command
  for (const job of await inspectNewest(nodeDisk, dir, isLike, MOST_LEFT)) {
    const { name, state } = job
    if (!state || !isUnfinished(job) || isUnsent(state)) continue
    const known = new Set(await firstRecords({ ...job, state }, first.length))
    const shared = first.filter(({ raw }) => known.has(raw.toString('latin1'))).length
    if (shared > 0 && shared * 2 >= Math.min(known.size, first.length))
      throw new BatchStreamError(
        'CBS_INPUT',
        `the input has changed since job ${name} of this command began, which is unfinished; nothing was sent. \`claude-batch-stream resume ${name}\` continues with the records that it has read, --fresh starts a new job`,
      )
    // A process that works on it will finish it.
    if (await isLocked(job.folder)) continue
    talk.info(
      `job ${name} of this command has another input, and is unfinished: claude-batch-stream resume ${name}`,
    )
  }
}

/**
 * Whether a job is in a ledger. Its records may be on another machine, so even a finished job reads its input again and
 * compares hashes.
 */
async function isInLedger({ folder }: JobOnDisk): Promise<boolean> {
  return (await nodeDisk.stat(join(folder, 'journal.jsonl'))) === undefined
}

async function namedJob(choice: Choice, name: string, talk: Talk): Promise<RunJob> {
  const { dir, fresh, fingerprint } = choice
  const found = await lookUp(dir, name)
  const { stream } = choice.input
  if (!found || !hasBegun(found)) {
    if (!fresh) await mustNotBeDivided(dir, name)
    return await createJob(choice, name, { stream, close: nothing })
  }
  if (fresh) {
    if (choice.ledger)
      throw new BatchStreamError(
        'CBS_OPTION',
        `--fresh cannot be combined with a job that is in a ledger: choose another --job than ${name}`,
      )
    await mustBeFree(choice.remembered.rows)
    await setAside(dir, name, talk)
    return await createJob(choice, name, { stream, close: nothing })
  }
  const known = rememberedBy(found)
  if (found.card?.fingerprint === fingerprint && (await isInLedger(found))) {
    talk.info(`continuing job ${name}`)
    return await resumeJob(choice, found, known, talk)
  }
  if (found.card?.fingerprint === fingerprint) {
    const { same, close } = await compared(choice, [found])
    if (same) return await printAgain(choice, same, close, talk)
    await close()
  }
  mustBeOf(found, fingerprint)
  talk.info(`resuming job ${name}`)
  return await resumeJob(choice, found, known, talk)
}

/** Rejects the name of a job that exists in shards, or a shard of a job that exists as a whole: both would be paid for. */
async function mustNotBeDivided(dir: string, name: string): Promise<void> {
  const whole = nameOfShards(name)
  const found = whole === undefined ? undefined : await inspectJob(nodeDisk, dir, whole)
  const shards = whole === undefined ? await inspectShards(nodeDisk, dir, name) : []
  const why =
    found && hasBegun(found)
      ? `job ${whole} is not divided into shards`
      : shards.some(hasBegun)
        ? `job ${name} is divided into shards (--shard)`
        : undefined
  if (why !== undefined)
    throw new BatchStreamError(
      'CBS_INPUT',
      `${why}; nothing was sent. Choose another --job, or --fresh starts a new job`,
    )
}

/** Rejects input without records for a job that has some: an empty pipe must not look like the answers to a full one. */
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
      `job ${name} is finished and belongs to another command or input; nothing was sent. \`claude-batch-stream results ${name}\` prints its rows, --fresh starts a new job`,
    )
  }
  if (fingerprint === undefined || card?.fingerprint !== fingerprint) {
    throw new BatchStreamError(
      'CBS_INPUT',
      `job ${name} belongs to another command or input; nothing was sent. \`claude-batch-stream resume ${name}\` resumes it, --fresh starts a new job`,
    )
  }
}

/**
 * Compares the input with that of finished jobs of the same command. With --batch-wait it is not compared: it may pause for hours
 * where it still is the same. With --batch-age it is, since its records keep arriving, and a difference ends the comparison.
 */
async function compared(
  { remembered, input: { stream, reading, template } }: Choice,
  alike: readonly JobOnDisk[],
): Promise<ComparedInput> {
  const { batchWaitMs, dedupe, filesDir } = remembered.run
  // With dedupe, only the first record's files of a shared answer can be verified.
  const isComparable = batchWaitMs === undefined && !(dedupe && filesDir !== undefined)
  const finished: SoundJob[] = []
  for (const job of isComparable ? alike : []) {
    const { state } = job
    if (state?.finished && state.spooled.broken === null) finished.push({ ...job, state })
  }
  if (finished.length === 0) return { same: undefined, stream, close: nothing }
  return await compareInput(stream, reading, finished, template)
}

const nothing = async (): Promise<void> => {}

/** Reopens a finished job to print its rows again. Missing output files are written again. */
async function printAgain(
  choice: Choice,
  found: SoundJob,
  close: () => Promise<void>,
  talk: Talk,
): Promise<RunJob> {
  await close()
  const { files } = found.state.output
  const own = [files.out, files.errors].filter(path => path !== null)
  const there = await Promise.all(own.map(path => nodeDisk.stat(path)))
  const isGone = own.length > 0 && there.every(size => size === undefined)
  const written = isGone ? 0 : found.state.output.out
  const known = rememberedBy(found)
  const taken = await resumeJob(choice, found, known, talk, written)
  if (isGone) await taken.job.note({ type: 'output', ...files }, true)
  const rows = found.card?.retry
    ? 'an interrupted retry is continued, then its rows are printed again'
    : 'printing its rows again, free'
  talk.info(
    `job ${found.name} already has the answers to this command and input; ${rows} (--fresh starts a new job)`,
  )
  return { ...taken, stream: undefined }
}

/** A file with rows of one shape is not continued in another, nor one in the order of completion in that of the input. */
export function mustMatch(before: RowOptions, now: RowOptions, written: number): void {
  if (written === 0 || before.output !== now.output) return
  const shapes = [before, now].map(({ order: _, ...shape }) => JSON.stringify(shape))
  const isUnordered = now.order === 'input' && before.order !== 'input'
  if (shapes[0] === shapes[1] && !isUnordered) return
  const how = isUnordered ? 'in the order of the input' : 'of this shape'
  throw new BatchStreamError(
    'CBS_OPTION',
    `${now.output} holds rows already, and not ${how}: name another file with -o to have all rows again`,
  )
}

/** Resumes a job. The row options of the new command are remembered for later ones. */
async function resumeJob(
  { dir, remembered, clock, ledger, input: { stream } }: Choice,
  found: JobOnDisk,
  known: Remembered,
  talk: Talk,
  written?: number,
): Promise<RunJob> {
  const { name, state } = sound(found)
  mustMatch(known.rows, remembered.rows, written ?? state.output.out)
  const { maxCost } = known.run
  if (maxCost !== undefined && remembered.run.maxCost === undefined && !state.finished)
    talk.warn(
      `job ${name} had a cap of $${maxCost}, which this command lifts: it has no --max-cost`,
    )
  const { columns: _, ...newer } = remembered
  const shard = state.shard ?? undefined
  const job = await openStoredJob({ dir, name, clock, ledger, shard, isFound: true })
  try {
    const all = await remember(job, found, { ...known, ...newer })
    return { job, isResumed: true, remembered: all, stream, close: nothing }
  } catch (cause) {
    await job.close()
    throw cause
  }
}

/** Stores what a command changed about resuming its job. */
export async function remember(
  job: StoredJob,
  { card }: Pick<JobOnDisk, 'card'>,
  remembered: Remembered,
): Promise<Remembered> {
  const same = JSON.stringify(card?.settings) === JSON.stringify(remembered)
  if (!card || same) return remembered
  // Otherwise each later run would fail on a file that one command named.
  await mustBeFree(remembered.rows, job)
  await writeCard(job, { ...card, settings: remembered })
  return remembered
}

/** Stores a cap that was raised while the job ran. */
export async function rememberCap(job: StoredJob, maxCost: string): Promise<void> {
  // The job is open, so it exists.
  const found = (await inspectJob(nodeDisk, join(job.store.folder, '../..'), job.name)) as JobOnDisk
  const known = rememberedBy(found)
  await remember(job, found, { ...known, run: { ...known.run, maxCost } })
}

/** Stores how a job was created, also in its ledger. */
export async function writeCard(job: StoredJob, card: JobCard): Promise<void> {
  const text = cardText(card)
  await replaceFile(nodeDisk, join(job.store.folder, 'job.json'), Buffer.from(text))
  await job.shared?.saveCard(text)
}

/** Renames a job that is in the way: paid answers are never deleted for a new run. */
async function setAside(dir: string, name: string, talk: Talk): Promise<void> {
  const lock = await lockFolder(join(dir, 'jobs', name))
  const aside = `${name.slice(0, 45)}.${Date.now().toString(36)}`
  await nodeDisk.rename(join(dir, 'jobs', name), join(dir, 'jobs', aside))
  await lock.release()
  talk.info(`job ${name} already existed and was renamed to ${aside}`)
}

/**
 * Reports an output that exists or cannot be created before a job is created or changed. Files of the job itself are
 * allowed.
 */
export async function mustBeFree(
  { output, errors, to }: RowOptions,
  job?: StoredJob,
): Promise<void> {
  const own = job?.state.output.files
  for (const [path, option, owned] of [
    [output, 'output', own?.out],
    [errors, 'errors', own?.errors],
  ] as const) {
    if (path === undefined || path === '-' || path === owned) continue
    // Its content is checked before it is replaced.
    if (to === 'parquet' && job && path === (await writtenBy(job))?.path) continue
    // A device or a pipe takes rows like stdout.
    if ((await nodeDisk.stat(path)) !== 'special') await checkNewOutput(nodeDisk, path, option)
  }
}

/**
 * Deletes the job of a run that failed before anything was sent: the same command creates it again, and `resume` without a
 * name must not find it. Returns whether it did.
 */
export async function discardFailedStart({
  store: { folder },
  name,
  state,
  shared,
}: Pick<StoredJob, 'store' | 'name' | 'state' | 'shared'>): Promise<boolean> {
  // Another worker may look for it in the ledger, where a job without records costs nothing.
  if (shared || !isUnsent(state)) return false
  // The job was closed, so another process may have it now.
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

async function createJob(
  choice: Choice,
  name: string,
  input: Pick<ComparedInput, 'stream' | 'close'>,
): Promise<RunJob> {
  const { dir, fingerprint, remembered, clock, ledger } = choice
  const made = async (): Promise<StoredJob> => {
    await mustBeFree(remembered.rows).catch(async (cause: unknown) => {
      // Another process that has just started the same job has made the file.
      if (!(await isLocked(join(dir, 'jobs', name)))) throw cause
      const message = `another process is starting job ${name}; nothing was sent`
      throw new BatchStreamError('CBS_JOB_IN_USE', message, { cause })
    })
    const { shard } = remembered.run
    return await openStoredJob({ dir, name, clock, ledger, shard, command: fingerprint })
  }
  const job = await made().catch(async (cause: unknown) => {
    await input.close()
    throw cause
  })
  try {
    // While this process waited for the job, another one may have worked on it, with another command.
    const { spooled, batches } = job.state
    if (spooled.records > 0 || batches.size > 0)
      throw new BatchStreamError(
        'CBS_JOB_IN_USE',
        `another process has started job ${name} in the meantime; nothing was sent: run the same command again`,
      )
    const created_at = new Date().toISOString()
    await writeCard(job, { name, created_at, fingerprint, settings: remembered })
    return { job, isResumed: false, remembered, ...input }
  } catch (cause) {
    await job.close()
    throw cause
  }
}

/** The date, so that jobs sort by age, and a suffix that distinguishes jobs of one day. */
function newName(now: Date): string {
  const day = now.toISOString().slice(0, 10)
  return `${day}-${Math.floor(Math.random() * 36 ** 5)
    .toString(36)
    .padStart(5, '0')}`
}
