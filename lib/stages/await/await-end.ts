// takes  SubmittedBatch
// gives  EndedBatch, in the order of ending
// next   fetchResults
import type { Job } from '../../core/job/job.ts'
import type { AnthropicClient } from '../../api/client.ts'
import type { Backoff } from '../../core/backoff.ts'
import { Api } from '../../api/api.ts'
import { needClient } from '../../api/need-client.ts'
import { resultsUrlOf, type RemoteBatch } from '../../api/remote-batch.ts'
import { listOfTexts, wholeNumber } from '../../core/errors.ts'
import type { EndedBatch, Ends, SubmittedBatch } from '../../core/flow.ts'
import { JobStage } from '../job-stage.ts'
import { elapsedSince, isOfApi, leaveUndecided, searchOrStop } from '../search/search.ts'
import { storedJob, type StoredJob } from '../../store/job.ts'
import { DEFAULT_SETTLE_MS } from '../../core/limits.ts'
import { notify } from '../../core/notify.ts'
import { typed, type CarryingStage } from '../../core/stage.ts'

/** The API's docs poll every 60 s; young batches are polled more often, since most small ones end in minutes. */
const FIRST_MS = 5_000
const LONGEST_MS = 60_000

/** Ms until the next poll: the user's setting, or a tenth of the youngest batch's time in flight, from 5 s to 60 s. */
export function nextLook(pollMs: number | undefined, youngestMs: number): number {
  return pollMs ?? Math.min(LONGEST_MS, Math.max(FIRST_MS, youngestMs / 10))
}

/** Pages of the list that are read before batches are retrieved one by one. */
const PAGES = 3
const PAGE = 100

/**
 * Retrieves batches by id: one list call covers all in flight, unless the gateway has no list. A gateway may list batches as they once
 * were, so one of those that are in progress is also retrieved, in turn, and all of them if it has ended. Ids that the API does not
 * know, or gives no sensible reply about, are missing from the map.
 */
async function lookAt(
  api: Api,
  ids: readonly string[],
  turn: number,
): Promise<Map<string, RemoteBatch>> {
  const found = new Map<string, RemoteBatch>()
  const left = new Set(ids)
  let after: string | undefined
  for (let page = 0; ids.length > 1 && page < PAGES && left.size > 0; page++) {
    // Without a list, they can be retrieved by their ids.
    const listed = await api.listIfThere(after, PAGE, 'valid')
    if (!listed) break
    const { data, has_more, last_id } = listed
    for (const batch of data) if (left.delete(batch.id)) found.set(batch.id, batch)
    if (!has_more || last_id === null) break
    after = last_id
  }
  const running = [...found.values()].filter(one => one.processing_status !== 'ended')
  const retrieve = async (id: string): Promise<RemoteBatch | undefined> => {
    const batch = await api.lookUp(id)
    if (batch) found.set(id, batch)
    return batch
  }
  for (const id of left) await retrieve(id)
  const next = running[turn % running.length]
  if (next && (await retrieve(next.id))?.processing_status === 'ended')
    for (const { id } of running) if (id !== next.id) await retrieve(id)
  // With a key that is refused, or an API that fails, every batch would appear lost.
  if (found.size === 0) await api.list(undefined, 1, 'valid')
  return found
}

/** Options of `awaitEnd`. Times are in ms. */
export interface AwaitEndOptions {
  /** A client of `@anthropic-ai/sdk`, 1.11 or newer. */
  readonly client: AnthropicClient
  /**
   * Ms between polls of the API.
   * @default 5000, rising to 60000 with the age of the batches
   */
  readonly poll?: number | undefined
  /**
   * How long the API may reply 404 for a batch, in ms. After that the batch is searched for in the API's list, since the reply to
   * its create may have had a wrong id; its rows are `unanswered` if it is not found there.
   * @default 600000
   */
  readonly settle?: number
  /**
   * Ids of batches that belong to other jobs, so that none of them is adopted.
   * @default none
   */
  readonly ownedElsewhere?: (() => Promise<ReadonlySet<string>>) | undefined
  /**
   * Your decisions about batches whose ids you chose, as for `submit`.
   * @default no decision
   */
  readonly adopt?: readonly string[] | undefined
  /**
   * Waits between tries of an API call. They hold for all later calls of the job, so `submit` alone is enough.
   * @default { first: 500, most: 60000 }
   */
  readonly backoff?: Backoff | undefined
  /** Called with the reason when the API cannot be reached. */
  readonly onWait?: (batch: SubmittedBatch, why: string) => unknown
  /**
   * The job of the batches.
   * @default the job of the first batch
   */
  readonly job?: Job | undefined
}

/**
 * Takes submitted batches and emits each when it has ended, in the order of their ends. One list call covers all in flight;
 * waiting uses no CPU and survives outages of a day.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option; the pipeline fails with `CBS_ACCESS` if the key is refused,
 * and with `CBS_API` if the API stays unreachable or its replies are invalid
 */
export function awaitEnd(
  options: AwaitEndOptions,
): CarryingStage<SubmittedBatch<object>, EndedBatch, Ends> {
  needClient(options)
  if (options.poll !== undefined) wholeNumber('poll', options.poll, 1, 2 ** 31 - 1)
  wholeNumber('settle', options.settle ?? DEFAULT_SETTLE_MS, 0, Infinity)
  listOfTexts('adopt', options.adopt)
  return typed(new AwaitEnd(options))
}

interface Waiting {
  readonly batch: SubmittedBatch
  readonly id: string
  readonly since: number
  /** When the API first replied to this process that it does not know the batch. */
  missingSince: number | undefined
}

export class AwaitEnd extends JobStage<SubmittedBatch> {
  readonly #options: AwaitEndOptions
  readonly #waiting = new Map<number, Waiting>()
  /** Searches for batches whose ids the API does not know. */
  readonly #searches = new Set<Promise<void>>()
  #api: Api | undefined
  #polling: Promise<void> | undefined
  /** The number of polls. */
  #polls = 0

  constructor(options: AwaitEndOptions) {
    super({
      stage: 'awaitEnd',
      takes: 'submitted batches',
      backoff: options.backoff,
      failure: { code: 'CBS_API', what: 'waiting for a batch failed' },
      highWaterMark: 1,
    })
    this.#options = options
    if (options.job) {
      const { queue } = storedJob(options.job)
      queue.isPolled = true
      queue.isAwaited = true
    }
  }

  protected override receive(batch: SubmittedBatch): void {
    const { number } = batch
    const job = this.attach(batch.job)
    job.queue.isAwaited = true
    this.#api ??= new Api({
      client: this.#options.client,
      session: job.session,
      signal: this.signal,
      onWait: ({ message }) => notify('onWait', this.#options.onWait, batch, message),
    })
    const { phase, id } = job.batch(number)
    if (phase !== 'submitted' || id === null) {
      this.push(job.endedBatch(number))
      return
    }
    this.#wait(job, this.#api, batch, id)
  }

  protected override async finish(): Promise<void> {
    while (this.#polling || this.#searches.size > 0)
      await Promise.all([this.#polling, ...this.#searches])
    await this.reportStop(this.job?.queue.unreportedStop)
  }

  #wait(job: StoredJob, api: Api, batch: SubmittedBatch, id: string): void {
    const since = job.clock.elapsed()
    this.#waiting.set(batch.number, { batch, id, since, missingSince: undefined })
    if (this.#polling) return
    this.#polling = this.#poll(job, api)
    this.runBeside(this.#polling)
  }

  async #poll(job: StoredJob, api: Api): Promise<void> {
    try {
      while (this.#waiting.size > 0) {
        const youngest = Math.max(...[...this.#waiting.values()].map(({ since }) => since))
        // A batch of an earlier process may have ended long ago, and sending waits for its results.
        const isLeftBehind = [...this.#waiting.keys()].some(one => job.queue.leftBehind.has(one))
        const pause = nextLook(this.#options.poll, job.clock.elapsed() - youngest)
        await job.clock.sleep(isLeftBehind ? 0 : pause, this.signal)
        await this.#look(
          job,
          api.waiting(wait => this.#betweenTries(job, wait)),
        ).catch((cause: unknown) => this.#giveUp(job, cause))
      }
    } finally {
      // In the same tick as the last check, so that a batch that arrives next starts its own poll.
      this.#polling = undefined
    }
  }

  /** Leaves what is waited for as it is: the results of batches that have ended can still be fetched. */
  #giveUp(job: StoredJob, cause: unknown): void {
    if (!isOfApi(cause) || job.lost.aborted) throw cause
    for (const number of this.#waiting.keys()) job.queue.leaveUndecided(number, [], cause)
    this.#waiting.clear()
  }

  /** A run that may leave does not wait for polls that fail. */
  async #betweenTries(job: StoredJob, wait: Promise<void>): Promise<void> {
    const numbers = [...this.#waiting.keys()]
    await Promise.all(numbers.map(number => job.queue.betweenTries(number, wait)))
  }

  async #look(job: StoredJob, api: Api): Promise<void> {
    // With the key of another workspace every batch would appear lost.
    await api.proveWorkspaceIfListed()
    const waiting = [...this.#waiting.values()]
    const found = await lookAt(
      api,
      waiting.map(({ id }) => id),
      this.#polls++,
    )
    const ended: { one: Waiting; remote: RemoteBatch | undefined }[] = []
    for (const one of waiting) {
      const remote = found.get(one.id)
      const isLost = await this.#isLost(job, one, remote === undefined)
      if (remote?.processing_status === 'ended' || isLost) ended.push({ one, remote })
    }
    ended.sort(
      (a, b) =>
        Date.parse(a.remote?.ended_at ?? '') - Date.parse(b.remote?.ended_at ?? '') ||
        a.one.batch.number - b.one.batch.number,
    )
    for (const { one, remote } of ended) {
      // A batch that another tool made was never armed, so nothing about its create is unknown.
      if (remote || !job.batch(one.batch.number).armed) await this.#end(job, one, remote)
      else this.#startSearch(job, one)
    }
    for (const { batch } of waiting)
      if (this.#waiting.has(batch.number)) job.queue.settleLeftBehind(batch.number)
  }

  /**
   * Notes since when the API does not know a batch, and returns whether that has lasted for the settle time. The API may return 404 for
   * some seconds after it accepted a batch: that is no reason to give up, and never one to resend. The time is journaled, since a job
   * may be driven by many short processes.
   */
  async #isLost(job: StoredJob, one: Waiting, isMissing: boolean): Promise<boolean> {
    const { number } = one.batch
    const now = { at: job.clock.now(), serverAt: job.session.serverTime.now() }
    const { missingSince: since = null } = job.batch(number)
    if (isMissing !== (since !== null))
      await job.note({ type: 'missing', number, since: isMissing ? now : null }, false)
    if (!isMissing) {
      one.missingSince = undefined
      return false
    }
    one.missingSince ??= job.clock.elapsed()
    const { at, serverAt } = since ?? now
    const isTimed = serverAt !== null && now.serverAt !== null
    // Without the API's clock the local one counts, which may jump: the batch is only searched for, and never sent again.
    const elapsed = isTimed
      ? elapsedSince(job, { at, serverAt }, one.missingSince)
      : Math.max(job.clock.elapsed() - one.missingSince, now.at - at)
    return elapsed >= (this.#options.settle ?? DEFAULT_SETTLE_MS)
  }

  #startSearch(job: StoredJob, one: Waiting): void {
    const { number } = one.batch
    // `receive` created it before the first poll.
    const api = this.#api as Api
    this.#waiting.delete(number)
    job.queue.beginSearch(number)
    const search = this.#search(job, api, one).finally(() => {
      job.queue.endSearch(number)
      this.#searches.delete(search)
    })
    this.#searches.add(search)
    this.runBeside(search)
  }

  /**
   * Before the rows of a batch become `unanswered`: the reply to its create may have come from a broken cache, or a byte of its
   * id may have changed. Then the batch exists under another id, and asking again would pay for it twice.
   */
  async #search(job: StoredJob, api: Api, one: Waiting): Promise<void> {
    const { batch, id, missingSince: sentBefore } = one
    const { number } = batch
    const { settle: settleMs = DEFAULT_SETTLE_MS, ownedElsewhere, adopt } = this.#options
    const onWait = (why: string): void => notify('onWait', this.#options.onWait, batch, why)
    onWait(`the API does not know batch ${id}; searching its list for a batch with these requests`)
    const { signal } = this
    const found = await searchOrStop({
      ...{ job, api, number, settleMs, ownedElsewhere, adopt, sentBefore, signal, onWait },
    })
    if (found === undefined) return
    if (found === 'absent' || found === 'lost') return await this.#end(job, one, undefined)
    if ('undecided' in found) {
      await leaveUndecided(job, number, found, onWait)
      return
    }
    if (found.id !== id) {
      const at = job.clock.now()
      const createdAt = Date.parse(found.remote.created_at)
      await job.note(
        { type: 'submitted', number, id: found.id, at, adopted: true, createdAt },
        true,
      )
    }
    const submitted = job.submittedBatch(number)
    if (found.remote.processing_status !== 'ended') return this.#wait(job, api, submitted, found.id)
    await this.#end(job, { ...one, batch: submitted, id: found.id }, found.remote)
  }

  async #end(
    job: StoredJob,
    { batch, id }: Waiting,
    remote: RemoteBatch | undefined,
  ): Promise<void> {
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
    this.push(job.endedBatch(batch.number))
  }
}
