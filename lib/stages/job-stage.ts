import type { Job } from '../core/job/job.ts'
import { setMaxListeners } from 'node:events'
import type { Duplex, TransformCallback } from 'node:stream'
import { backoffOf, type Backoff, type Waits } from '../core/backoff.ts'
import { BatchStreamError, wrapError, type ErrorCode } from '../core/errors.ts'
import { Page } from '../core/pages.ts'
import { StageTransform, type StageOptions } from '../core/stage.ts'
import { wrongInputError, type InputKind } from '../core/validate-input.ts'
import { storedJob, type StoredJob } from '../store/job.ts'

export interface JobStageOptions extends StageOptions {
  /** The stage's name in messages. */
  readonly stage: string
  /** The kind of items that it takes. */
  readonly takes: InputKind
  /** The code and message for errors from outside this package. */
  readonly failure: { readonly code: ErrorCode; readonly what: string }
  /** The waits between tries of an API call; they are set for the whole job. */
  readonly backoff?: Backoff | undefined
}

/**
 * Hears the error of a closed job on a stage that is in no pipeline: what made the caller close the job, such as a wrong option of
 * another stage, must not be hidden by an uncaught error. A pipeline that takes the stage later fails all the same.
 */
export function hearIfClosed(stage: Duplex, error: Error): void {
  const isOfJob = error instanceof BatchStreamError && error.option === 'job'
  if (isOfJob && stage.listenerCount('error') === 0) stage.on('error', () => {})
}

/**
 * A stage that works on a job: it retains the job, waits for its own work when it is destroyed, and wraps foreign errors.
 * After `destroy()` it pushes and ends nothing.
 */
export abstract class JobStage<In> extends StageTransform {
  readonly #options: JobStageOptions
  readonly #waits: Waits | undefined
  readonly #abort = new AbortController()
  readonly #work: Set<Promise<unknown>> = new Set()
  #job: StoredJob | undefined

  constructor(options: JobStageOptions) {
    const { stage: _, takes: __, failure: ___, backoff, ...streamOptions } = options
    super({ objectMode: true, ...streamOptions })
    this.#options = options
    this.#waits = backoff && backoffOf(backoff)
    // A stage may wait for any number of things.
    setMaxListeners(0, this.#abort.signal)
  }

  override get givesObjects(): string {
    return this.#options.stage
  }

  /** Aborts when the stage is destroyed. */
  protected get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** The job, after the first call of `attach`. */
  protected get job(): StoredJob | undefined {
    return this.#job
  }

  /**
   * Retains the first job given until the stage is destroyed, and returns it.
   *
   * @throws BatchStreamError `CBS_STAGE` for another job: its numbers of records and batches mean other ones
   */
  protected attach(job: Job): StoredJob {
    if (this.#job === job) return this.#job
    if (this.#job)
      throw new BatchStreamError(
        'CBS_STAGE',
        `${this.#options.stage} got items of job ${job.name} and works on job ${this.#job.name}: give all stages of a pipeline the same \`job\`, or leave it out`,
      )
    const stored = storedJob(job)
    stored.retain()
    this.#job = stored
    if (this.#waits) stored.session.waits = this.#waits
    return stored
  }

  /** Processes one item; the next one follows when the promise resolves. */
  protected abstract receive(item: In): Promise<void> | void

  /** Runs after the last item; the stage ends when the promise resolves. */
  protected abstract finish(): Promise<void>

  /** Runs when the stage is destroyed and its work has finished. */
  protected async cleanUp(): Promise<void> {}

  /** Runs work in parallel to the stream. Its error destroys the stage, and `destroy()` waits for it. */
  protected runBeside(work: Promise<void>): void {
    void this.#follow(work, error => {
      if (!error) return
      hearIfClosed(this, error)
      this.destroy(error)
    })
  }

  override _transform(item: In, _encoding: BufferEncoding, done: TransformCallback): void {
    const isPage = item instanceof Page
    const wrong = isPage
      ? undefined
      : wrongInputError(this.#options.stage, this.#options.takes, item)
    if (wrong) return done(wrong)
    let received: Promise<void> | void
    try {
      received = this.receive(item)
    } catch (cause) {
      // An exception here would bypass the pipeline and end the process.
      return done(this.#wrap(cause))
    }
    if (received) void this.#follow(received, done)
    else done()
  }

  override _flush(done: TransformCallback): void {
    void this.#follow(this.finish(), done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#abort.abort()
    const leave = async (): Promise<void> => {
      while (this.#work.size > 0) await Promise.all(this.#work)
      await this.cleanUp()
      await this.#job?.release(this)
    }
    const left = leave()
    this.#job?.leave(left)
    left.then(
      () => done(error),
      cause => done(error ?? this.#wrap(cause)),
    )
  }

  /** Calls `done` when the work is finished, unless the stage was destroyed before that. */
  #follow(work: Promise<void>, done: TransformCallback): Promise<void> {
    const over = work
      .then(
        () => undefined,
        cause => this.#wrap(cause),
      )
      .then(error => {
        this.#work.delete(over)
        if (!this.destroyed) done(error)
      })
    this.#work.add(over)
    return over
  }

  #wrap(cause: unknown): Error {
    const error = wrapError(this.#options.failure.code, this.#options.failure.what, cause)
    // The files of a job that was closed too early fail like those of a broken disk.
    const closed = error.code === 'CBS_DISK' ? this.#job?.closedError(error) : undefined
    return closed ?? error
  }
}
