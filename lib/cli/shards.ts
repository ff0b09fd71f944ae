// The jobs of an input's shards in the state folder.
import { BatchStreamError } from '../core/errors.ts'
import {
  isSameShard,
  nameOfShards,
  otherShard,
  shardJobName,
  type SizedShard,
} from '../core/shard.ts'
import { exactUsd, parseUsd, showUsd } from '../cost/usd.ts'
import { nodeDisk } from '../store/disk.ts'
import {
  inspectJob,
  inspectJobs,
  inspectShards,
  shardNames,
  type JobOnDisk,
  type SoundJob,
  unusable,
} from '../store/inspect.ts'
import type { Context } from './context.ts'
import type { Flags } from './flags.ts'
import { inFlight, statusOf } from './job-work.ts'
import { rememberedBy } from './remembered.ts'
import { rowOptionsOf, type RowOptions } from './row-options.ts'
import { decidingSettings, type Settings } from './settings.ts'
import { pathOfShard, type GivenShard } from './shard-flags.ts'
import { stateDir } from './state-dir.ts'
import type { Talk } from './talk.ts'

/** Leaves room for the shard number in a job name. */
const MOST_NAME = 58

/** The job name of --job: that of the shard, if there is one. */
export function jobNameIn(flags: Flags, shard: SizedShard | undefined): string | undefined {
  const name = flags.text('job')
  if (!shard) return name
  if (name === undefined)
    throw new BatchStreamError(
      'CBS_OPTION',
      '--shard needs --job NAME: the shards of a job find each other by its name',
    )
  if (name.length > MOST_NAME)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--job with --shard must have at most ${MOST_NAME} characters, got ${name.length}`,
    )
  return shardJobName(name, shard.index)
}

/**
 * The settings of a shard, with its job's block size and its share of the cap. If other shards of the job are in the state
 * folder, this one must be a part of the same input, for the same requests.
 */
export async function settingsOfShard(
  settings: Settings,
  given: GivenShard,
  { flags, io, talk, ledger }: Pick<Context, 'flags' | 'io' | 'talk' | 'ledger'>,
): Promise<Settings> {
  const { isBlockGiven, ...shard } = given
  const name = String(flags.text('job'))
  // An emulated job has no other shards.
  const isFirst = flags.has('fresh') || flags.has('emulate')
  const others = isFirst ? [] : await neighbours(stateDir(flags, io.env), name, shard.index)
  const known = others.flatMap(({ name: job, state }) =>
    state?.shard ? [{ job, was: state.shard }] : [],
  )
  const block = isBlockGiven ? shard.block : (known[0]?.was.block ?? shard.block)
  for (const { job, was } of known) {
    const now = { index: was.index, count: shard.count, block }
    if (!isSameShard(now, was)) throw otherShard(job, now, was)
  }
  // A ledger enforces the cap over all shards.
  const kept = ledger ? settings : withShare(settings, shard.count, talk)
  const own: Settings = { ...kept, shard: { ...shard, block } }
  for (const other of others) {
    if (!other.state || !other.card || isSameWork(own, rememberedBy(other).run)) continue
    throw new BatchStreamError(
      'CBS_INPUT',
      `job ${other.name} was made by another command; nothing was sent. All shards of job ${name} are made by the same command: give that one, or another --job`,
    )
  }
  return own
}

/** The shard's own job, if it exists, and up to two others to compare with. */
async function neighbours(dir: string, name: string, index: number): Promise<JobOnDisk[]> {
  const names = await shardNames(nodeDisk, dir, name)
  const some = new Set([
    names[0],
    names.at(-1),
    ...names.filter(one => one === shardJobName(name, index)),
  ])
  const found = await Promise.all(
    [...some].map(one => (one === undefined ? undefined : inspectJob(nodeDisk, dir, one))),
  )
  return found.filter(job => job !== undefined)
}

/** Whether two commands ask the same, whatever their shards. */
export function isSameWork(now: Settings, then: Settings): boolean {
  const [a, b] = [now, then].map(settings => {
    const { shard: _, ...rest } = decidingSettings(settings)
    return JSON.stringify(rest)
  })
  return a === b
}

/** Without a ledger each shard enforces its share of the cap. */
function withShare(settings: Settings, count: number, talk: Talk): Settings {
  const most = settings.maxCost === undefined ? undefined : parseUsd(settings.maxCost)
  if (most === undefined || count === 1) return settings
  const share = most / BigInt(count)
  talk.info(`--max-cost ${showUsd(most)} for ${count} shards: ${showUsd(share)} for this one`)
  return { ...settings, maxCost: exactUsd(share) }
}

/** The rows of a run. Rows of a shard are in input order and go to its own files. */
export function rowsOfRun(flags: Flags, shard: SizedShard | undefined): RowOptions {
  const options = rowOptionsOf(flags)
  const placed = rowsOfShard(options, shard)
  if (!shard) return placed
  if (flags.text('order') === 'completion')
    throw new BatchStreamError(
      'CBS_OPTION',
      '--order completion cannot be combined with --shard: the rows of a shard come in input order, so that `merge` can join them',
    )
  const files = [
    ['-o', options.output, placed.output],
    ['--errors', options.errors, placed.errors],
  ] as const
  for (const [flag, path, own] of shard.count > 1 ? files : []) {
    if (path === undefined || path === '-' || path !== own) continue
    throw new BatchStreamError(
      'CBS_OPTION',
      `${flag} ${path} would be the file of all shards: put {shard} into its name`,
    )
  }
  return { ...placed, order: 'input' }
}

/** Puts the number of a shard into the names of its files. */
export function rowsOfShard(options: RowOptions, shard: SizedShard | null | undefined): RowOptions {
  const output = pathOfShard('-o', options.output, shard)
  const errors = pathOfShard('--errors', options.errors, shard)
  return { ...options, output, ...(errors !== undefined && { errors }) }
}

/**
 * All shards of a job, in order, each finished; or why not yet, where unfinished ones have batches in flight.
 *
 * @throws BatchStreamError `CBS_INPUT` that names the missing, unfinished or different ones
 */
export async function finishedShards(
  dir: string,
  name: string,
  isInLedger: boolean,
): Promise<readonly SoundJob[] | string> {
  const found = await inspectShards(nodeDisk, dir, name)
  const count = found.find(({ state }) => state)?.state?.shard?.count
  if (count === undefined) {
    const names = (await inspectJobs(nodeDisk, dir)).map(job => job.name)
    const hint = names.includes(name)
      ? `: \`claude-batch-stream results ${name}\` prints its rows`
      : '; see `claude-batch-stream list`'
    throw new BatchStreamError('CBS_OPTION', `job ${name} has no shards in ${dir}${hint}`)
  }
  const whole: SoundJob[] = []
  const missing: string[] = []
  const unfinished: string[] = []
  let isInFlight = false
  const cutShort: string[] = []
  const byName = new Map(found.map(job => [job.name, job]))
  for (let index = 0; index < count; index++) {
    const own = shardJobName(name, index)
    const job = byName.get(own)
    byName.delete(own)
    if (!job) missing.push(own)
    else if (!job.state) throw unusable(job)
    else if (job.state.shard && job.state.shard.index !== index)
      throw new BatchStreamError(
        'CBS_INPUT',
        `the folder ${own} has shard ${job.state.shard.index} of job ${name}, under the name of shard ${index}: it was copied or renamed`,
      )
    else if (job.state.finished) whole.push({ ...job, state: job.state })
    else if (job.state.spooled.broken !== null) cutShort.push(own)
    else {
      unfinished.push(own)
      isInFlight ||= inFlight(job.state).length > 0
    }
  }
  const first = whole[0]?.state.shard
  const odd = whole.find(
    ({ state }) => state.shard?.count !== count || state.shard.block !== first?.block,
  )
  const other = odd?.name ?? [...byName.keys()][0]
  if (other !== undefined)
    throw new BatchStreamError(
      'CBS_INPUT',
      `${other} and the other shards of job ${name} do not have the same number of shards and the same block size, so they are not parts of one run`,
    )
  const why = [
    ...(missing.length === 0
      ? []
      : [`not ${isInLedger ? 'started' : `in ${dir}`}: ${someOf(missing)}`]),
    ...(unfinished.length === 0 ? [] : [`not finished: ${someOf(unfinished)}`]),
    ...(cutShort.length === 0
      ? []
      : [`not finished, as their input ended too early: ${someOf(cutShort)}`]),
  ]
  if (why.length === 0) return whole
  const message = `job ${name} has ${count} shards, and nothing was written, because some are ${why.join('; ')}`
  if (isInFlight && missing.length === 0 && cutShort.length === 0) return message
  throw new BatchStreamError('CBS_INPUT', message)
}

const MOST_NAMED = 20

function someOf(names: readonly string[]): string {
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : ''
  return names.slice(0, MOST_NAMED).join(', ') + more
}

/** Whether another shard of the same job has work left, so that `merge` still needs this one. */
export function neededByOthers(jobs: readonly JobOnDisk[]): (job: JobOnDisk) => boolean {
  const unfinished = new Set(
    jobs
      .filter(job => job.state?.shard && statusOf(job) === 'unfinished')
      .map(job => nameOfShards(job.name)),
  )
  return job => job.state?.shard !== null && unfinished.has(nameOfShards(job.name))
}
