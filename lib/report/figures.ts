import { Bill } from '../cost/ledger.ts'
import { tokensOf } from '../cost/cost.ts'
import { CostLedger } from '../cost/ledger.ts'
import type { PriceOf } from '../cost/price.ts'
import type { AnswerMetadata } from '../store/results/stored-answers.ts'
import type { Result } from '../core/results/result.ts'
import type { Status } from '../core/results/status.ts'
import { Failures } from './failures.ts'
import { Histogram } from './histogram.ts'

/** The maximum number of attempts shown; later ones count as the last. */
export const MAX_ATTEMPTS = 20

export type StatusCounts = Partial<Record<Status, number>>

/** Statistics of a job's answers, collected in one pass and in constant memory. */
export class ReportFigures {
  /** Statuses of the newest answer of each record. */
  readonly rows: StatusCounts = {}
  /** Statuses of the requests of each attempt. */
  readonly tries: StatusCounts[] = []
  /** Rows that share the answer of an identical request. */
  repeats = 0
  /** Rows that have the answer of an earlier job. */
  reused = 0
  /** Tokens of each prompt, including cached ones, and of each answer. */
  readonly prompts: Histogram = new Histogram()
  readonly answers: Histogram = new Histogram()
  /** Answers whose prompt was partly read from the cache. */
  hits = 0
  readonly ledger: CostLedger
  readonly bill: Bill
  readonly failures: Failures = new Failures()

  constructor(priceOf: PriceOf) {
    this.ledger = new CostLedger(priceOf)
    this.bill = new Bill(priceOf)
  }

  add(result: Result, { batch, ordinal, isAsked, isNewest }: AnswerMetadata): void {
    const { status, usage, error } = result
    if (isAsked) count((this.tries[Math.min(batch.attempt, MAX_ATTEMPTS) - 1] ??= {}), status)
    if (isNewest) {
      count(this.rows, status)
      if (result.repeat) this.repeats += 1
      if (result.reused !== null) this.reused += 1
      if (error) this.failures.add(status, error, ordinal)
    }
    this.ledger.add(result)
    this.bill.add(result)
    if (!usage) return
    const { input, output, write5m, write1h, read } = tokensOf(usage)
    this.prompts.add(input + write5m + write1h + read)
    this.answers.add(output)
    if (read > 0) this.hits += 1
  }
}

function count(counts: StatusCounts, status: Status): void {
  counts[status] = (counts[status] ?? 0) + 1
}
