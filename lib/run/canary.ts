import type { SealedBatch } from '../core/flow.ts'
import type { StoredJob } from '../store/job.ts'
import { nextUnbatched, type BatchState } from '../core/job/state.ts'
import { storedResults } from '../store/results/stored-results.ts'
import type { AnswerCheck } from '../core/schema/answer-check.ts'

export interface CanaryOptions {
  readonly job: Pick<StoredJob, 'state' | 'when' | 'batch' | 'store'>
  /** Number of records in the canary. */
  readonly records: number
  readonly check?: AnswerCheck | undefined
  /**
   * Whether this run waits for batches in flight, so that waiting for them is useful.
   * @default true
   */
  readonly drains?: boolean
  /**
   * Whether the user continues after the warning of an earlier run, if there was one.
   * @default true
   */
  readonly continues?: boolean
}

/**
 * Holds a job back until its first records are answered. The decision is based on disk: the journal's batches that cover
 * only those records, and their stored results. If none of them succeeds, submission stops until the user resumes the job
 * after the warning.
 */
export class Canary {
  readonly #options: CanaryOptions
  #verdict: Promise<string | undefined> | undefined
  #stopped: string | undefined
  #isHeld = false

  constructor(options: CanaryOptions) {
    this.#options = options
  }

  /** Why submission stopped; undefined while it has not. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /** Whether the rest was left to a run that waits for the answers. */
  get isHeld(): boolean {
    return this.#isHeld
  }

  /** Whether all records of the canary are in batches, and the rest waits for their answers. */
  get isHolding(): boolean {
    const { state } = this.#options.job
    if (this.#isOff || nextUnbatched(state) < this.#options.records) return false
    return this.#batches().some(({ fetched }) => fetched === null)
  }

  /** Whether the user has decided to continue in any case. */
  get #isOff(): boolean {
    const { job, continues = true } = this.#options
    return continues && job.state.warned
  }

  /** Whether a batch does not wait for the canary: it is part of it, or a retry. */
  isExempt(batch: BatchState): boolean {
    return batch.attempt > 1 || this.#covers(batch)
  }

  /** Decides whether a batch may be sent. A batch of the canary goes at once; others wait for the canary. */
  async approve({ number }: Pick<SealedBatch, 'number'>, signal: AbortSignal): Promise<boolean> {
    const { job, drains = true } = this.#options
    if (this.#isOff || this.isExempt(job.batch(number))) return true
    const isHere = (): boolean => this.#batches().every(({ fetched }) => fetched !== null)
    if (!isHere() && !drains) {
      this.#isHeld = true
      return false
    }
    await job.when(isHere, signal)
    this.#verdict ??= this.#judge()
    this.#stopped = await this.#verdict
    return this.#stopped === undefined
  }

  #covers({ next }: BatchState): boolean {
    return next <= this.#options.records
  }

  #batches(): BatchState[] {
    return [...this.#options.job.state.batches.values()].filter(
      batch => batch.attempt === 1 && batch.phase !== 'void' && this.#covers(batch),
    )
  }

  /** Why submission must stop; undefined if at least one answer succeeded. */
  async #judge(): Promise<string | undefined> {
    const { job, check } = this.#options
    const batches = this.#batches()
    // A job that was started without a canary has none.
    if (batches.length === 0) return undefined
    // Answers that are reused were good enough, and nothing was sent that could say more.
    if (batches.every(({ requests }) => requests === 0) && batches.some(({ reused }) => reused))
      return undefined
    let why: string | undefined
    for (const batch of batches) {
      for await (const { status, error } of storedResults(job.store, batch, check)) {
        if (status === 'succeeded') return undefined
        why ??= `${status}: ${error?.message}`
      }
    }
    const records = batches.reduce((sum, batch) => sum + batch.records, 0)
    return `none of the first ${records} records was answered (${why ?? 'the API gave no line for any of them'})`
  }
}
