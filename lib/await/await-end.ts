// takes  SubmittedBatch
// gives  EndedBatch, in the order of ending
// next   fetchResults
import type Anthropic from '@anthropic-ai/sdk'
import { Transform, type TransformCallback } from 'node:stream'
import { Api } from '../api/api.ts'
import { needClient } from '../api/need-client.ts'
import { resultsUrlOf, type RemoteBatch } from '../api/remote-batch.ts'
import { wholeNumber, wrapError } from '../errors.ts'
import type { EndedBatch, SubmittedBatch } from '../flow.ts'
import type { Job } from '../job/job.ts'
import { DEFAULT_CONCURRENCY, DEFAULT_SETTLE_MS } from '../limits.ts'
import { notify } from '../notify.ts'
import { give, typed, type Stage } from '../stage.ts'
import { misplaced } from '../takes.ts'
import { lookAt } from './look.ts'
import { nextLook } from './schedule.ts'

export interface AwaitEndOptions {
  readonly client: Anthropic
  /**
   * Ms between two looks at the API.
   * @default 5000, rising to 60000 with the age of the batches
   */
  readonly pollMs?: number | undefined
  /**
   * Batches in flight at most; submit waits when there are so many.
   * @default 10
   */
  readonly concurrency?: number
  /**
   * How long a batch that the API says it does not know is looked for; then its rows are `unanswered`.
   * @default 600000
   */
  readonly settleMs?: number
  /** Told when the API cannot be reached. */
  readonly onWait?: (batch: SubmittedBatch, why: string) => unknown
  readonly job?: Job | undefined
}

/** Waits for batches to end; one list call covers all that are in flight. Waiting costs no CPU and survives outages of a day. */
export function awaitEnd(options: AwaitEndOptions): Stage<SubmittedBatch, EndedBatch> {
  needClient(options)
  if (options.pollMs !== undefined) wholeNumber('pollMs', options.pollMs, 1, 2 ** 31 - 1)
  wholeNumber('concurrency', options.concurrency ?? DEFAULT_CONCURRENCY, 1, Infinity)
  wholeNumber('settleMs', options.settleMs ?? DEFAULT_SETTLE_MS, 0, Infinity)
  return typed(new AwaitEnd(options))
}

interface Waiting {
  readonly batch: SubmittedBatch
  readonly id: string
  readonly since: number
  /** When the API first said that it does not know it. */
  missingSince: number | undefined
}

export class AwaitEnd extends Transform {
  readonly #options: AwaitEndOptions
  readonly #concurrency: number
  readonly #stop = new AbortController()
  readonly #waiting = new Map<number, Waiting>()
  #job: Job | undefined
  #api: Api | undefined
  #polling: Promise<void> | undefined
  /** Takes the next batch when one has ended. */
  #more: (() => void) | undefined

  constructor(options: AwaitEndOptions) {
    super({ objectMode: true, highWaterMark: 1 })
    this.#options = options
    this.#concurrency = options.concurrency ?? DEFAULT_CONCURRENCY
    if (options.job) options.job.concurrency = this.#concurrency
  }

  override _transform(
    batch: SubmittedBatch,
    _encoding: BufferEncoding,
    done: TransformCallback,
  ): void {
    const wrong = misplaced('awaitEnd', 'submitted batches', batch)
    if (wrong) return done(wrong)
    try {
      this.#take(batch, done)
    } catch (cause) {
      // What is thrown from here would pass the pipeline by.
      done(wrapError('CBS_STAGE', 'a batch cannot be waited for', cause))
    }
  }

  override _flush(done: TransformCallback): void {
    const finish = async (): Promise<void> => {
      while (this.#polling) await this.#polling
    }
    finish().then(
      () => done(),
      cause => done(cause),
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stop.abort()
    const leave = async (): Promise<void> => {
      await this.#polling
      await this.#job?.release(this)
    }
    leave().then(
      () => done(error),
      cause => done(error ?? cause),
    )
  }

  #take(batch: SubmittedBatch, done: TransformCallback): void {
    const { job, number } = batch
    this.#begin(batch)
    const { phase, id } = job.batch(number)
    if (phase !== 'submitted' || id === null) {
      give(this, job.endedBatch(number))
      return done()
    }
    this.#waiting.set(number, { batch, id, since: job.clock.elapsed(), missingSince: undefined })
    this.#polling ??= this.#poll(job)
    if (this.#waiting.size < this.#concurrency) done()
    else this.#more = done
  }

  #begin(batch: SubmittedBatch): void {
    if (this.#job) return
    const { job } = batch
    this.#job = job
    job.retain()
    job.concurrency = this.#concurrency
    const onTrouble = ({ message }: { message: string }): void =>
      notify('onWait', this.#options.onWait, batch, message)
    this.#api = new Api({ client: this.#options.client, job, signal: this.#stop.signal, onTrouble })
  }

  #poll(job: Job): Promise<void> {
    const looking = async (): Promise<void> => {
      while (this.#waiting.size > 0) {
        const youngest = Math.max(...[...this.#waiting.values()].map(({ since }) => since))
        await job.clock.sleep(
          nextLook(this.#options.pollMs, job.clock.elapsed() - youngest),
          this.#stop.signal,
        )
        await this.#look(job)
      }
      // In the same tick as the last look, so that a batch that comes next starts a poll of its own.
      this.#polling = undefined
    }
    return looking().catch(cause => {
      this.#polling = undefined
      if (!this.#stop.signal.aborted) {
        this.destroy(wrapError('CBS_API', 'batches cannot be waited for', cause))
      }
    })
  }

  async #look(job: Job): Promise<void> {
    // With the key of another workspace every batch would look as if it were lost.
    await (this.#api as Api).proveWorkspace()
    const waiting = [...this.#waiting.values()]
    const found = await lookAt(
      this.#api as Api,
      waiting.map(({ id }) => id),
    )
    const ended: { one: Waiting; remote: RemoteBatch | undefined }[] = []
    for (const one of waiting) {
      const remote = found.get(one.id)
      if (remote?.processing_status === 'ended' || (!remote && this.#isLost(one, job)))
        ended.push({ one, remote })
      if (remote) one.missingSince = undefined
    }
    ended.sort(
      (a, b) =>
        Date.parse(a.remote?.ended_at ?? '') - Date.parse(b.remote?.ended_at ?? '') ||
        a.one.batch.number - b.one.batch.number,
    )
    for (const { one, remote } of ended) await this.#end(job, one, remote)
  }

  /** The API may deny a batch for some seconds after it took it; that is no reason to give it up, and never one to resend. */
  #isLost(one: Waiting, job: Job): boolean {
    one.missingSince ??= job.clock.elapsed()
    return job.clock.elapsed() - one.missingSince >= (this.#options.settleMs ?? DEFAULT_SETTLE_MS)
  }

  async #end(job: Job, { batch, id }: Waiting, remote: RemoteBatch | undefined): Promise<void> {
    await job.note(
      {
        type: 'ended',
        number: batch.number,
        counts: remote?.request_counts ?? null,
        resultsUrl: resultsUrlOf(remote ?? { id, results_url: null }),
        at: job.clock.now(),
      },
      false,
    )
    this.#waiting.delete(batch.number)
    give(this, job.endedBatch(batch.number))
    const more = this.#more
    this.#more = undefined
    more?.()
  }
}
