// takes  Result
// gives  Result: where a failure is worth another try, the answer to that one instead
// next   a writer
import { Readable, Transform, type TransformCallback } from 'node:stream'
import { atOnce } from '../at-once.ts'
import { each, from } from '../chain.ts'
import { wholeNumber, wrapError, wrongOption } from '../errors.ts'
import type { SourceRecord } from '../flow.ts'
import { askedAfter } from '../job/asked.ts'
import { Bits } from '../job/bits.ts'
import type { Job } from '../job/job.ts'
import type { Result } from '../results/result.ts'
import { isUnsent } from '../results/status.ts'
import { give, pushAll, typed, type Stage } from '../stage.ts'
import { misplaced } from '../takes.ts'
import type { TemplateOptions } from '../template/options.ts'
import { Longer } from './longer.ts'
import { isPassing } from './policy.ts'

/** New tries of a record that can be asked for. */
export const MOST_TRIES = 1000

export interface RetryOptions {
  /**
   * New tries of a record at most.
   * @default 2
   */
  readonly attempts?: number
  /**
   * Makes the pipeline that asks again: template, aggregate (which is told the attempt), submit, awaitEnd, fetchResults. Each
   * try has a pipeline of its own.
   */
  readonly through: (attempt: number) => Stage<SourceRecord, Result>
  /**
   * Which results are asked again, while attempts are left.
   * @default expired rows and server errors
   */
  readonly ask?: (result: Result) => boolean
  /**
   * Ask again for answers that max_tokens has cut, with twice as many: these are the options of the `template` in `through`,
   * whose `mostTokens` says how far that may go.
   */
  readonly longer?: TemplateOptions | undefined
  /** The job of the results. */
  readonly job?: Job | undefined
}

/**
 * Asks again for failures that say nothing about the request: expired rows and server errors. When all else is answered they
 * go out together, in batches of just those; what fails again goes into the next try. Their rows come last.
 */
export function retry(options: RetryOptions): Stage<Result, Result> {
  if (typeof options.through !== 'function')
    throw wrongOption('through', 'a function that makes a pipeline', options.through)
  wholeNumber('attempts', options.attempts ?? 2, 0, MOST_TRIES)
  return typed(new Retry(options))
}

export class Retry extends Transform {
  readonly #through: RetryOptions['through']
  readonly #ask: (result: Result) => boolean
  readonly #longer: Longer | undefined
  #job: Job | undefined
  /** Records that a later try has asked already, by the journal; undefined until that has been read. */
  #asked: Bits | undefined
  #again = new Bits()
  #holds = false
  #round: Readable | undefined
  readonly #stop = new AbortController()
  #flushing: Promise<void> = Promise.resolve()

  constructor(options: RetryOptions) {
    super({ objectMode: true })
    const attempts = options.attempts ?? 2
    this.#through = options.through
    this.#longer = options.longer && new Longer(options.longer)
    const isWorthIt = (result: Result): boolean =>
      isPassing(result) || (this.#longer?.helps(result) ?? false)
    const ask = options.ask ?? isWorthIt
    // Without a bound an `ask` that says yes to everything would be paid for without an end.
    this.#ask = result => result.attempt <= attempts && atOnce('ask', ask(result))
    this.#job = options.job
    options.job?.retain()
  }

  override _transform(result: Result, _encoding: BufferEncoding, done: TransformCallback): void {
    const wrong = misplaced('retry', 'results', result)
    if (wrong) return done(wrong)
    if (this.#asked) return this.#take(result, this.#asked, done)
    this.#begin(result).then(
      asked => this.#take(result, asked, done),
      cause => done(wrapError('CBS_DISK', 'the tries of this job cannot be read', cause)),
    )
  }

  override _flush(done: TransformCallback): void {
    this.#flushing = this.#rounds().then(
      () => done(),
      cause => done(wrapError('CBS_STAGE', 'a record cannot be asked again', cause)),
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stop.abort()
    this.#round?.destroy()
    const leave = async (): Promise<void> => {
      await this.#flushing
      await this.#job?.release(this)
    }
    leave().then(
      () => done(error),
      cause => done(error ?? cause),
    )
  }

  async #begin({ batch }: Result): Promise<Bits> {
    if (!this.#job) {
      this.#job = batch.job
      batch.job.retain()
    }
    return (this.#asked = await askedAfter(batch.job, 1))
  }

  #take(result: Result, asked: Bits, done: TransformCallback): void {
    let held
    try {
      held = this.#holdsBack(result, asked)
    } catch (cause) {
      // What `ask` throws, or an answer on disk that cannot be read, must end the stream and not the process.
      return done(wrapError('CBS_STAGE', 'it cannot be told whether to ask a record again', cause))
    }
    if (!held) give(this, result)
    done()
  }

  #holdsBack(result: Result, asked: Bits): boolean {
    const ordinal = result.record?.ordinal
    if (ordinal === undefined || isUnsent(result.status)) return false
    const isAsked = asked.has(ordinal)
    if (!isAsked && !this.#ask(result)) return false
    this.#longer?.take(result)
    if (isAsked) return true
    this.#again.add(ordinal)
    this.#holds = true
    return true
  }

  async #rounds(): Promise<void> {
    const job = this.#job
    if (!job) return
    for (let attempt = 2; this.#holds || hasAttempt(job, attempt); attempt++) {
      const asked = await askedAfter(job, attempt)
      if (this.destroyed) return
      const again = this.#again
      this.#again = new Bits()
      this.#holds = false
      const longer = this.#longer
      longer?.next()
      const records = recordsOf(job, again, attempt, longer)
      const round = from(Readable.from(records), this.#through(attempt))
      this.#round = round
      for await (const result of each(round)) {
        if (!this.#holdsBack(result, asked)) await pushAll(this, [result], this.#stop.signal)
      }
    }
  }
}

/** True while the journal has batches of this try or a later one. */
function hasAttempt(job: Job, attempt: number): boolean {
  return [...job.state.batches.values()].some(
    batch => batch.attempt >= attempt && batch.phase !== 'void',
  )
}

async function* recordsOf(
  job: Job,
  ordinals: Bits,
  attempt: number,
  longer: Longer | undefined,
): AsyncGenerator<SourceRecord> {
  const reader = job.records.reader(job)
  for (const ordinal of ordinals)
    yield await reader.read(ordinal, attempt, longer?.doublings(ordinal))
}
