import { BatchStreamError, wholeNumber } from './errors.ts'

/** The part of an input that one worker processes: block k of its records belongs to shard k mod `count`. */
export interface Shard {
  /** From 0 to `count` - 1. */
  readonly index: number
  /** Number of shards of the input, at most 100,000. */
  readonly count: number
  /**
   * Records per block.
   * @default 100
   */
  readonly block?: number | undefined
}

/** A shard with its block size filled in. */
export type SizedShard = Shard & {
  /** Records per block. */
  readonly block: number
}

/** Default records per block: few enough to balance small inputs. */
export const DEFAULT_BLOCK = 100

/** Five digits name a shard. */
export const MAX_SHARDS = 100_000

/**
 * Checks a shard and fills in defaults.
 * @throws BatchStreamError `CBS_OPTION` if a number is out of range
 */
export function checkShard({ index, count, block = DEFAULT_BLOCK }: Shard): SizedShard {
  wholeNumber('shard.count', count, 1, MAX_SHARDS)
  wholeNumber('shard.index', index, 0, count - 1)
  wholeNumber('shard.block', block, 1, Infinity)
  return { index, count, block }
}

/** Whether the record at this position of the whole input belongs to the shard. */
export function isInShard({ index, count, block }: SizedShard, position: number): boolean {
  return Math.floor(position / block) % count === index
}

/** The number of an input's records that belong to the shard. */
export function shardRecords({ index, count, block }: SizedShard, total: number): number {
  const blocks = Math.floor(total / block)
  const whole = Math.floor(blocks / count) + (index < blocks % count ? 1 : 0)
  return whole * block + (blocks % count === index ? total % block : 0)
}

/** The number of a shard in file and job names: five digits, so that names sort by shard. */
export function shardDigits(index: number): string {
  return String(index).padStart(5, '0')
}

/** The job of a shard: `nightly.00002`. */
export function shardJobName(name: string, index: number): string {
  return `${name}.${shardDigits(index)}`
}

/** The common name of a job's shards; undefined if the name has no shard number. */
export function nameOfShards(jobName: string): string | undefined {
  return /^(.+)\.\d{5}$/.exec(jobName)?.[1]
}

export function isSameShard(one: SizedShard, other: SizedShard | null): boolean {
  return (
    other !== null &&
    one.index === other.index &&
    one.count === other.count &&
    one.block === other.block
  )
}

/** The error of a job that was started as another shard. */
export function otherShard(
  job: string,
  now: SizedShard,
  then: SizedShard | null,
): BatchStreamError {
  const was = then === null ? 'was started without shards' : `was started as ${describeShard(then)}`
  return new BatchStreamError(
    'CBS_INPUT',
    `job ${job} ${was}, not as ${describeShard(now)}; nothing was sent. The number of shards and the block size of a job cannot change: use the same ones, or another job name`,
  )
}

export function describeShard({ index, count, block }: SizedShard): string {
  return `shard ${index}/${count} with blocks of ${block} records`
}
