import { Transform } from 'node:stream'
import { wrapError } from '../errors.ts'
import type { Result } from '../results/result.ts'
import { typed, type Stage } from '../stage.ts'
import { misplaced } from '../takes.ts'

/** Makes the bytes of one row, line end included; undefined for a result that has no row. */
export type RowOf = (result: Result) => Buffer | undefined

/** Bytes that may wait for the reader before results do. */
const BUFFERED_BYTES = 64 * 1024

/** The jacket of every writer: results in, one chunk of bytes per row out. `last` is asked for bytes at the end. */
export function rowStream(
  rowOf: RowOf,
  last: () => Buffer | undefined = () => undefined,
): Stage<Result, Buffer> {
  return typed(
    new Transform({
      writableObjectMode: true,
      readableHighWaterMark: BUFFERED_BYTES,
      transform(result: Result, _encoding, done) {
        const wrong = misplaced('a writer', 'results', result)
        if (wrong) return done(wrong)
        let row
        try {
          row = rowOf(result)
        } catch (cause) {
          return done(wrapError('CBS_STAGE', 'a row could not be written', cause))
        }
        done(null, row)
      },
      flush(done) {
        done(null, last())
      },
    }),
  )
}
