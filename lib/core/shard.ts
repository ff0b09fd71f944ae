import { BatchStreamError, wholeNumber } from './errors.ts'

/** The part of an input that one worker takes: block k of its records belongs to shard k mod `count`. */
export interface Shard {
  /** From 0 to `count` - 1. */
  readonly index: number
  /** How many shards share the input, at most 100,000. */
  readonly count: number
  /** Records in a block. @default 100 */
  readonly block?: number | undefined
}

/** A shard whose block size is decided. */
export type SizedShard = Shard & { readonly block: number }

/** Records in a block by default: few enough to balance small inputs. */
export const DEFAULT_BLOCK = 100

/** Five digits name a shard. */
export const MAX_SHARDS = 100_000

/** Checks a shard; `CBS_OPTION` where a number is out of range. */
export function checkShard({ index, count, block = DEFAULT_BLOCK }: Shard): SizedShard {
  wholeNumber('shard.count', count, 1, MAX_SHARDS)
  wholeNumber('shard.index', index, 0, count - 1)
  wholeNumber('shard.block', block, 1, Infinity)
  return { index, count, block }
}

/** Does the record at this position of the whole input belong to the shard? */
export function isInShard({ index, count, block }: SizedShard, position: number): boolean {
  return Math.floor(position / block) % count === index
}

/** How many of an input's records belong to the shard. */
export function shardRecords({ index, count, block }: SizedShard, total: number): number {
  const blocks = Math.floor(total / block)
  const whole = Math.floor(blocks / count) + (index < blocks % count ? 1 : 0)
  return whole * block + (blocks % count === index ? total % block : 0)
}

/** The number of a shard as file names and job names have it: five digits, so that names sort as the shards do. */
export function shardDigits(index: number): string {
  return String(index).padStart(5, '0')
}

/** The job of a shard: `nightly.00002`. */
export function shardJobName(name: string, index: number): string {
  return `${name}.${shardDigits(index)}`
}

/** The name that the shards of a job have in common; undefined where a name has no number of a shard. */
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

/** The error of a job that was begun as another part of its input. */
export function otherShard(
  job: string,
  now: SizedShard,
  then: SizedShard | null,
): BatchStreamError {
  const was = then === null ? 'was begun without shards' : `was begun as ${describeShard(then)}`
  return new BatchStreamError(
    'CBS_INPUT',
    `job ${job} ${was}, not as ${describeShard(now)}; nothing was sent. The number of shards and the block size of a job never change: give the same, or another job name`,
  )
}

export function describeShard({ index, count, block }: SizedShard): string {
  return `shard ${index}/${count} with blocks of ${block} records`
}
