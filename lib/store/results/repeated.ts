import { storedJob } from '../job.ts'
import type { EndedBatch, SourceRecord } from '../../core/flow.ts'
import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import type { DedupeAnswer } from './dedupe-answers.ts'
import { Result } from '../../core/results/result.ts'
import { unanswered } from '../../core/results/status.ts'

/** The result of a record that shares the answer of an identical one: the same answer, without usage or cost. */
export function repeated(
  batch: EndedBatch,
  record: SourceRecord,
  first: DedupeAnswer,
  { last, check }: { readonly last: boolean; readonly check: AnswerCheck | undefined },
): Result {
  const { raw, rejection } = first
  const answeredIn = storedJob(batch.job).endedBatch(first.batch.number)
  const common = { batch, answeredIn, record, last, check, raw, customId: null }
  if (raw) return new Result(common)
  if (!rejection) {
    const problem = unanswered(first.batch.fetched?.why)
    return new Result({ ...common, without: { status: 'unanswered', problem } })
  }
  const { type, message } = rejection
  const problem = { type, message }
  return new Result({ ...common, without: { status: 'rejected', problem } })
}
