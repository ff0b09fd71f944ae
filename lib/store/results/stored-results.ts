import type { EndedBatch } from '../../core/flow.ts'
import type { BatchState } from '../../core/job/state.ts'
import { Result } from '../../core/results/result.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import type { BatchFiles } from '../sums.ts'
import { ResultLines } from './lines.ts'

/**
 * The answers in the stored result set of a batch, in the order of its requests. They have their line, but neither a record nor
 * a batch.
 *
 * @throws BatchStreamError `CBS_STATE` if a line was changed on disk
 */
export async function* storedResults(
  files: BatchFiles,
  { number, requests, fetched }: Pick<BatchState, 'number' | 'requests' | 'fetched'>,
  check?: AnswerCheck,
): AsyncGenerator<Result> {
  if (!fetched || fetched.lines === 0) return
  const lines = await ResultLines.open(files, number, requests)
  try {
    for (let position = 0; position < requests; position++) {
      const raw = lines.tryReadSync(position) ?? (await lines.readOn(position))
      if (!raw) continue
      // Only the line of this result is read.
      const batch = {} as EndedBatch
      yield new Result({ batch, customId: null, record: undefined, raw, last: false, check })
    }
  } finally {
    await lines.close()
  }
}
