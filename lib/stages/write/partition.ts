// takes: Result
// gives: Result, those that pass; the others are written elsewhere
// next: a writer
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { callSync } from '../../core/assert-sync.ts'
import { wrapError, wrongOption } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import {
  StageTransform,
  typed,
  type CarryingStage,
  type SameType,
  type Stage,
} from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'

/** Options of `partition`. */
export interface PartitionOptions {
  /** Turns the diverted results into bytes, for example `writeJsonl()`. */
  readonly through: Stage<Result<object>, Buffer>
  /** Receives these bytes. It ends with this stage, and is destroyed if this stage fails. */
  readonly to: Writable
  /** Which results pass. @default those that succeeded */
  readonly filter?: ((result: Result) => boolean) | undefined
}

/**
 * Passes succeeded results on and writes the others elsewhere, so that together they are all results. A slow writer of either
 * slows both down. The stage ends when the diverted rows are written; if that fails, the stage fails with `CBS_DISK`.
 */
export function partition(
  options: PartitionOptions,
): CarryingStage<Result<object>, Result, SameType> {
  const { through, to, filter = succeeded } = options
  if (typeof through?.pipe !== 'function') throw wrongOption('through', 'a writer', through)
  if (typeof to?.write !== 'function') throw wrongOption('to', 'a writable stream', to)
  if (typeof filter !== 'function') throw wrongOption('filter', 'a function', filter)
  const written = pipeline(through, to).then(
    () => undefined,
    cause => wrapError('CBS_DISK', 'cannot write the failed rows', cause),
  )
  const stage = new StageTransform({
    objectMode: true,
    transform(result: Result, _encoding, done) {
      const wrong = wrongInputError('partition', 'results', result)
      if (wrong) return done(wrong)
      let passes
      try {
        passes = callSync('filter', filter, result)
      } catch (cause) {
        // callSync throws only errors.
        return done(cause as Error)
      }
      if (passes) return done(null, result)
      // An error of the writer arrives through `written`, which has its cause.
      through.write(result, error => {
        if (!error) done()
      })
    },
    flush(done) {
      through.end()
      written
        .then(error => (error ? Promise.reject(error) : stage.reportStop()))
        .then(() => done(), done)
    },
    destroy(error, done) {
      if (!through.writableFinished) through.destroy(error ?? undefined)
      done(error)
    },
  })
  void written.then(error => error && stage.destroy(error))
  return typed(stage)
}

function succeeded(result: Result): boolean {
  return result.status === 'succeeded'
}
