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
import { KeptRows } from './kept-rows.ts'

export interface RowsInOrderOptions {
  readonly job: StoredJob
  /** The schema that `fetchResults` has, since rows that were held back are read again. */
  readonly schema?: AnswerSchema | undefined
}

/**
 * Gives results in input order, also those whose records are retried. A result behind one that is not here yet is dropped, as
 * its answer is on disk, and read from there when its turn comes: what is held is one bit for each record. Where submission
 * stopped, the results behind a missing one are not given; they come when the job is resumed.
 */
export function rowsInOrder(
  options: RowsInOrderOptions,
): CarryingStage<Result<object>, Result, SameType> {
  return typed(new RowsInOrder(options))
}

class RowsInOrder extends JobStage<Result> {
  readonly #kept: KeptRows
  readonly #of: StoredJob
  /** The record whose result is given next. */
  #next = 0
  /** Records whose results came before their turn. */
  readonly #early = new OrdinalSet()
  /** The batch whose last result has not come. */
  #batch: number | undefined

  constructor({ job, schema }: RowsInOrderOptions) {
    super({
      stage: 'rowsInOrder',
      takes: 'results',
      failure: { code: 'CBS_DISK', what: 'rows that were held back cannot be read' },
    })
    this.attach(job)
    this.#of = job
    this.#kept = new KeptRows(job, schema && answerCheck(schema))
  }

  protected override receive(result: Result): Promise<void> | void {
    // Every batch of a run has kept records.
    const ordinal = result.record?.ordinal as number
    if (ordinal !== this.#next) return this.#hold(result, ordinal)
    this.#batch = result.last ? undefined : result.batch.number
    this.#next += 1
    this.push(result)
    if (this.#early.has(this.#next)) return pushAll(this, this.#upToGap(), this.signal)
  }

  protected override async finish(): Promise<void> {
    const { queue } = this.#of
    if (queue.stopReason === undefined) {
      // Where a stage dropped a result, those behind it come all the same.
      for (const ordinal of this.#early) {
        if (ordinal < this.#next) continue
        this.#next = ordinal
        await pushAll(this, this.#upToGap(), this.signal)
      }
    }
    await this.reportStop(queue.unreportedStop)
  }

  protected override async cleanUp(): Promise<void> {
    await this.#kept.close()
  }

  async *#upToGap(): AsyncGenerator<Result> {
    while (this.#early.has(this.#next)) {
      const row = await this.#kept.next(this.#next)
      this.#next += 1
      // It has come, so it is on disk.
      yield row as Result
    }
  }

  /** Tells those who wait for the rows of all batches not to wait for these. */
  #hold({ batch: { number }, last }: Result, ordinal: number): void {
    this.#early.add(ordinal)
    if (this.#batch !== undefined && this.#batch !== number) this.#tell(this.#batch)
    if (last) this.#tell(number)
    this.#batch = last ? undefined : number
  }

  #tell(number: number): void {
    this.#of.tell({ type: 'held', number })
  }
}
