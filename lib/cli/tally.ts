import { counted } from './shown.ts'
import type { Problem } from '../core/flow.ts'
import { tokensOf } from '../cost/cost.ts'
import { Failures } from '../report/failures.ts'
import type { Result } from '../core/results/result.ts'
import { isUnsent, STATUSES, type Status } from '../core/results/status.ts'

/** Counts rows by status. */
export class RowTally {
  readonly #rows = new Map<Status, number>()
  inputTokens = 0
  outputTokens = 0
  /** Prompt tokens written to and read from the cache; `inputTokens` are the rest. */
  readonly #cache = { written: 0, read: 0 }
  #repeats = 0
  #unsent = 0
  /** Rows that have the answer of an earlier job. */
  reused = 0
  #retryable = 0
  /** The errors of failed rows, in a bounded number of kinds. */
  readonly failures: Failures = new Failures()

  /** Counts a result; `ordinal` is that of its record. */
  add(
    {
      status,
      usage,
      repeat,
      reused,
      error,
    }: Pick<Result, 'status' | 'usage'> & Partial<Pick<Result, 'repeat' | 'reused' | 'error'>>,
    ordinal?: number,
  ): void {
    if (repeat) this.#repeats += 1
    else if (isUnsent(status)) this.#unsent += 1
    if (typeof reused === 'string') this.reused += 1
    if (error && canRetry(status, error)) this.#retryable += 1
    if (error && ordinal !== undefined && status !== 'skipped')
      this.failures.add(status, error, ordinal)
    this.#rows.set(status, (this.#rows.get(status) ?? 0) + 1)
    if (!usage) return
    const { input, output, write5m, write1h, read } = tokensOf(usage)
    this.inputTokens += input
    this.outputTokens += output
    this.#cache.written += write5m + write1h
    this.#cache.read += read
  }

  get rows(): number {
    return [...this.#rows.values()].reduce((sum, rows) => sum + rows, 0)
  }

  /** Rows whose records were sent. */
  get asked(): number {
    return this.rows - this.#repeats - this.reused - this.#unsent
  }

  get failed(): number {
    return this.rows - (this.#rows.get('succeeded') ?? 0)
  }

  /** Whether a retry can change any of the failed rows. */
  get isRetryable(): boolean {
    return this.#retryable > 0
  }

  /** Rows by status, in documentation order. */
  byStatus(): Partial<Record<Status, number>> {
    return Object.fromEntries(
      STATUSES.filter(status => this.#rows.has(status)).map(status => [
        status,
        this.#rows.get(status),
      ]),
    )
  }

  toString(): string {
    const parts = Object.entries(this.byStatus()).map(([status, rows]) => `${rows} ${status}`)
    const tokens = `${this.inputTokens} input and ${this.outputTokens} output tokens`
    const repeats = this.#repeats === 0 ? '' : `; ${this.#repeats} repeat another and cost nothing`
    return `${counted(this.rows, 'row')}: ${parts.join(', ') || 'none'}${repeats}; ${tokens}${this.#hits()}`
  }

  #hits(): string {
    const { written, read } = this.#cache
    if (written + read === 0) return ''
    const share = Math.round((100 * read) / (this.inputTokens + written + read))
    return `; ${share}% of the prompt tokens came from the cache (${read} read, ${written} written)`
  }
}

/** Whether a retry can change a row. A request that the API finds invalid stays invalid. */
function canRetry(status: Status, { type }: Problem): boolean {
  return !isUnsent(status) && !(status === 'errored' && type === 'invalid_request_error')
}

/** The message about records that are skipped because they failed in an earlier run. */
export function skippedNote(count: number): string {
  return `${counted(count, 'record')} failed in an earlier run and ${count === 1 ? 'is' : 'are'} skipped (--ask-failed sends such records)`
}
