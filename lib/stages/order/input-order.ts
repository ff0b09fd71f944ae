// takes  EndedBatch, in any order
// gives  EndedBatch, in the order of their records
// next   fetchResults
import type { EndedBatch } from '../../core/flow.ts'
import { StageTransform, typed, type CarryingStage, type SameType } from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { earliest } from '../../core/job/earliest.ts'
import { storedJob } from '../../store/job.ts'

/**
 * Takes and emits ended batches. Holds ended batches back until all earlier ones have ended, so that rows are in input order over the whole job, also when it
 * is resumed. Only a few words per batch are held: the answers stay with the API, which stores them for 29 days. Rows of
 * records that `retry` sends again come when their answer does.
 */
export function inputOrder(): CarryingStage<EndedBatch<object>, EndedBatch, SameType> {
  const held = new Map<number, EndedBatch>()
  const given = new Set<number>()
  const ordered = new StageTransform({
    objectMode: true,
    highWaterMark: 1,
    transform(batch: EndedBatch, _encoding, done) {
      const wrong = wrongInputError('inputOrder', 'ended batches', batch)
      if (wrong) return done(wrong)
      held.set(batch.number, batch)
      const { batches } = batch.job.state
      for (;;) {
        const next = held.get(earliest(batches.values(), batch.attempt, given)?.number ?? 0)
        if (!next) break
        held.delete(next.number)
        given.add(next.number)
        this.push(next)
      }
      for (const number of held.keys()) storedJob(batch.job).queue.settleLeftBehind(number)
      done()
    },
    flush(done) {
      // If a user's stage dropped a batch, emit those after it all the same.
      for (const batch of held.values()) this.push(batch)
      ordered.reportStop().then(() => done(), done)
    },
  })
  return typed(ordered)
}
