// takes  SealedBatch
// gives  SubmittedBatch: the API has it exactly once, and its id is journaled
// next   awaitEnd
import { answeredByClient } from '../../api/answered-by.ts'
import type { AnthropicClient } from '../../api/client.ts'
import type { Backoff } from '../../core/backoff.ts'
import { Api, errorOf } from '../../api/api.ts'
import type { Failure } from '../../api/failure.ts'
import { needClient } from '../../api/need-client.ts'
import { Retries } from '../../api/retry-policy.ts'
import { BatchStreamError, listOfTexts, wholeNumber, wrapError } from '../../core/errors.ts'
import type { Problem, SealedBatch, Submits, SubmittedBatch } from '../../core/flow.ts'
import { isInSeveralWorkspaces, openCandidates } from '../../core/job/state.ts'
import { isCollected, ownedIds, sendableCount, unresolvedCounts } from '../../store/sendable.ts'
import { hasBody } from '../../store/cache.ts'
import { JobStage } from '../job-stage.ts'
import type { StoredJob } from '../../store/job.ts'
import { mustBeNoCopy } from '../../store/open.ts'
import { DEFAULT_CONCURRENCY, DEFAULT_SETTLE_MS } from '../../core/limits.ts'
import { notify } from '../../core/notify.ts'
import { typed, type CarryingStage } from '../../core/stage.ts'
import { afterFailure, filteredBy, isFailingForLong } from './failing.ts'
import { ensureFreeSpace } from './free-space.ts'
import type { CreateOutcome, Refusal } from './outcome.ts'
import {
  judgesContent,
  NAMED_REFUSALS,
  planProbes,
  PROBES,
  RefusalTracker,
  type RefusalVerdict,
} from './refusal.ts'
import {
  isMissing,
  leaveUndecided,
  mustBePossible,
  proven,
  searchOrStop,
  unproven,
  type SearchOptions,
} from '../search/search.ts'
import { firstOf, half, splitBatch, without, type PartAssignment } from './split-batch.ts'
import { uploadBatch } from './upload.ts'

/** Options of `submit`. Times are in ms. */
export interface SubmitOptions {
  /** A client of `@anthropic-ai/sdk`, 1.11 or newer. */
  readonly client: AnthropicClient
  /**
   * Maximum batches in flight, at least 1. Further batches wait on disk until `awaitEnd` sees one end.
   * @default 10 if an `awaitEnd` follows, otherwise unlimited
   */
  readonly concurrency?: number
  /**
   * How long to search for a batch whose create got no reply before it is sent again, in ms.
   * @default 600000
   */
  readonly settle?: number
  /**
   * Ids of batches that belong to other jobs, so that none of them is adopted.
   * @default none
   */
  readonly ownedElsewhere?: (() => Promise<ReadonlySet<string>>) | undefined
  /**
   * Your decisions after an error whose `option` is `adopt`: the ids of batches that belong to this job, or `none` if no
   * other batch that the error named does. Such an error ends a run if a create got no reply and a batch of the API has the
   * same custom_ids, which you chose: they do not show which job sent it.
   * @default no decision
   */
  readonly adopt?: readonly string[] | undefined
  /**
   * Waits between tries of an API call. They hold for all later calls of the job, so `submit` alone is enough.
   * @default { first: 500, most: 60000 }
   */
  readonly backoff?: Backoff | undefined
  /** Called with the reason when a batch has to wait. */
  readonly onWait?: (batch: SealedBatch, why: string) => unknown
  /** Called when the API's queue is full (429); the batch waits and is sent later. */
  readonly onBusy?: () => unknown
  /**
   * Called before a batch is sent. If it resolves to false, the batch stays sealed and is not emitted. Spending caps use it.
   * The signal aborts when nothing more is sent.
   * @default every batch is sent
   */
  readonly approve?: ((batch: SealedBatch, signal: AbortSignal) => Promise<boolean>) | undefined
  /**
   * Sends nothing: every request that the API does not have becomes a `rejected` result. Batches in flight are still emitted,
   * and unknown creates are still searched for.
   * @default false
   */
  readonly abandon?: boolean | undefined
}

/**
 * Takes sealed batches, submits each exactly once, and emits it with its id. An unknown outcome (no reply, a 5xx, a crash between two journal lines) is looked up in the
 * API's list and never assumed: that costs time, never money.
 *
 * If the API accepts no more batches, submission stops but the pipeline continues: batches in flight are awaited and their
 * results emitted, then the last stage fails with the reason. That is `CBS_ACCESS` for the key, billing or a spend limit,
 * `CBS_STOPPED` if every request is refused or a batch needs a decision (`adopt`), `CBS_DISK` if the answers may not fit on the disk, and `CBS_API` otherwise. A
 * single request that the API refuses becomes a `rejected` row.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option
 */
export function submit(
  options: SubmitOptions,
): CarryingStage<SealedBatch<object>, SubmittedBatch, Submits> {
  needClient(options)
  wholeNumber('concurrency', options.concurrency ?? DEFAULT_CONCURRENCY, 1, Infinity)
  wholeNumber('settle', options.settle ?? DEFAULT_SETTLE_MS, 0, Infinity)
  listOfTexts('adopt', options.adopt)
  return typed(new Submit(options))
}

/** The most bytes of a request whose size is hardly the cause of a 413. */
const SMALL_BYTES = 1024 * 1024

function refusedAs(message: string, type = 'invalid_request_error'): Problem {
  return { type, message }
}

/** The longest wait that a limit on the requests per minute asks for. */
const RATE_LIMIT_MS = 60_000

/** Whether a reply may mean that the API's queue is full. How the API says so is not documented. */
function isQueueFull({ kind, retryAfterMs }: Failure): boolean {
  return kind === 'busy' && (retryAfterMs === undefined || retryAfterMs > RATE_LIMIT_MS)
}

/** How often a queue that others have filled is checked. */
const SHARED_QUEUE_POLL_MS = 5000

/**
 * How long a batch is searched for whose create got a reply that is not the API's own: the API has replied by then, and only its list
 * may be behind.
 */
const REPLIED_SETTLE_MS = 60_000

function lostBody(number: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_API',
    `batch ${number} did not reach the API, and its body was lost with the disk of the worker that sealed it: run the same command again to send its records`,
  )
}

/** Why a request of an abandoned job has no answer. */
const ABANDONED: PartAssignment = {
  type: 'abandoned',
  message: 'the job was abandoned before this request was sent',
}

/** The API's status where the cause is its load, and not the request. */
const OVERLOADED = 529

/** The maximum wait for the results of earlier batches, which a stage in between may hold back. */
const MAX_COLLECT_MS = 600_000

export class Submit extends JobStage<SealedBatch> {
  readonly #options: SubmitOptions
  readonly #refusals = new RefusalTracker()
  /** Roots of split batches whose parts are refused for single requests, not for a common cause. */
  readonly #individual = new Set<number>()
  /** Batches of one request that are sent once more after they were refused. */
  readonly #refusedTwice = new Set<number>()
  /** The number of requests that were refused by name, by the root of their batch. */
  readonly #refusalsByName = new Map<number, number>()
  /** The check of a finished job before its retry is sent. */
  #isNoCopy: Promise<void> | undefined
  /** Searches for batches with an unknown outcome, and parts that wait for such a search. */
  readonly #parallel = new Set<Promise<void>>()
  /** Whether a batch was not approved. Then batches without requests wait too: their records may repeat records of that batch. */
  #isHeldBack = false
  /** The failures of batches that are sent again, and when each was sent last. */
  readonly #retries = new Map<number, Retries>()
  readonly #sentAt = new Map<number, number>()
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
    if (!this.#api) mustBePossible(job.state.batches.values(), this.#options.adopt ?? [])
    this.#api ??= new Api({
      client: this.#options.client,
      session: job.session,
      signal: this.signal,
      onWait: ({ message }) => this.#reportWait(batch, message),
    })
    if (await this.#isElsewhere(job, number)) return
    await this.#process(job, number)
  }

  protected override async finish(): Promise<void> {
    const { job } = this
    let verdict: RefusalVerdict | undefined
    do {
      // A search may start another one, for the parts of a batch that was split.
      while (this.#parallel.size > 0) await Promise.all(this.#parallel)
      if (!job) return
      verdict = this.#refusals.ended(ownedIds(job.state).size > 0)
      if (!(await this.#outlasts(job, verdict))) break
      await this.#applyVerdict(job, verdict)
    } while (verdict.kind === 'reject')
    await this.reportStop(job.queue.unreportedStop)
  }

  /** If nothing awaits the end of batches, a default limit would block submission forever. */
  #concurrencyOf({ queue }: StoredJob): number {
    return this.#options.concurrency ?? (queue.isAwaited ? DEFAULT_CONCURRENCY : Infinity)
  }

  async #process(job: StoredJob, number: number): Promise<void> {
    const { phase, requests } = job.batch(number)
    if (phase === 'armed') this.#startSearch(job, number)
    else if (phase !== 'sealed') this.push(job.submittedBatch(number))
    else if (requests > 0) await this.#send(job, number)
    else if (!this.#isHeldBack && !job.queue.stopReason) this.push(job.submittedBatch(number))
  }

  /** Leaves a batch as it is that is in another workspace than those of this process's key. */
  async #isElsewhere(job: StoredJob, number: number): Promise<boolean> {
    const { phase, id } = job.batch(number)
    const isAtApi = id !== null && (phase === 'submitted' || phase === 'ended')
    if (!isAtApi || !isInSeveralWorkspaces(job.state)) return false
    const search = this.#searchOf(job, number)
    // A run that may leave does not wait for an API that fails.
    const api = search.api.waiting(wait => job.queue.betweenTries(number, wait))
    await api.proveWorkspaceIfListed()
    return (await api.lookUpSurely(id)) === undefined && !(await isMissing(search))
  }

  /** Sends a batch until its outcome is known, a search has to find it, or submission has stopped. */
  async #send(job: StoredJob, number: number): Promise<void> {
    if (await this.#adoptRuledOut(job, number)) return
    await this.#collectFirst(job, job.batch(number).attempt)
    if (job.queue.stopReason) return
    if (this.#options.abandon) return await this.#split(job, number, () => ABANDONED)
    if (!(await this.#isApproved(job, number))) {
      this.#isHeldBack = true
      return
    }
    for (;;) {
      const count = await this.#waitForSlot(job, number)
      if (count === undefined) return
      const { requests } = job.batch(number)
      if (count < requests) return await this.#split(job, number, firstOf(count))
      const given = await this.#upload(job, number).finally(() => job.queue.endSending(number))
      if (given === 'stopped') return
      if (given === 'noRoom') {
        job.queue.isBusy = true
        this.#reportWait(
          job.sealedBatch(number),
          "according to the ledger, the API's queue is full",
        )
        if (!(await this.#pause(job, SHARED_QUEUE_POLL_MS))) return
        continue
      }
      const outcome = await this.#unlessFiltered(job, number, given)
      switch (outcome.kind) {
        case 'created':
          this.#retries.delete(number)
          this.#sentAt.delete(number)
          return await this.#applyVerdict(job, this.#refusals.accepted())
        case 'unknown':
          // A gateway may have passed the create on, and waiting does not help: the next start searches.
          if (outcome.failure.kind === 'redirect' || outcome.refusal?.kind === 'stop')
            return job.queue.stop(mayBeSent(number, outcome.failure))
          this.#reportWait(job.sealedBatch(number), outcome.failure.message)
          return this.#startSearch(job, number, outcome)
        case 'again':
          if (await this.#isolateFailing(job, number, outcome.failure)) return
          if (!(await this.#waitToRetry(job, number, outcome.failure))) return
          break
        default:
          return await this.#refuse(job, number, outcome)
      }
    }
  }

  /** An outcome, or what it means if a filter has blocked a record of this batch, and not every create of the job. */
  async #unlessFiltered(
    job: StoredJob,
    number: number,
    outcome: CreateOutcome,
  ): Promise<CreateOutcome> {
    const filtered = filteredBy(outcome)
    if (!filtered) return outcome
    const { root } = job.batch(number)
    if (job.batch(root).failed || ownedIds(job.state).size > 0) return filtered
    // The wrong address, or a proxy that blocks everything, ends the run before anything is split; the next one knows more.
    await this.#noteFailed(job, number)
    return outcome
  }

  /** Notes that a create of this process failed for no stated reason. */
  async #noteFailed(job: StoredJob, number: number): Promise<void> {
    const at = job.clock.now()
    // It was sent before it failed.
    const sentAt = this.#sentAt.get(number) as number
    await job.note({ type: 'failed', number, sentAt, at }, false)
  }

  /** Does what follows from the refusal of a batch that the API does not have. */
  async #refuse(job: StoredJob, number: number, refusal: Refusal): Promise<void> {
    const { requests, root, bytes } = job.batch(number)
    switch (refusal.kind) {
      case 'again':
        return await this.#send(job, number)
      case 'split':
        // A gateway may refuse everything.
        if (requests === 1 && bytes <= SMALL_BYTES)
          return await this.#refusedAlone(job, number, refusal.failure, 'request_too_large')
        return await this.#split(job, number, half(requests))
      case 'stop':
        return job.queue.stop(errorOf(`submit batch ${number}`, refusal.failure))
      case 'refused':
        return await this.#isolate(job, number, refusal.failure)
      case 'reject': {
        const { position, failure } = refusal
        const named = (this.#refusalsByName.get(root) ?? 0) + 1
        this.#refusalsByName.set(root, named)
        if (position >= requests || named > NAMED_REFUSALS)
          return await this.#isolate(job, number, failure)
        await this.#reject(job, number, position, refusedAs(failure.message))
      }
    }
  }

  /** Adopts a batch that the user has ruled out and now names, as long as this one is not sent again. */
  async #adoptRuledOut(job: StoredJob, number: number): Promise<boolean> {
    const { candidates } = job.batch(number)
    // It may have been ruled out because it is, or may be, another batch of the job.
    const isOfAnother = (one: string): boolean =>
      [...job.state.batches.values()].some(
        batch => batch.id === one || openCandidates(batch).includes(one),
      )
    const id = this.#options.adopt?.find(one => candidates[one] === 'ruledOut' && !isOfAnother(one))
    if (id === undefined) return false
    const search = this.#searchOf(job, number)
    await search.api.proveWorkspace()
    const found = await proven(search, id)
    if (typeof found !== 'object') throw unproven(number, id, found)
    await this.#accept(job, number, { id, createdAt: Date.parse(found.created_at) }, true)
    return true
  }

  /** Whether a batch may be sent. A stop ends the wait: what `approve` waits for may need a decision of the user. */
  async #isApproved(job: StoredJob, number: number): Promise<boolean> {
    const { approve } = this.#options
    if (!approve) return true
    const over = new AbortController()
    const signal = AbortSignal.any([this.signal, over.signal])
    const stopped = job.when(() => job.queue.stopReason !== undefined, signal).then(() => false)
    const ask = async (): Promise<boolean> => {
      try {
        return (await approve(job.sealedBatch(number), signal)) !== false
      } catch (cause) {
        throw signal.aborted ? cause : wrapError('CBS_STAGE', '`approve` failed', cause)
      }
    }
    return await Promise.race([ask(), stopped]).finally(() => over.abort())
  }

  /** Waits for the results of ended batches that an earlier process submitted. Running batches are not waited for. */
  async #collectFirst(job: StoredJob, attempt: number): Promise<void> {
    const isDone = (): boolean => job.queue.stopReason !== undefined || isCollected(job, attempt)
    if (isDone()) return
    const over = new AbortController()
    const signal = AbortSignal.any([this.signal, over.signal])
    await Promise.race([job.when(isDone, signal), job.clock.sleep(MAX_COLLECT_MS, signal)]).finally(
      () => over.abort(),
    )
  }

  /**
   * Waits until a batch may be sent, and returns how many of its requests; if all, the batch counts as being sent. Undefined
   * once submission has stopped.
   */
  async #waitForSlot(job: StoredJob, number: number): Promise<number | undefined> {
    let count = 0
    const isOver = (): boolean => {
      if (job.queue.stopReason) return true
      count = sendableCount(job, number, this.#concurrencyOf(job))
      // In the same tick; otherwise another waiting batch would be sent at the same time.
      if (count === job.batch(number).requests) job.queue.beginSending(number)
      return count > 0
    }
    await job.when(isOver, this.signal)
    return count > 0 ? count : undefined
  }

  /**
   * Sends a batch once and journals the outcome, if it is known. If the disk has no room for the answers or the body is damaged,
   * submission stops, and batches in flight are still collected. `noRoom`: the queue that the job shares with others is full.
   */
  async #upload(job: StoredJob, number: number): Promise<CreateOutcome | 'stopped' | 'noRoom'> {
    const { ownedElsewhere } = this.#options
    // `receive` created it before anything is sent.
    const api = this.#api as Api
    await api.proveWorkspace()
    const { visits } = job.session
    if (visits) {
      job.queue.stop(visits)
      return 'stopped'
    }
    if (job.state.finished) await (this.#isNoCopy ??= mustBeNoCopy(placeOf(job), job.state.run))
    const stop = (cause: unknown): 'stopped' => {
      job.queue.stop(wrapError('CBS_DISK', 'the free disk space is unknown', cause))
      return 'stopped'
    }
    // Where replies name no workspace, all workers that use one gateway share its queue.
    const pool = job.session.workspace ?? api.caller.origin
    if ((await job.shared?.reserveQueue(number, pool)) === false) return 'noRoom'
    try {
      await ensureFreeSpace(job, job.batch(number).bytes)
    } catch (cause) {
      return stop(cause)
    }
    this.#sentAt.set(number, job.clock.now())
    const outcome = await uploadBatch(job, api, number, this.signal, ownedElsewhere).catch(
      (cause: unknown) => {
        // A damaged body is detected before the batch is armed.
        if (cause instanceof BatchStreamError && cause.code === 'CBS_STATE') return stop(cause)
        throw cause
      },
    )
    if (outcome === 'stopped') return outcome
    if (outcome.kind === 'created') {
      await this.#accept(job, number, outcome, false, outcome.foreign?.workspace)
      if (outcome.foreign) job.queue.stop(outcome.foreign.error)
    } else if (outcome.kind !== 'unknown')
      await this.#disarm(job, number, outcome.kind === 'again' && isQueueFull(outcome.failure))
    this.signal.throwIfAborted()
    return outcome
  }

  /** Notes that the API does not have a batch. `isFull`: the reason is its full queue. */
  async #disarm(job: StoredJob, number: number, isFull = false): Promise<void> {
    if (job.batch(number).phase === 'armed') await job.note({ type: 'disarmed', number }, true)
    await job.shared?.releaseQueue(number, isFull)
  }

  /** Waits before a batch is sent again. Returns false once submission has stopped. */
  async #waitToRetry(job: StoredJob, number: number, failure: Failure): Promise<boolean> {
    const retries = this.#retries.get(number) ?? new Retries(job.session)
    this.#retries.set(number, retries)
    const waitMs = retries.next(failure)
    if (waitMs === null) {
      job.queue.stop(errorOf(`submit batch ${number}`, failure))
      return false
    }
    if (failure.kind === 'busy') {
      job.queue.isBusy = true
      notify('onBusy', this.#options.onBusy)
    }
    this.#reportWait(job.sealedBatch(number), failure.message)
    return await job.queue.betweenTries(number, this.#pause(job, waitMs))
  }

  /** Halves a batch, or rejects its only request, if that may be why its creates fail. Returns whether it did. */
  async #isolateFailing(job: StoredJob, number: number, failure: Failure): Promise<boolean> {
    if (failure.kind === 'busy' || failure.status === OVERLOADED) return false
    await this.#noteFailed(job, number)
    const { settleMs, api } = this.#searchOf(job, number)
    const next = afterFailure(job.state, number, { now: job.clock.now(), settleMs })
    // Where the list fails, too, the cause is the API or the connection.
    if (next === 'again' || !(await api.listIfThere(undefined, 1, 'valid'))) return false
    if (next === 'split') {
      const { requests } = job.batch(number)
      // One may fail again, which must not keep the other from being sent.
      for (const part of await splitBatch(job, number, half(requests), { isolated: true }))
        this.#runBeside(this.#process(job, part))
    } else {
      const message = `every create with this request fails, and the API accepts others: ${failure.message}`
      await this.#split(job, number, () => ({ type: 'create_failed', message }))
    }
    return true
  }

  /** Waits this long. Returns false once submission has stopped. */
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
    for (const part of await splitBatch(job, number, partOf)) await this.#process(job, part)
  }

  /** Turns one request into a `rejected` row and sends the others of its batch without it. */
  async #reject(
    job: StoredJob,
    number: number,
    position: number,
    { type, message }: Problem,
  ): Promise<void> {
    await this.#split(job, number, without(position, { type, message }))
  }

  /**
   * Isolates the bad requests of a batch that the API refused without naming one, by halving the batch. Before that, some
   * requests are sent alone, since all may share the cause.
   */
  async #isolate(job: StoredJob, number: number, failure: Failure): Promise<void> {
    const { requests, root, isolated } = job.batch(number)
    if (requests === 1) return await this.#refusedAlone(job, number, failure)
    if (isolated || this.#individual.has(root)) {
      for (const part of await splitBatch(job, number, half(requests), { isolated: true }))
        await this.#processPart(job, part)
      return
    }
    const { partOf, probes } = planProbes(requests)
    const parts = await splitBatch(job, number, partOf)
    for (const part of parts.filter((_, index) => probes.includes(index)))
      await this.#processPart(job, part)
    // Fewer probes prove nothing, even if all of them are refused.
    if (probes.length === PROBES) this.#individual.add(root)
    for (const part of parts.filter((_, index) => !probes.includes(index)))
      await this.#processPart(job, part)
  }

  /** Rejects a request that was refused alone once that is due to its content. */
  async #refusedAlone(
    job: StoredJob,
    number: number,
    { message, cause }: Failure,
    type?: string,
  ): Promise<void> {
    const problem = refusedAs(message, type)
    const judges = judgesContent(cause)
    const isProven = job.batch(number).isolated && judges
    if (isProven || (await this.#isRefusedForLong(job, number)))
      return await this.#reject(job, number, 0, problem)
    await this.#applyVerdict(job, this.#refusals.refusedAlone({ number, ...problem, judges }))
  }

  /** Whether a request was refused alone so often, and for so long, that it is rejected, as others of the job were accepted. */
  async #isRefusedForLong(job: StoredJob, number: number): Promise<boolean> {
    await this.#noteFailed(job, number)
    const { settleMs } = this.#searchOf(job, number)
    const isForLong = isFailingForLong(job.batch(number), { now: job.clock.now(), settleMs })
    return isForLong && ownedIds(job.state).size > 0
  }

  /** Waits as long as something on the way may block everything, before its refusals count. Returns false once submission has stopped. */
  async #outlasts(job: StoredJob, verdict: RefusalVerdict): Promise<boolean> {
    if (verdict.kind !== 'reject' || !verdict.unless) return true
    const first = verdict.refused.find(({ number }) => !this.#refusedTwice.has(number))
    if (!first) return true
    const { number, message } = first
    const { settleMs } = this.#searchOf(job, number)
    this.#reportWait(job.sealedBatch(number), `it is sent once more later: ${message}`)
    return await job.queue.betweenTries(number, this.#pause(job, settleMs))
  }

  /** Sends a part of a split batch. If a batch with its count has an unknown outcome, the part waits without blocking others. */
  async #processPart(job: StoredJob, part: number): Promise<void> {
    const taking = this.#process(job, part)
    if (unresolvedCounts(job).has(job.batch(part).requests)) this.#runBeside(taking)
    else await taking
  }

  async #applyVerdict(job: StoredJob, verdict: RefusalVerdict): Promise<void> {
    if (verdict.kind === 'common')
      job.queue.stop(
        new BatchStreamError(
          'CBS_STOPPED',
          `the API refuses every request, so nothing more is sent: ${verdict.message}`,
        ),
      )
    else if (verdict.kind === 'reject')
      for (const { number, ...problem } of verdict.refused) {
        if (this.#refusedTwice.has(number)) await this.#reject(job, number, 0, problem)
        else {
          // A gateway may have refused everything for a moment.
          this.#refusedTwice.add(number)
          await this.#send(job, number)
        }
      }
  }

  /** Notes that the API has a batch. `workspace`: if it is not that of the job's other batches. */
  async #accept(
    job: StoredJob,
    number: number,
    { id, createdAt }: { readonly id: string; readonly createdAt: number | undefined },
    adopted: boolean,
    workspace?: string,
  ): Promise<void> {
    const answeredBy = answeredByClient(this.#options.client)
    const at = job.clock.now()
    const more = {
      ...(createdAt !== undefined && { createdAt }),
      answeredBy,
      ...(workspace !== undefined && { workspace }),
    }
    await job.note({ type: 'submitted', number, id, at, adopted, ...more }, true)
    await job.store.disk.remove(job.store.path(number, 'body'))
    this.push(job.submittedBatch(number))
  }

  #reportWait(batch: SealedBatch, why: string): void {
    notify('onWait', this.#options.onWait, batch, why)
  }

  #startSearch(job: StoredJob, number: number, reply: SearchedReply = {}): void {
    this.#runBeside(this.#search(job, number, reply))
  }

  #runBeside(work: Promise<void>): void {
    const tracked: Promise<void> = work.finally(() => this.#parallel.delete(tracked))
    this.#parallel.add(tracked)
    this.runBeside(tracked)
  }

  #searchOf(job: StoredJob, number: number): SearchOptions {
    const { settle: settleMs = DEFAULT_SETTLE_MS, ownedElsewhere, adopt } = this.#options
    const onWait = (why: string): void => this.#reportWait(job.sealedBatch(number), why)
    // `receive` created it before the first batch is processed.
    const api = this.#api as Api
    const { signal } = this
    return { job, api, number, settleMs, signal, ownedElsewhere, adopt, onWait }
  }

  async #search(
    job: StoredJob,
    number: number,
    { failure, isRefused, refusal }: SearchedReply,
  ): Promise<void> {
    const options = this.#searchOf(job, number)
    const { settleMs: settle, onWait } = options
    const settleMs = isRefused ? 0 : refusal ? Math.min(settle, REPLIED_SETTLE_MS) : settle
    const found = await searchOrStop({ ...options, settleMs })
    if (found === undefined) return
    if (found === 'absent') {
      await this.#disarm(job, number)
      if (refusal) return await this.#refuse(job, number, refusal)
      // The body was on another machine. The next start batches its records again.
      if (!(await hasBody(job, job.batch(number)))) return job.queue.stop(lostBody(number))
      if (failure && !isRefused) {
        if (await this.#isolateFailing(job, number, failure)) return
        if (!(await this.#waitToRetry(job, number, failure))) return
      }
      return await this.#send(job, number)
    }
    if (found === 'lost') {
      const at = job.clock.now()
      await job.note({ type: 'ended', number, counts: null, resultsUrl: null, at }, true)
      this.push(job.submittedBatch(number))
      return
    }
    if ('undecided' in found) await leaveUndecided(job, number, found, onWait)
    else {
      const createdAt = Date.parse(found.remote.created_at)
      await this.#accept(job, number, { id: found.id, createdAt }, true)
    }
  }
}

/** What the reply to a create that is searched for has said of it. */
type SearchedReply = Partial<Omit<Extract<CreateOutcome, { kind: 'unknown' }>, 'kind'>>

/** The error of a create that was refused, but not by the API itself. */
function mayBeSent(number: number, failure: Failure): BatchStreamError {
  const { code, message, cause } = errorOf(`submit batch ${number}`, failure)
  const why = `${message}. This reply is not the API's own, so the API may have the batch: the next run looks for it`
  return new BatchStreamError(code, why, { cause })
}

function placeOf({ name, store }: StoredJob): Parameters<typeof mustBeNoCopy>[0] {
  return { name, folder: store.folder, disk: store.disk }
}
