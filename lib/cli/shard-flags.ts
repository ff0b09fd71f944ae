import { BatchStreamError } from '../core/errors.ts'
import { DEFAULT_BLOCK, MAX_SHARDS, shardDigits, type SizedShard } from '../core/shard.ts'
import type { Flags } from './flags.ts'
import type { Io } from './io.ts'
import { whole, wrongFlag } from './values.ts'

/** The shard flags of this worker. */
export interface GivenShard extends SizedShard {
  /** Whether a flag sets the block size. */
  readonly isBlockGiven: boolean
}

/** Reads --shard, --shards and --shard-block; undefined if the command processes the whole input. */
export function shardIn(flags: Flags, env: Io['env']): GivenShard | undefined {
  const text = flags.text('shard')
  const shards = flags.text('shards')
  const count = shards === undefined ? undefined : whole('--shards', shards, 1, MAX_SHARDS)
  const blockText = flags.text('shard-block')
  if (text === undefined) {
    const alone = count !== undefined ? '--shards' : '--shard-block'
    if (count === undefined && blockText === undefined) return undefined
    throw new BatchStreamError(
      'CBS_OPTION',
      `${alone} has no effect without --shard I/N or --shard auto`,
    )
  }
  const block = blockText === undefined ? DEFAULT_BLOCK : whole('--shard-block', blockText, 1)
  const place = text === 'auto' ? scheduled(count, env) : numbered(text, count)
  return { ...place, block, isBlockGiven: blockText !== undefined }
}

type ShardPlace = Pick<SizedShard, 'index' | 'count'>

function numbered(text: string, shards: number | undefined): ShardPlace {
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ?? []
  if (index === undefined || count === undefined || index >= count || count > MAX_SHARDS)
    throw wrongFlag(
      '--shard',
      `I/N with I from 0 to N-1 and N up to ${MAX_SHARDS}, or auto with --shards N`,
      text,
    )
  if (shards !== undefined && shards !== count)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--shard ${text} and --shards ${shards} disagree: leave --shards out`,
    )
  return { index, count }
}

/** How schedulers provide the index of an array task and its first index. */
const SCHEDULERS: readonly {
  readonly name: string
  readonly variable: string
  /** The variable with the index of the first task, or that index. */
  readonly first: string | number
  /** The variable with the number of tasks. */
  readonly size?: string
}[] = [
  {
    name: 'Slurm',
    variable: 'SLURM_ARRAY_TASK_ID',
    first: 'SLURM_ARRAY_TASK_MIN',
    size: 'SLURM_ARRAY_TASK_COUNT',
  },
  { name: 'Kubernetes', variable: 'JOB_COMPLETION_INDEX', first: 0 },
  {
    name: 'AWS Batch',
    variable: 'AWS_BATCH_JOB_ARRAY_INDEX',
    first: 0,
    size: 'AWS_BATCH_JOB_ARRAY_SIZE',
  },
  { name: 'GNU parallel', variable: 'PARALLEL_SEQ', first: 1 },
]

/**
 * Takes the index from the scheduler, but never the number of shards: a part of an array that is submitted again (`sbatch
 * --array=2`) reports its own first index and size, and would process another shard. Such a part is rejected.
 */
function scheduled(count: number | undefined, env: Io['env']): ShardPlace {
  if (count === undefined)
    throw new BatchStreamError(
      'CBS_OPTION',
      '--shard auto needs --shards N: schedulers provide the index of a task, but not reliably their number',
    )
  // Scripts often set an empty variable to mean "none".
  const there = SCHEDULERS.filter(({ variable }) => env[variable])
  const [only, another] = there
  if (!only)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--shard auto finds no index: none of ${SCHEDULERS.map(({ variable }) => variable).join(', ')} is set. Give --shard I/N`,
    )
  if (another)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--shard auto finds several indexes: ${there.map(({ variable }) => variable).join(' and ')} are set. Give --shard I/N`,
    )
  const { name, variable, first, size } = only
  const task = numberIn(env, variable)
  const start = typeof first === 'string' ? numberIn(env, first) : first
  const index = task - start
  if (size !== undefined && env[size] && numberIn(env, size) !== count)
    throw new BatchStreamError(
      'CBS_OPTION',
      `--shard auto: ${name} says that the array has ${env[size]} tasks (${size}), and there are --shards ${count}: start the whole array again (a finished shard costs nothing), or give --shard I/${count}`,
    )
  if (index >= 0 && index < count) return { index, count }
  const range = count === 1 ? String(start) : `${start} to ${start + count - 1}`
  throw new BatchStreamError(
    'CBS_OPTION',
    `--shard auto: ${variable}=${task} is not one of --shards ${count}: ${name} must number the tasks ${range} without gaps`,
  )
}

function numberIn(env: Io['env'], variable: string): number {
  const text = env[variable] ?? ''
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new BatchStreamError(
    'CBS_OPTION',
    `--shard auto: ${variable} must be a whole number, got "${text}"`,
  )
}

/** The path of a shard's own file: `{shard}` becomes the number of the shard. */
export function pathOfShard<Path extends string | undefined>(
  flag: string,
  path: Path,
  shard: Pick<SizedShard, 'index'> | null | undefined,
): Path {
  if (!path?.includes('{shard}')) return path
  if (!shard)
    throw new BatchStreamError(
      'CBS_OPTION',
      `${flag} ${path} has a {shard}, and this command has no --shard`,
    )
  // A path stays a path.
  return path.replaceAll('{shard}', shardDigits(shard.index)) as Path
}
