// takes  Result
// gives  Result: instead of a failure that is retried, the result of the retry
// next   a writer
import type { Job } from '../../core/job/job.ts'
import { Readable } from 'node:stream'
import { callSync } from '../../core/assert-sync.ts'
import { each, from } from '../../core/chain.ts'
import { wholeNumber, wrapError, wrongOption } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import type { Fields } from '../../core/jsonify.ts'
import { sentAfter } from '../../store/sent-records.ts'
import { OrdinalSet } from '../../store/ordinal-set.ts'
import { JobStage } from '../job-stage.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Result } from '../../core/results/result.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import { isUnsent } from '../../core/results/status.ts'
import { pushAll, typed, type CarryingStage, type SameType, type Stage } from '../../core/stage.ts'
import { type AnyTemplateOptions, maxTokensAfter, requestMaker } from '../template/template.ts'
import { isTransient } from './policy.ts'

/**
 * Tracks answers that `max_tokens` truncated, which are retried with twice as many tokens: one bit per record and attempt. It
 * is derived from the results that pass by, in a first run and in a resumed one.
 */
export class MaxTokensGrowth {
  readonly #requestOf: ReturnType<typeof requestMaker>
  readonly #maxTokensLimit: AnyTemplateOptions['maxTokensLimit']
  readonly #attempts: OrdinalSet[] = []
  #cut = new OrdinalSet()

  constructor(options: AnyTemplateOptions) {
    this.#requestOf = requestMaker(options)
    this.#maxTokensLimit = options.maxTokensLimit
  }

  /** Whether an answer was truncated and the model allows a larger `max_tokens`. */
  canGrow({ status, stopReason, record }: Result): boolean {
    if (status !== 'incomplete' || stopReason !== 'max_tokens') return false
    const request = record && this.#requestOf(record)
    if (record?.ordinal === undefined || !request || 'problem' in request) return false
    const doublings = this.doublings(record.ordinal)
    const more = maxTokensAfter(request.params, doublings + 1, this.#maxTokensLimit)
    return more > maxTokensAfter(request.params, doublings, this.#maxTokensLimit)
  }

  /** Records that a record is retried after this answer. */
  noteRetry(result: Result): void {
    const ordinal = result.record?.ordinal
    if (ordinal !== undefined && this.canGrow(result)) this.#cut.add(ordinal)
  }

  /** Called before the results of the next attempt arrive. */
  startAttempt(): void {
    this.#attempts.push(this.#cut)
    this.#cut = new OrdinalSet()
  }

  /** How often the `max_tokens` of a record is doubled in the current attempt. */
  doublings(ordinal: number): number {
    return this.#attempts.filter(cut => cut.has(ordinal)).length
  }
}

/** The maximum of the `retries` option. */
export const MAX_RETRIES = 1000

/** `F` is the type of the fields that the pipeline takes. */
export interface RetryOptions<F extends object = Fields> {
  /**
   * Maximum retries of a failed record, 0 to 1000.
   * @default 2
   */
  readonly retries?: number
  /**
   * Creates the pipeline of one attempt, numbered from 2: template, aggregate (pass it the attempt), submit, awaitEnd,
   * fetchResults.
   */
  readonly createPipeline: (attempt: number) => Stage<SourceRecord<F>, Result<object>>
  /**
   * Which results are retried while retries are left. It must be pure and synchronous. A record that was not sent
   * (`rejected`, `skipped`) is never retried.
   * @default `expired` results, and `errored` ones with `api_error`, `overloaded_error`, `rate_limit_error` or `timeout_error`
   */
  readonly shouldRetry?: (result: Result) => boolean
  /**
   * Also retries answers that `max_tokens` truncated, with twice as many tokens each time. The value is the options of the `template`
   * in the pipeline; its `maxTokensLimit` is the limit.
   * @default they are not retried
   */
  readonly growMaxTokens?: AnyTemplateOptions | undefined
  /**
   * The job of the results.
   * @default the job of the first result
   */
  readonly job?: Job | undefined
}

/**
 * Takes and emits results. Retries failures that are not caused by the request: expired requests and server errors. They are
 * sent together, in batches of their own, once every other record is answered; those that fail again are part of the next
 * attempt. Their results come last. Failed API calls are retried by the stages that make them, as their `backoff` says.
 *
 * @throws BatchStreamError `CBS_OPTION` at once for invalid options; the pipeline fails with `CBS_STAGE` if `shouldRetry` or
 * `createPipeline` throws
 */
export function retry<F extends object = Fields>(
  options: RetryOptions<F>,
): CarryingStage<Result<object>, Result, SameType> {
  if (typeof options.createPipeline !== 'function')
    throw wrongOption(
      'createPipeline',
      'a function that creates a pipeline',
      options.createPipeline,
    )
  wholeNumber('retries', options.retries ?? 2, 0, MAX_RETRIES)
  return typed(new Retry(options))
}

export class Retry extends JobStage<Result | ResultPage> {
  readonly #createPipeline: RetryOptions<never>['createPipeline']
  readonly #shouldRetry: (result: Result) => boolean
  readonly #growth: MaxTokensGrowth | undefined
  /** Records that the journal shows in a later attempt; undefined until the journal was read. */
  #retried: OrdinalSet | undefined
  /** Whether a plain succeeded answer is never retried. */
  readonly #keepsPlain: boolean
  #toRetry = new OrdinalSet()
  #hasRetries = false
  #attempt: Readable | undefined

  constructor(options: RetryOptions<never>) {
    super({
      stage: 'retry',
      takes: 'results',
      takesPages: true,
      failure: { code: 'CBS_STAGE', what: 'a retry failed' },
    })
    const retries = options.retries ?? 2
    this.#createPipeline = options.createPipeline
    this.#growth = options.growMaxTokens && new MaxTokensGrowth(options.growMaxTokens)
    const isRetriedByDefault = (result: Result): boolean =>
      isTransient(result) || (this.#growth?.canGrow(result) ?? false)
    const shouldRetry = options.shouldRetry ?? isRetriedByDefault
    this.#keepsPlain = options.shouldRetry === undefined
    // Without this limit, a `shouldRetry` that always returns true would be paid for forever.
    this.#shouldRetry = result =>
      result.batch.attempt <= retries && callSync('shouldRetry', shouldRetry, result)
    if (options.job) this.attach(options.job)
  }

  protected override receive(result: Result | ResultPage): Promise<void> | void {
    if (this.#retried) return this.#emit(result, this.#retried)
    return this.#start(result)
  }

  protected override async finish(): Promise<void> {
    const { job } = this
    if (!job) return
    for (let attempt = 2; this.#hasRetries || hasBatchesFrom(job, attempt); attempt++) {
      const sent = await sentAfter(job, attempt)
      if (this.destroyed) return
      const ordinals = this.#toRetry
      this.#toRetry = new OrdinalSet()
      this.#hasRetries = false
      this.#growth?.startAttempt()
      const records = recordsOf(job, ordinals, attempt, this.#growth)
      // It is typed for the user's own records, which these are.
      const pipeline = this.#createPipeline(attempt) as Stage<SourceRecord, Result>
      const round = from(Readable.from(records), pipeline)
      this.#attempt = round
      for await (const result of each(round)) {
        if (!this.#withholds(result, sent)) await pushAll(this, [result], this.signal)
      }
    }
    await this.reportStop(job.queue.unreportedStop)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#attempt?.destroy()
    super._destroy(error, done)
  }

  async #start(result: Result | ResultPage): Promise<void> {
    const job = this.attach(result.batch.job)
    this.#retried = await sentAfter(job, 1).catch((cause: unknown) => {
      throw wrapError('CBS_DISK', 'the earlier attempts of this job cannot be read', cause)
    })
    this.#emit(result, this.#retried)
  }

  #emit(result: Result | ResultPage, sent: OrdinalSet): void {
    if (!(result instanceof ResultPage)) {
      if (!this.#withholds(result, sent)) this.push(result)
    } else if (this.#isFinal(result, sent)) this.push(result)
    else for (const one of result) this.#emit(one, sent)
  }

  /** Whether every answer of a page is final: none of its records was retried or will be. */
  #isFinal(page: ResultPage, sent: OrdinalSet): boolean {
    if (!this.#keepsPlain || !page.isAllPlain) return false
    return !sent.hasAny(page.ordinal, page.ordinal + page.count)
  }

  /** Whether a result is not emitted because its record is retried; `sent` has the records of later attempts. */
  #withholds(result: Result, sent: OrdinalSet): boolean {
    const ordinal = result.record?.ordinal
    if (ordinal === undefined || isUnsent(result.status)) return false
    const isSent = sent.has(ordinal)
    if (!isSent && !this.#shouldRetry(result)) return false
    this.#growth?.noteRetry(result)
    if (isSent) return true
    this.#toRetry.add(ordinal)
    this.#hasRetries = true
    return true
  }
}

/** Whether the journal has batches of this attempt or a later one. */
function hasBatchesFrom(job: StoredJob, attempt: number): boolean {
  return [...job.state.batches.values()].some(
    batch => batch.attempt >= attempt && batch.phase !== 'void',
  )
}

async function* recordsOf(
  job: StoredJob,
  ordinals: OrdinalSet,
  attempt: number,
  growth: MaxTokensGrowth | undefined,
): AsyncGenerator<SourceRecord> {
  const reader = job.store.records.reader(job)
  for (const ordinal of ordinals)
    yield await reader.read(ordinal, attempt, growth?.doublings(ordinal))
}
