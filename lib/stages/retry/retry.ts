// takes  Result
// gives  Result: where a failure is worth another try, the answer to that one instead
// next   a writer
import type { Job } from '../../core/job/job.ts'
import { Readable } from 'node:stream'
import { assertSync } from '../../core/assert-sync.ts'
import { each, from } from '../../core/chain.ts'
import { wholeNumber, wrapError, wrongOption } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import type { Fields } from '../../core/jsonify.ts'
import { askedAfter } from '../../store/sent-records.ts'
import { OrdinalSet } from '../../store/ordinal-set.ts'
import { JobStage } from '../job-stage.ts'
import type { StoredJob } from '../../store/job.ts'
import type { Result } from '../../core/results/result.ts'
import { ResultPage } from '../../core/results/result-page.ts'
import { isUnsent } from '../../core/results/status.ts'
import { pushAll, typed, type CarryingStage, type SameType, type Stage } from '../../core/stage.ts'
import { type AnyTemplateOptions, grownMaxTokens, requestMaker } from '../template/template.ts'
import { isPassing } from './policy.ts'

/**
 * Which answers `max_tokens` has cut, so that they are retried with twice as many: one bit for each record and try. It
 * is derived from the results as they come by, in a first run as in a resumed one.
 */
export class MaxTokensGrowth {
  readonly #requestOf: ReturnType<typeof requestMaker>
  readonly #mostTokens: AnyTemplateOptions['mostTokens']
  readonly #tries: OrdinalSet[] = []
  #now = new OrdinalSet()

  constructor(options: AnyTemplateOptions) {
    this.#requestOf = requestMaker(options)
    this.#mostTokens = options.mostTokens
  }

  /** Was this answer cut, and would the model take a larger `max_tokens`? */
  helps({ status, stopReason, record }: Result): boolean {
    if (status !== 'incomplete' || stopReason !== 'max_tokens') return false
    const asked = record && this.#requestOf(record)
    if (record?.ordinal === undefined || !asked || 'problem' in asked) return false
    const doublings = this.doublings(record.ordinal)
    const more = grownMaxTokens(asked.params, doublings + 1, this.#mostTokens)
    return more > grownMaxTokens(asked.params, doublings, this.#mostTokens)
  }

  /** Remembers that a record is retried after this answer. */
  take(result: Result): void {
    const ordinal = result.record?.ordinal
    if (ordinal !== undefined && this.helps(result)) this.#now.add(ordinal)
  }

  /** From now on results of the next try come. */
  next(): void {
    this.#tries.push(this.#now)
    this.#now = new OrdinalSet()
  }

  /** How often the `max_tokens` of a record is doubled in the try that is going on. */
  doublings(ordinal: number): number {
    return this.#tries.filter(cut => cut.has(ordinal)).length
  }
}

/** New tries of a record that can be asked for. */
export const MOST_TRIES = 1000

/** `F` is the type of the fields that the pipeline takes. */
export interface RetryOptions<F extends object = Fields> {
  /**
   * Maximum retries of a failed record, 0 to 1000.
   * @default 2
   */
  readonly retries?: number
  /**
   * Makes the pipeline of one attempt, from 2: template, aggregate (pass it the attempt), submit, awaitEnd, fetchResults.
   */
  readonly createPipeline: (attempt: number) => Stage<SourceRecord<F>, Result<object>>
  /**
   * Which results are retried while retries are left. It must be pure and synchronous. A record that was not sent
   * (`rejected`, `skipped`) is never retried.
   * @default `expired` results, and `errored` ones with `api_error`, `overloaded_error`, `rate_limit_error` or `timeout_error`
   */
  readonly shouldRetry?: (result: Result) => boolean
  /**
   * Also retry answers that `max_tokens` cut, with twice as many tokens each time. The value is the options of the `template`
   * in the pipeline; its `mostTokens` is the limit.
   * @default they are not retried
   */
  readonly growMaxTokens?: AnyTemplateOptions | undefined
  /**
   * The job of the results.
   * @default the one that results come with
   */
  readonly job?: Job | undefined
}

/**
 * Retries failures that say nothing about the request: expired requests and server errors. They are sent together, in batches
 * of their own, once every other record is answered; those that fail again go into the next attempt. Their results come last.
 * The waits between tries of an API call are the `backoff` of the stages that make calls.
 *
 * @throws BatchStreamError `CBS_OPTION` at once for invalid options; the pipeline fails with `CBS_STAGE` if `shouldRetry` or
 * `createPipeline` throws
 */
export function retry<F extends object = Fields>(
  options: RetryOptions<F>,
): CarryingStage<Result<object>, Result, SameType> {
  if (typeof options.createPipeline !== 'function')
    throw wrongOption('createPipeline', 'a function that makes a pipeline', options.createPipeline)
  wholeNumber('retries', options.retries ?? 2, 0, MOST_TRIES)
  return typed(new Retry(options))
}

export class Retry extends JobStage<Result | ResultPage> {
  readonly #createPipeline: RetryOptions<never>['createPipeline']
  readonly #shouldRetry: (result: Result) => boolean
  readonly #longer: MaxTokensGrowth | undefined
  /** Records that a later attempt has asked already, by the journal; undefined until that has been read. */
  #asked: OrdinalSet | undefined
  /** Whether a plain answer that succeeded is never retried. */
  readonly #passesPlain: boolean
  #again = new OrdinalSet()
  #holds = false
  #round: Readable | undefined

  constructor(options: RetryOptions<never>) {
    super({
      stage: 'retry',
      takes: 'results',
      takesPages: true,
      failure: { code: 'CBS_STAGE', what: 'a retry failed' },
    })
    const retries = options.retries ?? 2
    this.#createPipeline = options.createPipeline
    this.#longer = options.growMaxTokens && new MaxTokensGrowth(options.growMaxTokens)
    const isWorthIt = (result: Result): boolean =>
      isPassing(result) || (this.#longer?.helps(result) ?? false)
    const shouldRetry = options.shouldRetry ?? isWorthIt
    this.#passesPlain = options.shouldRetry === undefined
    // Without a bound a `shouldRetry` that says yes to everything would be paid for without an end.
    this.#shouldRetry = result =>
      result.attempt <= retries && assertSync('shouldRetry', shouldRetry(result))
    if (options.job) this.attach(options.job)
  }

  protected override receive(result: Result | ResultPage): Promise<void> | void {
    if (this.#asked) return this.#pass(result, this.#asked)
    return this.#begin(result)
  }

  protected override async finish(): Promise<void> {
    const { job } = this
    if (!job) return
    for (let attempt = 2; this.#holds || hasAttempt(job, attempt); attempt++) {
      const asked = await askedAfter(job, attempt)
      if (this.destroyed) return
      const again = this.#again
      this.#again = new OrdinalSet()
      this.#holds = false
      const longer = this.#longer
      longer?.next()
      const records = recordsOf(job, again, attempt, longer)
      // It is typed for the records that it was made for, and gives their results.
      const pipeline = this.#createPipeline(attempt) as Stage<SourceRecord, Result>
      const round = from(Readable.from(records), pipeline)
      this.#round = round
      for await (const result of each(round)) {
        if (!this.#holdsBack(result, asked)) await pushAll(this, [result], this.signal)
      }
    }
    await this.reportStop(job.queue.unreportedStop)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#round?.destroy()
    super._destroy(error, done)
  }

  async #begin(result: Result | ResultPage): Promise<void> {
    const job = this.attach(result.batch.job)
    this.#asked = await askedAfter(job, 1).catch((cause: unknown) => {
      throw wrapError('CBS_DISK', 'the earlier attempts of this job cannot be read', cause)
    })
    this.#pass(result, this.#asked)
  }

  #pass(result: Result | ResultPage, asked: OrdinalSet): void {
    if (!(result instanceof ResultPage)) {
      if (!this.#holdsBack(result, asked)) this.push(result)
    } else if (this.#passesWhole(result, asked)) this.push(result)
    else for (const one of result) this.#pass(one, asked)
  }

  /** Whether all of a page is answered for good: none of it was retried, and none will be. */
  #passesWhole(page: ResultPage, asked: OrdinalSet): boolean {
    if (!this.#passesPlain || !page.isAllPlain) return false
    return !asked.hasAny(page.ordinal, page.ordinal + page.count)
  }

  #holdsBack(result: Result, asked: OrdinalSet): boolean {
    const ordinal = result.record?.ordinal
    if (ordinal === undefined || isUnsent(result.status)) return false
    const isAsked = asked.has(ordinal)
    if (!isAsked && !this.#shouldRetry(result)) return false
    this.#longer?.take(result)
    if (isAsked) return true
    this.#again.add(ordinal)
    this.#holds = true
    return true
  }
}

/** True while the journal has batches of this try or a later one. */
function hasAttempt(job: StoredJob, attempt: number): boolean {
  return [...job.state.batches.values()].some(
    batch => batch.attempt >= attempt && batch.phase !== 'void',
  )
}

async function* recordsOf(
  job: StoredJob,
  ordinals: OrdinalSet,
  attempt: number,
  longer: MaxTokensGrowth | undefined,
): AsyncGenerator<SourceRecord> {
  const reader = job.store.records.reader(job)
  for (const ordinal of ordinals)
    yield await reader.read(ordinal, attempt, longer?.doublings(ordinal))
}
