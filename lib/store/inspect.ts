import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { BatchStreamError, messageOf } from '../core/errors.ts'
import type { Disk } from './disk.ts'
import { endIn, JOURNAL_END, mustReach } from './journal-end.ts'
import { readLines } from './journal-line.ts'
import { LOCK_FILE } from './lock.ts'
import { fold, type JobState } from '../core/job/state.ts'
import { nameOfShards } from '../core/shard.ts'

/** The content of job.json: how the job was created. */
export interface JobCard {
  readonly name: string
  readonly created_at: string
  /** Equal for the same command on the same first record. */
  readonly fingerprint: string
  /** The settings of the command that created it. */
  readonly settings: unknown
  /** Where a retry began that is not finished. It is here, since a ledger has the card, and another machine may continue. */
  readonly retry?: RetryStart | undefined
}

/** Where a retry began. */
export interface RetryStart {
  /** The number of the last batch before it. */
  readonly after: number
  /** The ordinals of records whose rows were `unanswered`. */
  readonly unanswered: readonly number[]
  /** The absolute paths of the files that it has begun to write. */
  readonly files?: readonly string[]
}

/** A card as the text of job.json, with a checksum: with a changed prompt, the records that are left must not be sent. */
export function cardText(card: JobCard): string {
  return `${JSON.stringify({ ...card, sum: sumOf(card) }, undefined, 2)}\n`
}

function sumOf(card: JobCard): number {
  return crc32(JSON.stringify(card))
}

/** A job on disk, read without locking it. */
export interface JobOnDisk {
  readonly name: string
  readonly folder: string
  /** Undefined if it is missing or cannot be parsed. */
  readonly card: JobCard | undefined
  /** Undefined if the journal is missing, or one of the files is damaged; `trouble` says how. */
  readonly state: JobState | undefined
  readonly trouble: string | undefined
  /** Identifies the command that created it, according to its journal: null for a job of the library, undefined if it is unreadable. */
  readonly command?: string | null | undefined
  /** Whether the trouble is that the disk cannot be read, and not what is on it. */
  readonly isUnreadable?: boolean
}

/** A job whose journal is readable. */
export type SoundJob = JobOnDisk & { readonly state: JobState }

export function isSound(job: JobOnDisk): job is SoundJob {
  return job.state !== undefined
}

/** Whether a job may have answers that cannot be read. */
export function isDamaged({ state, trouble }: JobOnDisk): boolean {
  return !state && trouble !== NO_JOURNAL && trouble !== IN_LEDGER
}

/** A copy of a ledger's journal, for commands that only read jobs. */
export const LEDGER_COPY = 'ledger.jsonl'

/** Names the owner and run that filled the folder of a job in a ledger. */
export const LEDGER_MARK = 'ledger.json'

/** The trouble of a job whose journal is in a ledger that was not named. */
export const IN_LEDGER = 'its journal is in a ledger: name the same `ledger`'

/** The trouble of a job whose journal is missing or empty. */
export const NO_JOURNAL = 'it has no journal'

/** The trouble of a job whose card is not as it was written. */
const CARD_CHANGED =
  'job.json was changed since it was written, or another version of the program wrote it'

/** A job by name; undefined if there is none. Paths are not names, so no command leaves the jobs folder. */
export async function inspectJob(
  disk: Disk,
  dir: string,
  name: string,
): Promise<JobOnDisk | undefined> {
  const names = await disk.list(join(dir, 'jobs'))
  return names.includes(name) ? await readJob(disk, dir, name) : undefined
}

async function readJob(disk: Disk, dir: string, name: string): Promise<JobOnDisk | undefined> {
  const folder = join(dir, 'jobs', name)
  let card: JobCard | undefined
  try {
    const files = await disk.list(folder)
    if (files.every(file => file === LOCK_FILE)) return undefined
    const read = await readCard(disk, folder)
    // A changed one may still identify its command, which must not silently start another job.
    card = read?.card
    if (read?.isChanged) throw new BatchStreamError('CBS_STATE', CARD_CHANGED)
    const state = await stateIn(disk, folder)
    const missing = files.includes(LEDGER_MARK) ? IN_LEDGER : NO_JOURNAL
    const command = state?.command
    return { name, folder, card, state, command, trouble: state ? undefined : missing }
  } catch (cause) {
    const isUnreadable = cause instanceof BatchStreamError && cause.code === 'CBS_DISK'
    const command = await commandIn(disk, folder)
    return {
      name,
      folder,
      card,
      state: undefined,
      command,
      trouble: messageOf(cause),
      isUnreadable,
    }
  }
}

/** The state according to the journal, or to the copy of that of a ledger. */
async function stateIn(disk: Disk, folder: string): Promise<JobState | undefined> {
  // Read first, since a running job moves it.
  const end = await disk.readWhole(join(folder, JOURNAL_END))
  const journal = await disk.readWhole(join(folder, 'journal.jsonl'))
  const bytes = journal ?? (await disk.readWhole(join(folder, LEDGER_COPY)))
  if (!bytes) return undefined
  const read = readLines(bytes)
  if (journal && end) mustReach(endIn(end), journal, read)
  return fold(read.events)
}

/** What job.json says, and whether that is not what was written; undefined if it is missing. */
async function readCard(
  disk: Disk,
  folder: string,
): Promise<{ readonly card: JobCard; readonly isChanged: boolean } | undefined> {
  const text = await disk.readWhole(join(folder, 'job.json'))
  if (!text) return undefined
  const { sum, ...card } = Object(jsonIn(text))
  return { card, isChanged: sum !== sumOf(card) }
}

function jsonIn(text: Buffer): unknown {
  try {
    return JSON.parse(text.toString('utf8'))
  } catch (cause) {
    throw new BatchStreamError('CBS_STATE', CARD_CHANGED, { cause })
  }
}

/** A journal's first line is shorter. */
const FIRST_LINE_BYTES = 4096

/** The command in the first event of a journal, whatever else is damaged. */
async function commandIn(disk: Disk, folder: string): Promise<string | null | undefined> {
  try {
    const journal = await disk.open(join(folder, 'journal.jsonl'), 'read')
    const start = Buffer.alloc(FIRST_LINE_BYTES)
    await journal.read(start, 0).finally(() => journal.close())
    const [first] = readLines(start.subarray(0, start.indexOf('\n') + 1)).events
    if (first?.type !== 'opened') return undefined
    return first.command ?? null
  } catch {
    return undefined
  }
}

const DOCTOR = 'claude-batch-stream doctor'

/** The error of a job whose journal cannot be used. `more` is another sentence. */
export function unusable(
  { name, trouble, isUnreadable }: JobOnDisk,
  more?: string,
): BatchStreamError {
  const parts = [`job ${name} cannot be used: ${trouble}`, ...(more === undefined ? [] : [more])]
  // The trouble of a journal says so itself.
  if (!trouble?.includes(DOCTOR)) parts.push(`see \`${DOCTOR} ${name}\``)
  return new BatchStreamError(isUnreadable ? 'CBS_DISK' : 'CBS_STATE', parts.join('; '))
}

/** The names of all jobs in a state folder. */
export async function jobNames(disk: Disk, dir: string): Promise<string[]> {
  // No job name starts with a dot, but desktops create such files anywhere.
  return (await disk.list(join(dir, 'jobs'))).filter(name => !name.startsWith('.'))
}

/** The names of a job's shards in a state folder, by number. */
export async function shardNames(disk: Disk, dir: string, name: string): Promise<string[]> {
  return (await jobNames(disk, dir)).filter(one => nameOfShards(one) === name).sort()
}

/** The jobs of all shards in a state folder, by number; none if the job has no shards. */
export async function inspectShards(disk: Disk, dir: string, name: string): Promise<JobOnDisk[]> {
  const jobs: JobOnDisk[] = []
  for (const one of await shardNames(disk, dir, name)) {
    const job = await inspectJob(disk, dir, one)
    // A damaged job may be a shard.
    if (job && job.state?.shard !== null) jobs.push(job)
  }
  return jobs
}

/** A job by name, or its shards; none if there is no such job. */
export async function inspectJobOrShards(
  disk: Disk,
  dir: string,
  name: string,
): Promise<readonly JobOnDisk[]> {
  const job = await inspectJob(disk, dir, name)
  return job ? [job] : await inspectShards(disk, dir, name)
}

/** All jobs in a state folder, the newest last. */
export async function inspectJobs(disk: Disk, dir: string): Promise<JobOnDisk[]> {
  return await inOrder(eachJob(disk, dir, await jobNames(disk, dir)))
}

/** The jobs that a command created, or may have created, the newest last. Of all others, only the start of the journal is read. */
export async function inspectJobsOf(
  disk: Disk,
  dir: string,
  command: string,
): Promise<JobOnDisk[]> {
  const names: string[] = []
  for (const name of await jobNames(disk, dir))
    if (!(await isOfAnother(disk, join(dir, 'jobs', name), command))) names.push(name)
  return await inOrder(eachJob(disk, dir, names))
}

/** Whether both files of a job say that another command created it. */
async function isOfAnother(disk: Disk, folder: string, command: string): Promise<boolean> {
  const read = await readCard(disk, folder).catch(() => undefined)
  if (!read || read.isChanged || read.card.fingerprint === command) return false
  const first = await commandIn(disk, folder)
  return first !== undefined && first !== command
}

/** The newest jobs, at most `most`, whose card a function accepts, the newest last. Of all others, only the card is read. */
export async function inspectNewest(
  disk: Disk,
  dir: string,
  accepts: (card: JobCard) => boolean,
  most: number,
): Promise<JobOnDisk[]> {
  const cards: JobCard[] = []
  for (const name of await jobNames(disk, dir)) {
    const read = await readCard(disk, join(dir, 'jobs', name)).catch(() => undefined)
    if (read && !read.isChanged && accepts(read.card)) cards.push({ ...read.card, name })
  }
  const newest = cards.sort((a, b) => a.created_at.localeCompare(b.created_at)).slice(-most)
  const names = newest.map(({ name }) => name)
  return await inOrder(eachJob(disk, dir, names))
}

/** Reads jobs one by one, since all of them may need much memory. */
export async function* eachJob(
  disk: Disk,
  dir: string,
  names: readonly string[],
): AsyncGenerator<JobOnDisk, void, void> {
  for (const name of names) {
    const job = await readJob(disk, dir, name)
    if (job) yield job
  }
}

async function inOrder(jobs: AsyncIterable<JobOnDisk>): Promise<JobOnDisk[]> {
  const all: JobOnDisk[] = []
  for await (const job of jobs) all.push(job)
  return all.sort((a, b) => (a.card?.created_at ?? '').localeCompare(b.card?.created_at ?? ''))
}
