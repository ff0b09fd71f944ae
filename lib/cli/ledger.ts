// The ledger of --ledger: jobs that other machines work on too.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import type pg from 'pg'
import type { AnthropicClient } from '../api/client.ts'
import { BatchStreamError, wrapError } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import { missingPackages } from '../core/optional-packages.ts'
import type { SharedLedger } from '../core/job/shared-ledger.ts'
import { nameOfShards, shardJobName } from '../core/shard.ts'
import { restoreResults } from '../stages/results/fetch-results.ts'
import { nodeDisk } from '../store/disk.ts'
import { LEDGER_COPY, type SoundJob } from '../store/inspect.ts'
import type { StoredJob } from '../store/job.ts'
import { formatLine, NO_SUM } from '../store/journal-line.ts'
import { JOB_NAME, openStoredJob } from '../store/open.ts'
import { DEFAULT_LEASE_MS, postgresLedger, postgresLedgerOf } from '../store/postgres/ledger.ts'
import type { Context } from './context.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { openInput } from './input.ts'
import { ownFiles } from './own-files.ts'
import { rememberedBy } from './remembered.ts'
import { duration } from './values.ts'

export interface OpenLedger {
  readonly ledger: SharedLedger
  close(): Promise<void>
}

/** Opens the ledger named by the flags or the environment. */
export async function openLedger(
  flags: Flags,
  { connectLedger }: Pick<Io, 'connectLedger'>,
): Promise<OpenLedger | undefined> {
  const url = flags.text('ledger')
  if (url === undefined) return undefined
  if (flags.text('reuse') !== undefined)
    throw new BatchStreamError(
      'CBS_OPTION',
      '--reuse cannot be combined with --ledger: it takes answers from the jobs of one state folder, and those of a ledger may be on any machine',
    )
  // The message never holds the URL, which may hold a password.
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url))
    throw new BatchStreamError(
      'CBS_OPTION',
      '--ledger must be the URL of a database: postgres://USER@HOST/DATABASE',
    )
  const lease = flags.text('lease')
  const leaseMs = lease === undefined ? DEFAULT_LEASE_MS : duration('--lease', lease, 1000)
  const pool = connectLedger?.(url) ?? (await connect(url, leaseMs))
  return { ledger: postgresLedger({ pool, leaseMs }), close: async () => await pool.end() }
}

async function connect(url: string, leaseMs: number): Promise<pg.Pool> {
  const { Pool } = await loadDriver()
  const queryMs = Math.min(15_000, Math.max(1000, leaseMs / 4))
  const pool = new Pool({
    ...{ connectionString: url, application_name: 'claude-batch-stream', max: 3 },
    ...{ connectionTimeoutMillis: queryMs, query_timeout: queryMs, keepAlive: true },
  })
  // An idle connection that breaks is replaced.
  pool.on('error', () => {})
  return pool
}

/** Loads the package that connects to PostgreSQL; `CBS_OPTION` where it is not installed. */
export async function loadDriver(
  load: () => Promise<{ default: typeof pg }> = () => import('pg'),
): Promise<typeof pg> {
  try {
    return (await load()).default
  } catch (cause) {
    throw missingPackages('--ledger', ['pg'], cause)
  }
}

/**
 * Copies what the ledger says of a job, or of all, into the state folder, where commands look for jobs. The copies are only
 * read: a job that is opened is read from the ledger itself. Gives the names of jobs that a worker holds.
 */
export async function copyJobs(
  ledger: SharedLedger,
  dir: string,
  name?: string,
): Promise<ReadonlySet<string>> {
  const held = new Set<string>()
  const job = name && (nameOfShards(name) ?? name)
  for (const shard of await postgresLedgerOf(ledger).shards(job)) {
    // A job that is no shard has no blocks.
    const own = shard.block > 0 ? shardJobName(shard.job, shard.index) : shard.job
    // A path in place of a name would lead out of the folder of jobs.
    if (!JOB_NAME.test(shard.job))
      throw new BatchStreamError(
        'CBS_STATE',
        `the ledger has a job whose name is none: ${shard.job}`,
      )
    const folder = join(dir, 'jobs', own)
    await nodeDisk.makeFolder(folder)
    // A job with its own journal has the same name but is another job.
    if ((await nodeDisk.stat(join(folder, 'journal.jsonl'))) !== undefined) continue
    if (shard.isHeld) held.add(own)
    let sum = NO_SUM
    const lines: Buffer[] = []
    for (const event of shard.events) {
      const formatted = formatLine(event, sum)
      lines.push(formatted.line)
      sum = formatted.sum
    }
    if (shard.card !== undefined) await copy(join(folder, 'job.json'), Buffer.from(shard.card))
    if (lines.length > 0) await copy(join(folder, LEDGER_COPY), Buffer.concat(lines))
  }
  return held
}

/** Several workers on one machine may copy the same job at once. */
async function copy(path: string, bytes: Buffer): Promise<void> {
  const next = `${path}.${randomUUID()}`
  const file = await nodeDisk.open(next, 'create')
  try {
    await file.write(bytes, 0)
  } finally {
    await file.close()
  }
  await nodeDisk.rename(next, path)
}

/** Opens an existing job, from the ledger if there is one. */
export async function openFound(
  { io, ledger }: Pick<Context, 'io' | 'ledger'>,
  dir: string,
  { name, state }: Pick<SoundJob, 'name' | 'state'>,
): Promise<StoredJob> {
  return await openStoredJob({
    ...{ dir, name, clock: io.clock, ledger, isFound: true },
    shard: state.shard ?? undefined,
  })
}

/** Fetches again the results that another machine stored; commands that read results need them on this disk. */
export async function restoreAnswers(
  { talk, signal }: Pick<Context, 'talk' | 'signal'>,
  job: StoredJob,
  client: AnthropicClient,
): Promise<void> {
  if (!job.shared) return
  const onWait = (why: string): void => talk.wait(why, job.clock.elapsed())
  await restoreResults(job, { client, signal, onWait })
}

/** Reads again the records that another machine spooled, for a command that otherwise reads no input. */
export async function restoreRecords(
  context: Context,
  job: StoredJob,
  found: SoundJob,
): Promise<void> {
  if (!job.input.isRefilling) return
  const { io, talk, signal } = context
  const { run: settings, rows, cwd } = rememberedBy(found)
  if (settings.input.includes('-'))
    throw new BatchStreamError(
      'CBS_INPUT',
      `the records of job ${job.name} came through a pipe and are on the disk of another machine: run the same command with the same input again`,
    )
  const reading = { format: undefined, files: 0, broken: undefined }
  try {
    const records: AsyncIterable<SourceRecord> = await openInput({
      ...{ settings, cwd, io, talk, reading, signal },
      isOwn: await ownFiles(context, [rows.output, rows.errors]),
    })
    for await (const record of records) {
      await job.input.appendOrVerify(record)
      if (!job.input.isRefilling) break
    }
  } catch (cause) {
    throw wrapError('CBS_INPUT', `the records of job ${job.name} cannot be read again`, cause)
  }
  if (job.input.isRefilling)
    throw new BatchStreamError(
      'CBS_INPUT',
      `the input has changed since job ${job.name} began: it is shorter than it was`,
    )
  await job.store.records.flush()
}
