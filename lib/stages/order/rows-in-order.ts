// takes  Result, in any order
// gives  Result, in the order of the records
// next   a writer
import { OrdinalSet } from '../../store/ordinal-set.ts'
import { JobStage } from '../job-stage.ts'
import type { StoredJob } from '../../store/job.ts'
import { answerCheck } from '../../core/schema/answer-check.ts'
import type { AnswerSchema } from '../../core/schema/answer-schema.ts'
import type { Result } from '../../core/results/result.ts'
import { pushAll, typed, type CarryingStage, type SameType } from '../../core/stage.ts'
import { StoredRows } from './stored-rows.ts'

export interface RowsInOrderOptions {
  readonly job: StoredJob
  /** The schema of `fetchResults`, since deferred rows are read again. */
  readonly schema?: AnswerSchema | undefined
}

/**
 * Emits results in input order, including those of retried records. A result that is not next is dropped and read from disk in
 * its turn, so only one bit per record is held. If submission stopped, the results after a missing one are not emitted; they
 * follow when the job is resumed.
 */
export function rowsInOrder(
  options: RowsInOrderOptions,
): CarryingStage<Result<object>, Result, SameType> {
  return typed(new RowsInOrder(options))
}

class RowsInOrder extends JobStage<Result> {
  readonly #storedRows: StoredRows
  readonly #storedJob: StoredJob
  /** The record whose result is next. */
  #next = 0
  /** Records whose results arrived early. */
  readonly #early = new OrdinalSet()
  /** The batch whose last result has not arrived. */
  #batch: number | undefined

  constructor({ job, schema }: RowsInOrderOptions) {
    super({
      stage: 'rowsInOrder',
      takes: 'results',
      failure: { code: 'CBS_DISK', what: 'cannot read rows that wait for earlier ones' },
    })
    this.attach(job)
    this.#storedJob = job
    this.#storedRows = new StoredRows(job, schema && answerCheck(schema), this.signal)
  }

  protected override receive(result: Result): Promise<void> | void {
    // Every batch of a run has spooled records.
    const ordinal = result.record?.ordinal as number
    if (ordinal !== this.#next) return this.#defer(result, ordinal)
    this.#batch = result.last ? undefined : result.batch.number
    this.#next += 1
    this.push(result)
    if (this.#early.has(this.#next)) return pushAll(this, this.#upToGap(), this.signal)
  }

  protected override async finish(): Promise<void> {
    const { queue } = this.#storedJob
    if (queue.stopReason === undefined) {
      // If a stage dropped a result, emit those after it all the same.
      for (const ordinal of this.#early) {
        if (ordinal < this.#next) continue
        this.#next = ordinal
        await pushAll(this, this.#upToGap(), this.signal)
      }
    }
    await this.reportStop(queue.unreportedStop)
  }

  protected override async cleanUp(): Promise<void> {
    await this.#storedRows.close()
  }

  async *#upToGap(): AsyncGenerator<Result> {
    while (this.#early.has(this.#next)) {
      const row = await this.#storedRows.next(this.#next)
      this.#next += 1
      // It has arrived, so it is on disk.
      yield row as Result
    }
  }

  /** Defers a result, and reports its batch as held so that nothing waits for its rows. */
  #defer({ batch: { number }, last }: Result, ordinal: number): void {
    this.#early.add(ordinal)
    if (this.#batch !== undefined && this.#batch !== number) this.#reportHeld(this.#batch)
    if (last) this.#reportHeld(number)
    this.#batch = last ? undefined : number
  }

  #reportHeld(number: number): void {
    this.#storedJob.emit({ type: 'held', number })
  }
}
