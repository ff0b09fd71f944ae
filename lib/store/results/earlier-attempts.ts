import type { AnswerCheck } from '../../core/schema/answer-check.ts'
import { Result } from '../../core/results/result.ts'
import type { ResultPage } from '../../core/results/result-page.ts'
import type { BatchState } from '../../core/job/state.ts'
import { firstOf } from '../../core/job/earliest.ts'
import type { StoredJob } from '../job.ts'
import { OrdinalReader, positionOf } from '../ordinals.ts'
import { ResultLines } from './lines.ts'

/** The stored lines of a batch, by the ordinals of its records. */
interface OpenBatch {
  readonly number: number
  readonly members: Float64Array
  readonly lines: ResultLines
}

/**
 * The answers of earlier attempts. A record that was sent again keeps its answer (cut, refused or invalid) if the new attempt brings none,
 * because it has expired, for example: it is paid for.
 */
export class EarlierAttempts {
  readonly #job: StoredJob
  readonly #check: AnswerCheck | undefined
  /** Earlier batches: the newest attempt first, and of one attempt the last records. */
  readonly #batches: readonly BatchState[]
  /** The batch that was read last: neighboring records are mostly in one. */
  #open: OpenBatch | undefined

  constructor(job: StoredJob, attempt: number, check: AnswerCheck | undefined) {
    this.#job = job
    this.#check = check
    this.#batches = [...job.state.batches.values()]
      .filter(({ attempt: earlier, fetched }) => earlier < attempt && (fetched?.lines ?? 0) > 0)
      .sort((a, b) => b.attempt - a.attempt || firstOf(b) - firstOf(a))
  }

  /** The rows, with the answer of an earlier attempt where a record has none of this one. */
  async completed(rows: ResultPage | readonly Result[]): Promise<ResultPage | readonly Result[]> {
    if ('isAllPlain' in rows && rows.isAllPlain) return rows
    const completed: Result[] = []
    for (const row of rows) completed.push((await this.#earlier(row)) ?? row)
    return completed
  }

  async close(): Promise<void> {
    await this.#open?.lines.close()
    this.#open = undefined
  }

  async #earlier(row: Result): Promise<Result | undefined> {
    const { batch, record, last } = row
    if (!record || row.hasAnswer) return undefined
    // Every record of a job has its place.
    const ordinal = record.ordinal as number
    // In each attempt a record is in one batch, and only batches of a first attempt know where their records end.
    let seen = 0
    for (const one of this.#batches) {
      const isPast = one.attempt === 1 && one.next <= ordinal
      if (firstOf(one) > ordinal || isPast || one.attempt === seen) continue
      const { number, members, lines } = await this.#opened(one)
      const position = positionOf(ordinal, members)
      if (position !== -1) seen = one.attempt
      const raw = position === -1 ? null : await lines.read(position)
      if (!raw) continue
      const answeredBefore = this.#job.endedBatch(number)
      const check = this.#check
      const found = new Result({ batch, answeredBefore, customId: null, record, raw, last, check })
      if (found.hasAnswer) return found
    }
    return undefined
  }

  async #opened(batch: BatchState): Promise<OpenBatch> {
    const { number, requests } = batch
    if (this.#open?.number === number) return this.#open
    await this.close()
    const { store } = this.#job
    const members = await OrdinalReader.use(store, batch, reader => reader.all())
    const opened = { number, members, lines: await ResultLines.open(store, number, requests) }
    this.#open = opened
    return opened
  }
}
