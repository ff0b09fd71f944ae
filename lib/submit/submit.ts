// takes  SealedBatch
// gives  SubmittedBatch: the API has it, once, and the journal knows its id
// next   awaitEnd
import type Anthropic from '@anthropic-ai/sdk'
import { Transform, type TransformCallback } from 'node:stream'
import { Api, errorOf } from '../api/api.ts'
import type { Failure } from '../api/failure.ts'
import { needClient } from '../api/need-client.ts'
import { waitBeforeRetry } from '../api/patience.ts'
import { wholeNumber, wrapError } from '../errors.ts'
import type { SealedBatch, SubmittedBatch } from '../flow.ts'
import type { Job } from '../job/job.ts'
import { DEFAULT_SETTLE_MS } from '../limits.ts'
import { notify } from '../notify.ts'
import { give, typed, type Stage } from '../stage.ts'
import { misplaced } from '../takes.ts'
import { deliver } from './deliver.ts'
import { divide, firstOf, half } from './divide.ts'
import type { Outcome } from './outcome.ts'
import { checkRoom } from './room.ts'
import { search } from './search.ts'
import { mayGo } from './turn.ts'

export interface SubmitOptions {
  readonly client: Anthropic
  /**
   * How long a create whose outcome is unknown is looked for before it is sent again.
   * @default 600000
   */
  readonly settleMs?: number
  /**
   * Ids of batches that other jobs own, so that none of them is taken for ours.
   * @default none
   */
  readonly ownedElsewhere?: () => Promise<ReadonlySet<string>>
  /** Told when a batch has to wait, and for what. */
  readonly onWait?: (batch: SealedBatch, why: string) => unknown
  /** Told when the API's queue takes no more for now (429); the batch waits and goes out later. */
  readonly onBusy?: () => unknown
  /**
   * Asked before a batch is sent: false leaves it sealed, and nothing of it is given on. A cap on spending decides so.
   * @default yes
   */
  readonly admit?: ((batch: SealedBatch, signal: AbortSignal) => Promise<boolean>) | undefined
  /** Only for symmetry with the other stages: a batch knows its job. */
  readonly job?: Job | undefined
}

/**
 * Sends each batch exactly once. An unknown outcome (silence, a 5xx, a death between two lines of the journal) is looked up
 * in the API's list and never assumed: that costs time, never money. Ends with `CBS_ACCESS` when the key, the billing or a
 * spend limit stops it, `CBS_API` when the API refuses what no change of ours can mend.
 */
export function submit(options: SubmitOptions): Stage<SealedBatch, SubmittedBatch> {
  needClient(options)
  wholeNumber('settleMs', options.settleMs ?? DEFAULT_SETTLE_MS, 0, Infinity)
  return typed(new Submit(options))
}

export class Submit extends Transform {
  readonly #options: SubmitOptions
  readonly #stop = new AbortController()
  /** Batches whose outcome is unknown, being looked for while others go on. */
  readonly #searches = new Set<Promise<void>>()
  #taking: Promise<void> = Promise.resolve()
  /** Was a batch not admitted? One that asks nothing then waits too: its records may repeat some of that. */
  #refused = false
  #job: Job | undefined
  #api: Api | undefined

  constructor(options: SubmitOptions) {
    super({ objectMode: true, highWaterMark: 1 })
    this.#options = options
  }

  override _transform(
    batch: SealedBatch,
    _encoding: BufferEncoding,
    done: TransformCallback,
  ): void {
    const wrong = misplaced('submit', 'sealed batches', batch)
    if (wrong) return done(wrong)
    this.#taking = this.#take(batch).then(
      () => done(),
      cause => done(this.#wrap(cause)),
    )
  }

  override _flush(done: TransformCallback): void {
    // A search that ends may start another, for the parts of a batch that had to be divided.
    const finish = async (): Promise<void> => {
      while (this.#searches.size > 0) await Promise.all(this.#searches)
    }
    finish().then(
      () => done(),
      cause => done(this.#wrap(cause)),
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stop.abort()
    const leave = async (): Promise<void> => {
      await this.#taking
      await Promise.allSettled(this.#searches)
      await this.#job?.release(this)
    }
    leave().then(
      () => done(error),
      cause => done(error ?? cause),
    )
  }

  async #take(batch: SealedBatch): Promise<void> {
    const { job, number } = batch
    if (this.#job === undefined) {
      this.#job = job
      job.retain()
      this.#api = new Api({
        client: this.#options.client,
        job,
        signal: this.#stop.signal,
        onTrouble: trouble => this.#wait(batch, trouble.message),
      })
    }
    const { phase, requests } = job.batch(number)
    if (phase === 'armed') this.#search(number)
    else if (phase !== 'sealed') give(this, job.submittedBatch(number))
    else if (requests > 0) await this.#send(job, number)
    else if (!this.#refused) give(this, job.submittedBatch(number))
  }

  /** Sends a batch until it is known what became of it, or until only a search can tell. */
  async #send(job: Job, number: number): Promise<void> {
    const batch = job.sealedBatch(number)
    const refused = (await this.#options.admit?.(batch, this.#stop.signal)) === false
    this.#refused ||= refused
    if (refused) return
    const began = job.clock.elapsed()
    for (let failures = 1; ; failures++) {
      const count = await this.#turn(job, number)
      if (count < job.batch(number).requests) return await this.#divide(job, number, firstOf(count))
      const outcome = await this.#deliver(job, number).finally(() => job.sending.end(number))
      switch (outcome.kind) {
        case 'created':
          return
        case 'unknown':
          this.#wait(job.sealedBatch(number), outcome.failure.message)
          return this.#search(number)
        case 'split':
          return await this.#divide(job, number, half(job.batch(number).requests))
        case 'reject':
          if (outcome.position >= job.batch(number).requests)
            throw errorOf(`submit batch ${number}`, outcome.failure)
          return await this.#divide(job, number, position =>
            position === outcome.position
              ? { type: 'invalid_request_error', message: outcome.failure.message }
              : 0,
          )
        case 'stop':
          throw errorOf(`submit batch ${number}`, outcome.failure)
        case 'again':
          await this.#rest(job, number, outcome.failure, {
            failures,
            forMs: job.clock.elapsed() - began,
          })
      }
    }
  }

  /** Waits until a batch may go out, and says how many of its requests; it is on its way then if that is all. */
  async #turn(job: Job, number: number): Promise<number> {
    let count = 0
    const isOurs = (): boolean => {
      count = mayGo(job, number)
      // At once, or another that waits would go with it.
      if (count === job.batch(number).requests) job.sending.begin(number)
      return count > 0
    }
    await job.when(isOurs, this.#stop.signal)
    return count
  }

  /** Sends a batch, and journals what is known to have come of it. */
  async #deliver(job: Job, number: number): Promise<Outcome> {
    await this.#apiOf.proveWorkspace()
    await checkRoom(job, job.batch(number).bytes)
    const outcome = await deliver(job, this.#apiOf, number, this.#stop.signal)
    if (outcome.kind === 'created') await this.#accept(job, number, outcome.id, false)
    else if (outcome.kind !== 'unknown' && job.batch(number).phase === 'armed')
      await job.note({ type: 'disarmed', number }, true)
    return outcome
  }

  async #rest(
    job: Job,
    number: number,
    failure: Failure,
    trouble: { failures: number; forMs: number },
  ): Promise<void> {
    const waitMs = waitBeforeRetry(failure, {
      ...trouble,
      known: job.serverTime.heard,
      random: Math.random(),
    })
    if (waitMs === null) throw errorOf(`submit batch ${number}`, failure)
    if (failure.kind === 'busy') notify('onBusy', this.#options.onBusy)
    this.#wait(job.sealedBatch(number), failure.message)
    await job.clock.sleep(waitMs, this.#stop.signal)
  }

  async #divide(job: Job, number: number, partOf: Parameters<typeof divide>[2]): Promise<void> {
    for (const part of await divide(job, number, partOf)) await this.#take(job.sealedBatch(part))
  }

  async #accept(job: Job, number: number, id: string, adopted: boolean): Promise<void> {
    await job.note({ type: 'submitted', number, id, at: job.clock.now(), adopted }, true)
    await job.disk.remove(job.path(number, 'body'))
    give(this, job.submittedBatch(number))
  }

  #search(number: number): void {
    const searching = this.#look(number).catch(cause => {
      if (!this.#stop.signal.aborted) this.destroy(this.#wrap(cause))
    })
    const tracked: Promise<void> = searching.finally(() => this.#searches.delete(tracked))
    this.#searches.add(tracked)
  }

  async #look(number: number): Promise<void> {
    const job = this.#job as Job
    const { settleMs = DEFAULT_SETTLE_MS, ownedElsewhere = async () => new Set<string>() } =
      this.#options
    const found = await search({
      job,
      api: this.#apiOf,
      number,
      settleMs,
      signal: this.#stop.signal,
      ownedElsewhere,
      onWait: why => this.#wait(job.sealedBatch(number), why),
    })
    if (found === 'resend') {
      await job.note({ type: 'disarmed', number }, true)
      return await this.#send(job, number)
    }
    if (found === 'lost') {
      await job.note(
        { type: 'ended', number, counts: null, resultsUrl: null, at: job.clock.now() },
        true,
      )
      give(this, job.submittedBatch(number))
      return
    }
    await this.#accept(job, number, found.adopt, true)
  }

  #wait(batch: SealedBatch, why: string): void {
    notify('onWait', this.#options.onWait, batch, why)
  }

  get #apiOf(): Api {
    // #take has made it before anything is sent or looked for.
    return this.#api as Api
  }

  #wrap(cause: unknown): Error {
    return wrapError('CBS_API', 'a batch cannot be submitted', cause)
  }
}
