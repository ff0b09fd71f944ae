// takes  SourceRecord: all records of the input
// gives  the records of one shard
// next   template, or spool
import { createHash } from 'node:crypto'
import type { TransformCallback } from 'node:stream'
import type { SourceRecord } from '../../core/flow.ts'
import { StageTransform, typed, type CarryingStage, type SameType } from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { checkShard, isInShard, type Shard, type SizedShard } from '../../core/shard.ts'

/**
 * Passes the records of one shard and drops the others, so that several workers can read the same input: blocks of records
 * are dealt out in turn. Every record is in exactly one shard of `count`. Put it right after the parser: a dropped record
 * costs no further work, and a record's `line` stays its line in the whole input.
 *
 * Throws `CBS_OPTION` if `index`, `count` or `block` is out of range.
 */
export function shard(options: Shard): CarryingStage<SourceRecord<object>, SourceRecord, SameType> {
  return typed(new ShardStage(checkShard(options)))
}

/** The stage, with the number of records of the whole input. */
export class ShardStage extends StageTransform {
  readonly #shard: SizedShard
  readonly #hash = createHash('sha256')
  #seen = 0

  constructor(shard: SizedShard) {
    super({ objectMode: true })
    this.#shard = shard
  }

  /** Records received, including those of other shards. */
  get seen(): number {
    return this.#seen
  }

  /** A hash of all records received, in their order: the same for all shards of one input. Called once. */
  hash(): string {
    return this.#hash.digest('hex')
  }

  override _transform(
    record: SourceRecord,
    _encoding: BufferEncoding,
    done: TransformCallback,
  ): void {
    const wrong = wrongInputError('shard', 'records', record)
    if (wrong) return done(wrong)
    this.#hash.update(record.raw).update('\n')
    if (isInShard(this.#shard, this.#seen++)) done(null, record)
    else done()
  }
}
