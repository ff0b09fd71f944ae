import { wrapError } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import { StageTransform, typed, type Stage } from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import { eachRow, type PageRowsOf } from './page-rows.ts'

/** Makes the bytes of one row, including the newline; undefined for a result without a row. */
export type RowOf = (result: Result) => Buffer | undefined

/** Bytes that may wait for the reader. */
const BUFFERED_BYTES = 64 * 1024

/**
 * The Transform shared by all writers: results in, one chunk of bytes per row or page out. `last` returns bytes for the end.
 */
export function rowStream(
  rowOf: RowOf,
  last: () => Buffer | undefined = () => undefined,
  pageRowsOf: PageRowsOf = eachRow(rowOf),
): Stage<Result<object>, Buffer> {
  /** Pushes slices of a long row; returns the bytes of a whole page for the caller to push. */
  const push = (page: ResultPage): Buffer | undefined => {
    const made = pageRowsOf(page)
    // The buffer is valid only until the next page.
    const whole = Buffer.isBuffer(made) ? Buffer.from(made) : undefined
    if (whole) page.release()
    else for (const slice of made) rows.push(slice)
    return whole
  }
  const rows = new StageTransform({
    writableObjectMode: true,
    readableHighWaterMark: BUFFERED_BYTES,
    takesPages: true,
    transform(result: Result | ResultPage, _encoding, done) {
      const isPage = result instanceof ResultPage
      const wrong = isPage ? undefined : wrongInputError('a writer', 'results', result)
      if (wrong) return done(wrong)
      let row
      try {
        row = isPage ? push(result) : rowOf(result)
      } catch (cause) {
        return done(wrapError('CBS_STAGE', 'cannot write a row', cause))
      }
      done(null, row)
    },
    flush(done) {
      const end = last()
      if (end) rows.push(end)
      rows.reportStop().then(() => done(), done)
    },
  })
  return typed(rows)
}
