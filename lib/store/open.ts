import { randomBytes } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { systemClock, type Clock } from '../core/clock.ts'
import { BatchStreamError, wrongOption } from '../core/errors.ts'
import { nodeDisk, replaceFile, type Disk } from './disk.ts'
import type { JobEvent } from '../core/job/event.ts'
import {
  checkShard,
  isSameShard,
  nameOfShards,
  otherShard,
  shardJobName,
  type Shard,
  type SizedShard,
} from '../core/shard.ts'
import type { Job } from '../core/job/job.ts'
import type { SharedLedger } from '../core/job/shared-ledger.ts'
import { StoredJob } from './job.ts'
import { formatLine, NO_SUM } from './journal-line.ts'
import { FileJournal } from './file-journal.ts'
import { JOURNAL_END } from './journal-end.ts'
import { lockFolder, type Lock } from './lock.ts'
import { Records } from './records.ts'
import { fold, VERSION, type BatchState, type JobState } from '../core/job/state.ts'
import { batchPath } from './batch-path.ts'
import {
  dropLostBodies,
  openCachedRecords,
  packedFilesOf,
  prepareCache,
  restoreFiles,
} from './cache.ts'
import { postgresLedgerOf } from './postgres/ledger.ts'
import type { ShardKey } from './postgres/shard.ts'
import type { BatchFiles } from './sums.ts'
import { makeTemporaryFolder, temporaryDisk } from './temporary.ts'

/** The format of a job name. */
export const JOB_NAME: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/

/** Options of `openJob`: which job it is, and where its files are. */
export interface JobOptions {
  /** Letters, digits, `.`, `_` and `-`, at most 64. The same name in the same `dir` is the same job. */
  readonly name: string
  /** The folder that contains `jobs/`. It is created if missing, private to the user. */
  readonly dir: string
  /**
   * A clock for tests.
   * @default the system clock
   */
  readonly clock?: Clock | undefined
  /**
   * Where the job's journal is kept so that another machine can resume it: the result of `postgresLedger()`. The folder in
   * `dir` is then a cache that may be lost.
   * @default a file in the job's folder
   */
  readonly ledger?: SharedLedger | undefined
  /**
   * The part of the input that this worker processes. The job is then called `NAME.00002` and remembers its shard. Another
   * number of shards or block size for an existing job is `CBS_INPUT`. Pass `job.state.shard` to the `shard` stage.
   * @default the whole input
   */
  readonly shard?: Shard | undefined
}

/** The same with the parts that tests replace. */
export interface StoredJobOptions extends Omit<JobOptions, 'shard'> {
  /** The shard that a job with exactly this name processes. */
  readonly shard?: SizedShard | undefined
  /**
   * Where files are read and written.
   * @default the system's file system
   */
  readonly disk?: Disk
  /**
   * How a folder is locked against other processes.
   * @default a lock that the kernel releases
   */
  readonly lock?: (folder: string) => Promise<Lock>
  /**
   * True for a job that was found on disk: if it has been deleted since, that is `CBS_OPTION`, and no new one takes its place.
   * @default false
   */
  readonly isFound?: boolean
  /** Identifies the command that creates the job. */
  readonly command?: string
}

/**
 * Opens a job by name, or creates it. Everything that stages record is on disk before they act on it, so a process may die
 * at any moment and the next one resumes.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option, `CBS_JOB_IN_USE` if another process has the job,
 * `CBS_INPUT` for other numbers of shards than before, `CBS_STATE` if it is damaged, `CBS_DISK` if it cannot be read or
 * written, `CBS_API` if its ledger is unreachable
 */
export async function openJob(options: JobOptions): Promise<Job> {
  const { name, dir, clock, ledger, shard } = options
  if (!shard) return await openStoredJob({ name, dir, clock, ledger })
  const sized = checkShard(shard)
  const shardName = shardJobName(name, sized.index)
  return await openStoredJob({ name: shardName, dir, clock, ledger, shard: sized })
}

/** `openJob` for stages and commands, which need the job's files and journal. */
export async function openStoredJob(options: StoredJobOptions): Promise<StoredJob> {
  const { name, dir, disk = nodeDisk, clock = systemClock, lock = lockFolder, shard } = options
  if (typeof dir !== 'string') throw wrongOption('dir', 'the path of a folder', dir)
  if (typeof name !== 'string' || !JOB_NAME.test(name))
    throw wrongOption(
      'name',
      'letters, digits, ".", "_" or "-", at most 64, the first a letter or digit',
      name,
    )
  if (options.ledger) return await openSharedJob(options, options.ledger)
  const folder = join(resolve(dir), 'jobs', name)
  const hasJournal = async (): Promise<boolean> =>
    (await disk.stat(`${folder}/journal.jsonl`)) !== undefined
  const mustBeThere = async (): Promise<void> => {
    if (options.isFound && !(await hasJournal()))
      throw new BatchStreamError('CBS_OPTION', `job ${name} has just been deleted from ${dir}`)
  }
  await mustBeThere()
  const made = await disk.makeFolder(folder)
  const held = await lock(folder)
  try {
    await mustBeThere()
    if (!(await hasJournal()))
      await makeSafe(disk, folder, [dirname(resolve(dir)), dirname(made ?? folder)])
    const { command } = options
    return await openFolder({
      ...{ name, folder, disk, clock, lock: held, temporary: false, shard, command },
    })
  } catch (cause) {
    await held.release()
    throw cause
  }
}

/** The key of a job in a ledger, where its shards are one job. */
function keyOf(name: string, shard: SizedShard | undefined): ShardKey {
  if (!shard) return { job: name, index: 0, count: 1, block: 0 }
  return { job: nameOfShards(name) ?? name, ...shard }
}

/** Opens a job whose journal is in a ledger. Files that are missing in its folder are restored from the ledger. */
async function openSharedJob(options: StoredJobOptions, ledger: SharedLedger): Promise<StoredJob> {
  const { name, dir, disk = nodeDisk, clock = systemClock, lock = lockFolder, shard } = options
  const folder = join(resolve(dir), 'jobs', name)
  await disk.makeFolder(folder)
  const held = await lock(folder)
  try {
    if ((await disk.stat(`${folder}/journal.jsonl`)) !== undefined)
      throw new BatchStreamError(
        'CBS_INPUT',
        `the job in ${folder} has its journal on this disk and not in the ledger: resume it without the ledger, or choose another job name; nothing was sent`,
      )
    const files: BatchFiles = { disk, path: (number, what) => batchPath(folder, number, what) }
    const taken = await postgresLedgerOf(ledger).take(keyOf(name, shard), clock, batch =>
      packedFilesOf(files, batch),
    )
    const { shard: journal, epoch } = taken
    let records: Records | undefined
    try {
      // The database of another URL, or a new one: what this folder has would be emptied.
      if (options.isFound && taken.events.length === 0)
        throw new BatchStreamError(
          'CBS_STATE',
          `job ${name} is not in the ledger: is it the right database? Nothing was changed or sent`,
        )
      const first = firstEvent({ clock, shard, command: options.command })
      if (taken.events.length === 0) await journal.append(first, true)
      // A journal has its first event.
      const state = fold(taken.events.length === 0 ? [first] : taken.events) as JobState
      mustBeShard({ name, shard }, state)
      await prepareCache(disk, folder, state, epoch)
      await restoreFiles(files, state, number => journal.filesOfBatch(number))
      await removeOrphans(disk, folder, state)
      records = await openCachedRecords(disk, folder, state)
      const job = new StoredJob({
        ...{ name, folder, disk, clock, journal, state, records },
        ...{ shared: journal, lock: held, temporary: false },
      })
      await dropLostBodies(job, journal)
      return job
    } catch (cause) {
      await records?.close()
      await journal.close()
      throw cause
    }
  } catch (cause) {
    await held.release()
    throw cause
  }
}

/** A job that is deleted at its end; stages use it if the user names no job. It is never synced. */
export async function temporaryJob(clock: Clock = systemClock): Promise<StoredJob> {
  const folder = await makeTemporaryFolder()
  return await openFolder({
    name: folder,
    folder,
    disk: temporaryDisk,
    clock,
    lock: undefined,
    temporary: true,
    shard: undefined,
  })
}

/** Syncs the folders: a job whose folder a power failure removed would be sent, and paid for, again. */
async function makeSafe(disk: Disk, folder: string, upTo: readonly string[]): Promise<void> {
  const highest = Math.min(...upTo.map(path => path.length))
  for (let at = folder; at.length > highest;) {
    at = dirname(at)
    await disk.syncFolder(at)
  }
}

interface JobFolder {
  readonly name: string
  readonly folder: string
  readonly disk: Disk
  readonly clock: Clock
  readonly lock: Lock | undefined
  readonly temporary: boolean
  readonly shard: SizedShard | undefined
  readonly command?: string | undefined
}

async function openFolder(place: JobFolder): Promise<StoredJob> {
  const { folder, disk } = place
  const path = `${folder}/journal.jsonl`
  const names = await disk.list(folder)
  // A link in its place would lead to files of others.
  await disk.makeFolder(`${folder}/batches`)
  if (!names.includes('journal.jsonl')) {
    if (names.includes('records.jsonl')) throw damaged(folder, 'has records and no journal')
    // The first line is created with the file, so that an empty journal is always damage and never a crash.
    await replaceFile(disk, path, formatLine(firstEvent(place), NO_SUM).line)
  }
  const end = place.temporary ? undefined : `${folder}/${JOURNAL_END}`
  const { journal, events } = await FileJournal.open(disk, path, end)
  let records: Records | undefined
  try {
    const state = fold(events)
    if (!state) throw damaged(folder, 'has an empty journal')
    mustBeShard(place, state)
    // The rows of a finished one may be read; `submit` checks the job before its retry is sent.
    if (!place.temporary && !state.finished) await mustBeNoCopy(place, state.run)
    await removeOrphans(disk, folder, state)
    records = await Records.open(disk, folder, state.spooled, state.sources)
    // The names of the record files must be as durable as the journal that refers to them.
    if (state.spooled.records === 0) await disk.syncFolder(folder)
    return new StoredJob({ ...place, journal, state, records })
  } catch (cause) {
    await records?.close()
    await journal.close()
    throw cause
  }
}

function firstEvent({
  clock,
  shard,
  command,
}: Pick<JobFolder, 'clock' | 'shard' | 'command'>): JobEvent {
  return {
    ...{ type: 'opened', version: VERSION, run: randomWord(), at: clock.now() },
    ...(shard && { shard }),
    ...(command !== undefined && { command }),
  }
}

/** With another number of shards or block size a record would be in two jobs, or in none. */
function mustBeShard({ name, shard }: Pick<JobFolder, 'name' | 'shard'>, state: JobState): void {
  if (shard && !isSameShard(shard, state.shard)) throw otherShard(name, shard, state.shard)
}

/** Bytes of a journal that contain its first event's `run`. */
const RUN_BYTES = 256

/**
 * Refuses to work on a job that has a copy in the same folder, since what both send would be paid for twice.
 * @throws BatchStreamError `CBS_STATE`
 */
export async function mustBeNoCopy(
  { name, folder, disk }: Pick<JobFolder, 'name' | 'folder' | 'disk'>,
  run: string,
): Promise<void> {
  const jobs = dirname(folder)
  for (const other of await disk.list(jobs)) {
    if (other === name || !JOB_NAME.test(other)) continue
    // A journal that cannot be read is damaged or being deleted, and cannot be opened as a job either.
    const journal = await disk
      .open(join(jobs, other, 'journal.jsonl'), 'read')
      .catch(() => undefined)
    const head = Buffer.alloc(RUN_BYTES)
    await journal?.read(head, 0).catch(() => 0)
    await journal?.close()
    if (head.includes(`"run":"${run}"`))
      throw new BatchStreamError(
        'CBS_STATE',
        `jobs ${name} and ${other} are copies of one job, and what both send would be paid for twice; nothing was sent. Delete one of them, or move it out of ${jobs}`,
      )
  }
}

/** Ten letters and digits (52 bits), unique among the runs of a workspace. */
function randomWord(): string {
  return [...randomBytes(10)].map(byte => (byte % 36).toString(36)).join('')
}

/** Removes files that the journal does not name, which a crash left behind. */
async function removeOrphans(disk: Disk, folder: string, state: JobState): Promise<void> {
  for (const name of await disk.list(`${folder}/batches`)) {
    const [number, what] = name.split('.')
    const batch = state.batches.get(Number(number))
    if (!name.endsWith('.invalid') && isImpossible(batch, what))
      throw damaged(
        folder,
        `has results of batch ${number}, which was never sent according to its journal: the end of the journal is lost`,
      )
    // Result sets that failed verification are kept: they are paid for and may be worth a look.
    const isNeeded = batch && (name.endsWith('.invalid') || needs(batch, what))
    // A job's own files begin with a number.
    if (!isNeeded && /^\d/.test(name)) await disk.remove(`${folder}/batches/${name}`)
  }
}

/** Whether a file shows that the journal has lost events: results come after their batch was submitted, which is journaled first. */
function isImpossible(batch: BatchState | undefined, what: string | undefined): boolean {
  if (!['results', 'lines', 'part', 'download'].includes(String(what))) return false
  return batch === undefined || batch.phase === 'sealed' || batch.phase === 'armed'
}

/** Whether a batch in this state has a file of this kind. */
function needs({ phase, fetched, partlyFetched }: BatchState, what: string | undefined): boolean {
  switch (what) {
    case 'body':
      return phase === 'sealed' || phase === 'armed'
    case 'results':
    case 'lines':
      return fetched !== null || partlyFetched === true
    case 'part':
      return fetched === null && partlyFetched === true
    case 'download':
      return false
    default:
      return phase !== 'void'
  }
}

function damaged(folder: string, how: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the job in ${folder} ${how}; nothing was sent: see \`claude-batch-stream doctor\``,
  )
}
