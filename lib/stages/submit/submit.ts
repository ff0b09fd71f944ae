// takes  SealedBatch
// gives  SubmittedBatch: the API has it, once, and the journal knows its id
// next   awaitEnd
import type { AnthropicClient } from '../../api/client.ts'
import type { Backoff } from '../../core/backoff.ts'
import { Api, errorOf } from '../../api/api.ts'
import type { Failure } from '../../api/failure.ts'
import { needClient } from '../../api/need-client.ts'
import { Retries } from '../../api/retry-policy.ts'
import { BatchStreamError, wholeNumber, wrapError } from '../../core/errors.ts'
import type { SealedBatch, Submits, SubmittedBatch } from '../../core/flow.ts'
import { isCollected, ownedIds, sendableCount, unresolvedCounts } from '../../store/batch-queue.ts'
import { hasBody } from '../../store/cache.ts'
import { JobStage } from '../job-stage.ts'
import type { StoredJob } from '../../store/job.ts'
import { DEFAULT_CONCURRENCY, DEFAULT_SETTLE_MS } from '../../core/limits.ts'
import { notify } from '../../core/notify.ts'
import { typed, type CarryingStage } from '../../core/stage.ts'
import { ensureFreeSpace } from './free-space.ts'
import type { CreateOutcome } from './outcome.ts'
import { NAMED_REFUSALS, planProbes, PROBES, RefusalJudge, type RefusalVerdict } from './refusal.ts'
import { search } from './search.ts'
import { firstOf, half, splitBatch, without, type PartAssignment } from './split-batch.ts'
import { uploadBatch } from './upload.ts'

export interface SubmitOptions {
  /** A client of `@anthropic-ai/sdk`, 1.11 or newer. */
  readonly client: AnthropicClient
  /**
   * Batches in flight at most, at least 1. Further batches wait on disk until one has ended, as `awaitEnd` finds out.
   * @default 10 where an `awaitEnd` follows, else no limit
   */
  readonly concurrency?: number
  /**
   * How long to search for a batch whose create got no reply, in ms, before it is sent again.
   * @default 600000
   */
  readonly settle?: number
  /**
   * Ids of batches that other jobs own, so that none of them is taken for ours.
   * @default none
   */
  readonly ownedElsewhere?: () => Promise<ReadonlySet<string>>
  /**
   * Waits between tries of an API call. They hold for all later calls of the job, so `submit` alone is enough.
   * @default { first: 500, most: 60000 }
   */
  readonly backoff?: Backoff | undefined
  /** Called when a batch has to wait, with the reason. */
  readonly onWait?: (batch: SealedBatch, why: string) => unknown
  /** Called when the API's queue is full (429); the batch waits and is sent later. */
  readonly onBusy?: () => unknown
  /**
   * Called before a batch is sent; false leaves it sealed, and nothing of it is given on. Spending caps use it.
   * @default every batch is sent
   */
  readonly admit?: ((batch: SealedBatch, signal: AbortSignal) => Promise<boolean>) | undefined
  /**
   * The API's origin and the betas, which answers depend on besides their requests. It is journaled with each batch, so that a
   * later job reuses no answers of another API.
   * @internal
   */
  readonly answeredBy?: string | undefined
  /**
   * Sends nothing: every request that the API does not have becomes a `rejected` result. Batches in flight are still given on,
   * and an unknown create is still searched for.
   * @default false
   */
  readonly abandon?: boolean | undefined
}

/**
 * Sends each batch exactly once. An unknown outcome (no reply, a 5xx, a crash between two lines of the journal) is looked up
 * in the API's list and never assumed: that costs time, never money.
 *
 * When the API takes no more batches for good, submission stops and the pipeline does not: batches in flight are awaited and
 * their results given on, then the last stage fails with the reason: `CBS_ACCESS` for the key, billing or a spend limit,
 * `CBS_STOPPED` when every request is refused alike, `CBS_DISK` when the answers may not fit on the disk, `CBS_API` otherwise. A single request that the API refuses becomes a
 * `rejected` row.
 */
export function submit(
  options: SubmitOptions,
): CarryingStage<SealedBatch<object>, SubmittedBatch, Submits> {
  needClient(options)
  wholeNumber('concurrency', options.concurrency ?? DEFAULT_CONCURRENCY, 1, Infinity)
  wholeNumber('settle', options.settle ?? DEFAULT_SETTLE_MS, 0, Infinity)
  return typed(new Submit(options))
}

/** How often a queue that others fill is looked at. */
const SHARED_QUEUE_MS = 5000

function bodyElsewhere(number: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `batch ${number} did not reach the API, and its body was lost with the disk of the worker that sealed it: run the same command again to send its records`,
  )
}

/** Why a request of an abandoned job has no answer. */
const ABANDONED: PartAssignment = {
  type: 'abandoned',
  message: 'the job was abandoned before this record was sent',
}

/** So long at most sending waits for the results of earlier batches. A stage between may hold these back. */
const COLLECT_MS = 600_000

export class Submit extends JobStage<SealedBatch> {
  readonly #options: SubmitOptions
  readonly #judge = new RefusalJudge()
  /** First batches whose parts are refused for single requests, not for a common cause. */
  readonly #individual = new Set<number>()
  /** How many requests of a batch and its parts were refused by name, by the number of the first batch. */
  readonly #named = new Map<number, number>()
  /** Searches for batches with an unknown outcome, and parts that wait for one. */
  readonly #beside = new Set<Promise<void>>()
  /** Was a batch not admitted? A batch without requests then waits, too: its records may repeat some of that one. */
  #notAdmitted = false
  #api: Api | undefined

  constructor(options: SubmitOptions) {
    super({
      stage: 'submit',
      takes: 'sealed batches',
      backoff: options.backoff,
      failure: { code: 'CBS_API', what: 'a batch cannot be submitted' },
      highWaterMark: 1,
    })
    this.#options = options
  }

  protected override async receive(batch: SealedBatch): Promise<void> {
    const { number } = batch
    const job = this.attach(batch.job)
    this.#api ??= new Api({
      client: this.#options.client,
      session: job.session,
      signal: this.signal,
      onWait: ({ message }) => this.#wait(batch, message),
    })
    await this.#take(job, number)
  }

  protected override async finish(): Promise<void> {
    const { job } = this
    // A search that ends may start another, for the parts of a batch that had to be split.
    while (this.#beside.size > 0) await Promise.all(this.#beside)
    if (!job) return
    await this.#settle(job, this.#judge.ended(ownedIds(job.state).size > 0))
    await this.reportStop(job.queue.unreportedStop)
  }

  /** Where nothing waits for batches to end, a default limit would never let another one go. */
  #concurrencyOf({ queue }: StoredJob): number {
    return this.#options.concurrency ?? (queue.isAwaited ? DEFAULT_CONCURRENCY : Infinity)
  }

  async #take(job: StoredJob, number: number): Promise<void> {
    const { phase, requests } = job.batch(number)
    if (phase === 'armed') this.#startSearch(job, number)
    else if (phase !== 'sealed') this.push(job.submittedBatch(number))
    else if (requests > 0) await this.#send(job, number)
    else if (!this.#notAdmitted && !job.queue.stopReason) this.push(job.submittedBatch(number))
  }

  /** Sends a batch until its outcome is known, or only a search can tell, or submission has stopped. */
  async #send(job: StoredJob, number: number): Promise<void> {
    await this.#collectFirst(job, job.batch(number).attempt)
    if (job.queue.stopReason) return
    if (this.#options.abandon) return await this.#split(job, number, () => ABANDONED)
    const isAdmitted = await this.#options.admit?.(job.sealedBatch(number), this.signal)
    if (isAdmitted === false) {
      this.#notAdmitted = true
      return
    }
    const retries = new Retries(job.session)
    for (;;) {
      const count = await this.#turn(job, number)
      if (count === undefined) return
      const { requests, root } = job.batch(number)
      if (count < requests) return await this.#split(job, number, firstOf(count))
      const outcome = await this.#upload(job, number).finally(() => job.queue.endSending(number))
      if (outcome === 'stopped') return
      if (outcome === 'noRoom') {
        job.queue.isBusy = true
        this.#wait(job.sealedBatch(number), "the API's queue is full, as the ledger says")
        if (!(await this.#pause(job, SHARED_QUEUE_MS))) return
        continue
      }
      switch (outcome.kind) {
        case 'created':
          return await this.#settle(job, this.#judge.accepted())
        case 'unknown':
          // A gateway may redirect after it has passed the create on, and waiting does not end that: the next start searches.
          if (outcome.failure.kind === 'redirect')
            return job.queue.stop(errorOf(`submit batch ${number}`, outcome.failure))
          this.#wait(job.sealedBatch(number), outcome.failure.message)
          return this.#startSearch(job, number)
        case 'split':
          return await this.#split(job, number, half(requests))
        case 'reject': {
          const named = (this.#named.get(root) ?? 0) + 1
          this.#named.set(root, named)
          if (outcome.position >= requests || named > NAMED_REFUSALS)
            return await this.#isolate(job, number, outcome.failure)
          return await this.#reject(job, number, outcome.position, outcome.failure.message)
        }
        case 'refused':
          return await this.#isolate(job, number, outcome.failure)
        case 'stop':
          return job.queue.stop(errorOf(`submit batch ${number}`, outcome.failure))
        case 'again':
          if (!(await this.#waitToRetry(job, number, outcome.failure, retries))) return
      }
    }
  }

  /** Waits until the results that an earlier process left at the API are here. What still runs there is not waited for. */
  async #collectFirst(job: StoredJob, attempt: number): Promise<void> {
    const isDone = (): boolean => job.queue.stopReason !== undefined || isCollected(job, attempt)
    if (isDone()) return
    const over = new AbortController()
    const signal = AbortSignal.any([this.signal, over.signal])
    await Promise.race([job.when(isDone, signal), job.clock.sleep(COLLECT_MS, signal)]).finally(
      () => over.abort(),
    )
  }

  /**
   * Waits until a batch may be sent, and says how many of its requests; it counts as being sent if that is all. Undefined once
   * submission has stopped.
   */
  async #turn(job: StoredJob, number: number): Promise<number | undefined> {
    let count = 0
    const isDecided = (): boolean => {
      if (job.queue.stopReason) return true
      count = sendableCount(job, number, this.#concurrencyOf(job))
      // In the same tick, or another batch that waits would be sent beside it.
      if (count === job.batch(number).requests) job.queue.beginSending(number)
      return count > 0
    }
    await job.when(isDecided, this.signal)
    return count > 0 ? count : undefined
  }

  /**
   * Sends a batch once, and journals what is known about the outcome. Where the disk is too full for its answers, or its body is
   * damaged, submission stops and nothing is destroyed: the batches in flight are still collected. `noRoom`: the queue that the
   * job shares with others is full.
   */
  async #upload(job: StoredJob, number: number): Promise<CreateOutcome | 'stopped' | 'noRoom'> {
    // receive has made it before anything is sent.
    const api = this.#api as Api
    await api.proveWorkspace()
    const stop = (cause: unknown): 'stopped' => {
      job.queue.stop(wrapError('CBS_DISK', 'the free disk space is unknown', cause))
      return 'stopped'
    }
    const pool = job.session.workspace ?? 'default'
    if ((await job.shared?.reserveQueue(number, pool)) === false) return 'noRoom'
    try {
      await ensureFreeSpace(job, job.batch(number).bytes)
    } catch (cause) {
      return stop(cause)
    }
    const outcome = await uploadBatch(job, api, number, this.signal).catch((cause: unknown) => {
      // The body is found damaged before the batch is armed.
      if (cause instanceof BatchStreamError && cause.code === 'CBS_STATE') return stop(cause)
      throw cause
    })
    if (outcome === 'stopped') return outcome
    if (outcome.kind === 'created') await this.#accept(job, number, outcome.id, false)
    else if (outcome.kind !== 'unknown') {
      if (job.batch(number).phase === 'armed') await job.note({ type: 'disarmed', number }, true)
      const isFull = outcome.kind === 'again' && outcome.failure.kind === 'busy'
      await job.shared?.releaseQueue(number, isFull)
    }
    this.signal.throwIfAborted()
    return outcome
  }

  /** Waits before a batch is sent again; false once submission has stopped. */
  async #waitToRetry(
    job: StoredJob,
    number: number,
    failure: Failure,
    retries: Retries,
  ): Promise<boolean> {
    const waitMs = retries.next(failure)
    if (waitMs === null) {
      job.queue.stop(errorOf(`submit batch ${number}`, failure))
      return false
    }
    if (failure.kind === 'busy') {
      job.queue.isBusy = true
      notify('onBusy', this.#options.onBusy)
    }
    this.#wait(job.sealedBatch(number), failure.message)
    return await this.#pause(job, waitMs)
  }

  /** Waits for so long; false once submission has stopped. */
  async #pause(job: StoredJob, waitMs: number): Promise<boolean> {
    const over = new AbortController()
    const signal = AbortSignal.any([this.signal, over.signal])
    await Promise.race([
      job.clock.sleep(waitMs, signal),
      job.when(() => job.queue.stopReason !== undefined, signal),
    ]).finally(() => over.abort())
    return job.queue.stopReason === undefined
  }

  async #split(
    job: StoredJob,
    number: number,
    partOf: (position: number) => PartAssignment,
  ): Promise<void> {
    for (const part of await splitBatch(job, number, partOf)) await this.#take(job, part)
  }

  /** Makes a `rejected` row of one request; the others of its batch are sent without it. */
  async #reject(job: StoredJob, number: number, position: number, message: string): Promise<void> {
    await this.#split(job, number, without(position, { type: 'invalid_request_error', message }))
  }

  /**
   * The API refused a batch as a whole and named no request: halves it until the requests it refuses are alone. Before a batch
   * is halved, some of its requests are sent alone, since the cause may be common to all.
   */
  async #isolate(job: StoredJob, number: number, { message }: Failure): Promise<void> {
    const { requests, root, isolated } = job.batch(number)
    if (requests === 1) {
      if (isolated) return await this.#reject(job, number, 0, message)
      return await this.#settle(job, this.#judge.refusedAlone({ number, message }))
    }
    if (isolated || this.#individual.has(root)) {
      for (const part of await splitBatch(job, number, half(requests), { isolated: true }))
        await this.#takePart(job, part)
      return
    }
    const { partOf, probes } = planProbes(requests)
    const parts = await splitBatch(job, number, partOf)
    for (const part of parts.filter((_, index) => probes.includes(index)))
      await this.#takePart(job, part)
    // Fewer probes may all be refused and still tell nothing.
    if (probes.length === PROBES) this.#individual.add(root)
    for (const part of parts.filter((_, index) => !probes.includes(index)))
      await this.#takePart(job, part)
  }

  /** Sends a part of a split batch. Where one with its count has an unknown outcome it waits beside the others. */
  async #takePart(job: StoredJob, part: number): Promise<void> {
    const taking = this.#take(job, part)
    if (unresolvedCounts(job).has(job.batch(part).requests)) this.#runBeside(taking)
    else await taking
  }

  async #settle(job: StoredJob, verdict: RefusalVerdict): Promise<void> {
    if (verdict.kind === 'common')
      job.queue.stop(
        new BatchStreamError(
          'CBS_STOPPED',
          `the API refuses every request alike, so nothing more is sent: ${verdict.message}`,
        ),
      )
    else if (verdict.kind === 'reject')
      for (const { number, message } of verdict.refused) await this.#reject(job, number, 0, message)
  }

  async #accept(job: StoredJob, number: number, id: string, adopted: boolean): Promise<void> {
    const { answeredBy } = this.#options
    await job.note(
      {
        ...{ type: 'submitted', number, id, at: job.clock.now(), adopted },
        ...(answeredBy !== undefined && { answeredBy }),
      },
      true,
    )
    await job.store.disk.remove(job.store.path(number, 'body'))
    this.push(job.submittedBatch(number))
  }

  #wait(batch: SealedBatch, why: string): void {
    notify('onWait', this.#options.onWait, batch, why)
  }

  #startSearch(job: StoredJob, number: number): void {
    this.#runBeside(this.#search(job, number))
  }

  #runBeside(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#beside.delete(tracked))
    this.#beside.add(tracked)
    this.runBeside(tracked)
  }

  async #search(job: StoredJob, number: number): Promise<void> {
    const { settle: settleMs = DEFAULT_SETTLE_MS, ownedElsewhere = async () => new Set<string>() } =
      this.#options
    const found = await search({
      job,
      // receive has made it before anything is searched for.
      api: this.#api as Api,
      number,
      settleMs,
      signal: this.signal,
      ownedElsewhere,
      onWait: why => this.#wait(job.sealedBatch(number), why),
    })
    if (found === 'resend') {
      await job.note({ type: 'disarmed', number }, true)
      if (await hasBody(job, job.batch(number))) return await this.#send(job, number)
      // Its body was on another machine. The next start batches its records again.
      return job.queue.stop(bodyElsewhere(number))
    }
    if (found === 'lost') {
      const at = job.clock.now()
      await job.note({ type: 'ended', number, counts: null, resultsUrl: null, at }, true)
      this.push(job.submittedBatch(number))
      return
    }
    await this.#accept(job, number, found.adopt, true)
  }
}
