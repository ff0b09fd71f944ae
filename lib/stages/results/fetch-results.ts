// takes  EndedBatch
// gives  Result, one for each record of the batch, in input order
// next   retry, or a writer
import { once } from 'node:events'
import type { Job } from '../../core/job/job.ts'
import type { AnthropicClient } from '../../api/client.ts'
import type { Backoff } from '../../core/backoff.ts'
import { Api } from '../../api/api.ts'
import { needClient } from '../../api/need-client.ts'
import { BatchStreamError, listOfTexts, wholeNumber } from '../../core/errors.ts'
import type { EndedBatch } from '../../core/flow.ts'
import { JobStage } from '../job-stage.ts'
import { listPrice } from '../../cost/price.ts'
import { answerCost } from '../../cost/row-cost.ts'
import { storedJob, type StoredJob } from '../../store/job.ts'
import { earliest } from '../../core/job/earliest.ts'
import { DEFAULT_SETTLE_MS, MAX_SLOW_DOWNLOADS } from '../../core/limits.ts'
import { answerCheck, type AnswerCheck } from '../../core/schema/answer-check.ts'
import type { AnswerSchema } from '../../core/schema/answer-schema.ts'
import { notify } from '../../core/notify.ts'
import { Page } from '../../core/pages.ts'
import { pushAll, typed, type CarryingStage } from '../../core/stage.ts'
import { BatchIds } from '../../store/results/batch-ids.ts'
import { areResultsLost, download } from './download.ts'
import { downloadAgain } from './download-again.ts'
import { ForeignIds, type Ids } from '../../store/results/ids.ts'
import type { OrdinalSet } from '../../store/ordinal-set.ts'
import { sentAfter } from '../../store/sent-records.ts'
import type { Fetches, RecordResult } from '../../core/results/result.ts'
import { rowsOf } from '../../store/results/rows.ts'

/** Options of `fetchResults`. Times are in ms. */
export interface FetchResultsOptions {
  /** A client of `@anthropic-ai/sdk`, 1.11 or newer. */
  readonly client: AnthropicClient
  /**
   * How long a 404 on the results of a batch, or a result set with fewer lines than the batch's own counts, is a temporary failure, in ms.
   * @default 600000
   */
  readonly settle?: number
  /**
   * Waits between tries of an API call. They hold for all later calls of the job, so `submit` alone is enough.
   * @default { first: 500, most: 60000 }
   */
  readonly backoff?: Backoff | undefined
  /**
   * Ids of batches that belong to other jobs, so that none of them is adopted.
   * @default none
   */
  readonly ownedElsewhere?: (() => Promise<ReadonlySet<string>>) | undefined
  /**
   * Your decisions about batches whose ids you chose, as for `submit`. If the results of a batch stay invalid, its id here makes those of
   * their lines count that are valid; the other requests become `unanswered`.
   * @default no decision
   */
  readonly adopt?: readonly string[] | undefined
  /** Called with the reason when a download has to be repeated. */
  readonly onWait?: (batch: EndedBatch, why: string) => unknown
  /**
   * The schema of the answers: each full answer is parsed as JSON, and one that does not match is `invalid`. Only needed if the
   * pipeline has no `template` with a schema.
   * @default the schema of the `template`
   */
  readonly schema?: AnswerSchema | undefined
  /**
   * `given`: batch by batch; the stage fails if the results of one cannot be fetched. The other two fetch every set as soon as possible, so
   * that one that fails keeps no other at the API. If it fails for good, submission stops, and the last stage fails with the reason.
   * Results come in the order in which their sets were fetched, or in that of the input up to those that are missing.
   * @default 'given'
   * @internal
   */
  readonly emits?: 'given' | 'fetched' | 'input'
  /**
   * The job of the batches.
   * @default the job of the first batch
   */
  readonly job?: Job | undefined
}

/**
 * Takes ended batches and emits a result for each of their records. The results of a batch are downloaded to the job, once,
 * and verified before the first one is emitted.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option; the pipeline fails with `CBS_ACCESS` if the key is refused,
 * with `CBS_API` for a result set that stays invalid, and with `CBS_DISK` if it cannot be stored
 */
export function fetchResults(
  options: FetchResultsOptions,
): CarryingStage<EndedBatch<object>, RecordResult, Fetches> {
  needClient(options)
  wholeNumber('settle', options.settle ?? DEFAULT_SETTLE_MS, 0, Infinity)
  listOfTexts('adopt', options.adopt)
  return typed(new FetchResults(options))
}

export class FetchResults extends JobStage<EndedBatch> {
  readonly #options: FetchResultsOptions
  #check: AnswerCheck | undefined
  #isCheckKnown = false
  /** Batches that are fetched, in this order. */
  readonly #ready: EndedBatch[] = []
  /** The numbers of batches whose results were emitted. */
  readonly #given = new Set<number>()
  #emission: Promise<void> = Promise.resolve()
  /** Why the first batch was left for the next run, if that has stopped submission. */
  #leftBecause: BatchStreamError | undefined
  /** Downloads that continue beside the stream. */
  readonly #slow = new Set<Promise<void>>()
  /** One of them at a time. */
  #slowTurn: Promise<unknown> = Promise.resolve()

  constructor(options: FetchResultsOptions) {
    super({
      stage: 'fetchResults',
      takes: 'ended batches',
      backoff: options.backoff,
      failure: { code: 'CBS_API', what: 'fetching results failed' },
      writableHighWaterMark: 1,
    })
    this.#options = options
    if (options.job) storedJob(options.job).queue.isFetched = true
    if (options.schema) this.#learnSchema(options.schema)
  }

  #learnSchema(schema: AnswerSchema | undefined): void {
    if (this.#isCheckKnown) return
    this.#check = schema && answerCheck(schema)
    this.#isCheckKnown = true
  }

  protected override async receive(batch: EndedBatch): Promise<void> {
    const job = this.attach(batch.job)
    this.#learnSchema(this.answerSchema)
    // A run with prices of its own has set it.
    job.costOf ??= answerCost(listPrice)
    if (this.#options.emits === undefined || this.#options.emits === 'given') {
      await this.#fetch(job, batch)
      return await this.#emit(batch)
    }
    await this.#fetchOrGoOn(job, batch)
  }

  protected override async finish(): Promise<void> {
    while (this.#slow.size > 0) await Promise.all(this.#slow)
    await this.reportStop(this.job?.queue.unreportedStop)
  }

  /** Fetches the results of a batch. If that takes long, it continues beside the stream. */
  async #fetchOrGoOn(job: StoredJob, batch: EndedBatch): Promise<void> {
    const slow = new AbortController()
    const done = this.#fetchOrLeave(job, batch, () => slow.abort())
    const isSlow = await Promise.race([
      done.then(() => false),
      once(slow.signal, 'abort').then(() => true),
    ])
    if (!isSlow) return await done
    job.queue.settleLeftBehind(batch.number)
    const beside: Promise<void> = done.finally(() => this.#slow.delete(beside))
    this.#slow.add(beside)
    this.runBeside(beside)
    if (this.#slow.size >= MAX_SLOW_DOWNLOADS) await Promise.race(this.#slow)
  }

  /** Fetches the results of a batch and emits what can be emitted then. If they cannot be fetched, the batch is left as it is. */
  async #fetchOrLeave(job: StoredJob, batch: EndedBatch, onSlow: () => void): Promise<void> {
    try {
      await this.#fetch(job, batch, onSlow)
    } catch (cause) {
      await this.#leave(job, batch, cause)
      return
    }
    this.#ready.push(batch)
    // One batch at a time.
    this.#emission = this.#emission.then(() => this.#emitReady(job))
    await this.#emission
    if (this.#ready.includes(batch)) job.emit({ type: 'held', number: batch.number })
  }

  async #emitReady(job: StoredJob): Promise<void> {
    for (let next; (next = this.#nextReady(job));) await this.#emit(next)
  }

  #nextReady(job: StoredJob): EndedBatch | undefined {
    if (this.#options.emits === 'fetched') return this.#ready.shift()
    const [first] = this.#ready
    const next = first && earliest(job.state.batches.values(), first.attempt, this.#given)
    const at = this.#ready.findIndex(({ number }) => number === next?.number)
    return at === -1 ? undefined : this.#ready.splice(at, 1)[0]
  }

  /** Stops submission because of a batch whose results cannot be fetched. The answers of the others are paid for, too. */
  async #leave(job: StoredJob, batch: EndedBatch, thrown: unknown): Promise<void> {
    // Submission has stopped with this reason.
    if (job.queue.undecided.has(batch.number)) return
    if (!(thrown instanceof BatchStreamError)) throw thrown
    if (!(await isOfBatch(thrown, this.#api(job, batch), batch))) throw thrown
    const cause = withAdvice(thrown, batch)
    job.queue.leaveUndecided(batch.number, [], cause)
    const { stopReason } = job.queue
    if (stopReason === cause) {
      this.#leftBecause = cause
      return
    }
    this.#tell(batch, cause.message)
    // The user decides about all of them at once.
    if (stopReason && stopReason === this.#leftBecause)
      stopReason.message += `; the results of ${batch.id} cannot be fetched either`
  }

  /** Ensures that the results of a batch are on disk. */
  async #fetch(job: StoredJob, batch: EndedBatch, onSlow?: () => void): Promise<void> {
    const { settle: settleMs = DEFAULT_SETTLE_MS, ownedElsewhere, adopt } = this.#options
    const { number } = batch
    const { phase, foreign, requests } = job.batch(number)
    if (phase === 'ended' || (await areResultsLost(job, number))) {
      const ids: Ids = foreign ? new ForeignIds() : await BatchIds.of(job, number)
      const onWait = (why: string): void => this.#tell(batch, why)
      let isSlow = false
      await download({
        ...{ job, api: this.#api(job, batch), number, ids, signal: this.signal, settleMs, onWait },
        ...{ ownedElsewhere, adopt },
        onSlow: () => {
          isSlow = true
          onSlow?.()
        },
        inTurn: async work =>
          await (isSlow ? this.#afterOtherSlow(job, number, work) : work(() => {})),
      })
    } else if (phase === 'sealed' && requests === 0)
      await job.note({ type: 'fetched', number, lines: 0, bytes: 0, why: null }, true)
  }

  /** Downloads when no other slow one runs. A run that may leave waits for it from its first bytes on. */
  #afterOtherSlow<T>(
    job: StoredJob,
    number: number,
    work: (onData: () => void) => Promise<T>,
  ): Promise<T> {
    const data = new AbortController()
    const turn = this.#slowTurn.then(() => work(() => data.abort()))
    this.#slowTurn = turn.catch(() => {})
    void job.queue.betweenTries(number, Promise.race([once(data.signal, 'abort'), this.#slowTurn]))
    return turn
  }

  async #emit({ job, number }: EndedBatch): Promise<void> {
    this.#given.add(number)
    const stored = storedJob(job)
    const ids: Ids = stored.batch(number).foreign
      ? new ForeignIds()
      : await BatchIds.of(stored, number)
    // A download of another batch's results may have ended with the right batch, under another id.
    for await (const rows of rowsOf(stored.endedBatch(number), ids, this.#check, this.signal))
      await pushAll<unknown>(this, rows instanceof Page ? [rows] : rows, this.signal)
  }

  #api({ session }: StoredJob, batch: EndedBatch): Api {
    const onWait = ({ message }: { readonly message: string }): void => this.#tell(batch, message)
    return new Api({ client: this.#options.client, session, signal: this.signal, onWait })
  }

  #tell(batch: EndedBatch, why: string): void {
    notify('onWait', this.#options.onWait, batch, why)
  }
}

/** Whether a download failed because of its batch, and not of the API or the key: a filter may block one result set. */
async function isOfBatch(
  { code }: BatchStreamError,
  api: Api,
  { id }: EndedBatch,
): Promise<boolean> {
  if (code === 'CBS_ACCESS') return id !== null && (await api.lookUp(id)) !== undefined
  return code === 'CBS_API'
}

/** The error with what the user can do about it, unless it says so. */
function withAdvice(error: BatchStreamError, { id }: EndedBatch): BatchStreamError {
  if (error.option === 'adopt') return error
  const { code, message, cause } = error
  const advice = `If they can never be downloaded, resume the job with \`adopt\`: ${id}, which makes its rows \`unanswered\``
  return new BatchStreamError(code, `${message}. ${advice}`, { cause, option: 'adopt' })
}

/**
 * Fetches results once more that an earlier owner of the job had on a disk of its own, so that everything that reads them
 * finds them here.
 */
export async function restoreResults(
  given: Job,
  { client, settleMs = DEFAULT_SETTLE_MS, onWait, signal }: RestoreOptions,
): Promise<void> {
  const job = storedJob(given)
  const { api, tell } = callsFor(job, { client, onWait, signal })
  for (const { number, phase } of [...job.state.batches.values()]) {
    if (phase === 'void' || !(await areResultsLost(job, number))) continue
    const ids = await BatchIds.of(job, number)
    await download({ job, api, number, ids, signal, settleMs, onWait: tell })
  }
}

/**
 * Downloads result sets once more that lack the answers of some of these records, before the records are sent and paid for
 * again. Returns how many answers were found.
 */
export async function completeResults(
  given: Job,
  unanswered: OrdinalSet,
  { client, settleMs = DEFAULT_SETTLE_MS, adopt = [], onWait, signal }: RestoreOptions,
): Promise<number> {
  const job = storedJob(given)
  const { api, tell } = callsFor(job, { client, onWait, signal })
  // Reading it takes a pass over the batches of all later attempts.
  const sentAfterAttempt = new Map<number, OrdinalSet>()
  const waiting: (() => Promise<number>)[] = []
  let found = 0
  for (const { number, id, phase, attempt, foreign, requests, fetched } of [
    ...job.state.batches.values(),
  ]) {
    if (phase === 'void' || foreign || !fetched || fetched.why === null) continue
    const ids = await BatchIds.of(job, number)
    const sent = sentAfterAttempt.get(attempt) ?? (await sentAfter(job, attempt))
    sentAfterAttempt.set(attempt, sent)
    const isMissing = (_: unknown, position: number): boolean => {
      // Each request has a record.
      const ordinal = ids.ordinalAt(position) as number
      return unanswered.has(ordinal) && !sent.has(ordinal)
    }
    if (!Array.from({ length: requests }).some(isMissing)) continue
    const isAdopted = id !== null && adopt.includes(id)
    const options = { job, api, number, ids, signal, settleMs, isAdopted, adopt, onWait: tell }
    waiting.push(() => downloadAgain(options, fetched))
    if (waiting.length === AT_ONCE) found += await sumOf(waiting.splice(0))
  }
  return found + (await sumOf(waiting))
}

/** So many result sets are waited for together, since each may take the settle time. */
const AT_ONCE = 10

/** Starts all of this work, and waits until none of it is left, also if some fails. */
async function sumOf(works: readonly (() => Promise<number>)[]): Promise<number> {
  let sum = 0
  for (const done of await Promise.allSettled(works.map(work => work()))) {
    if (done.status === 'rejected') throw done.reason
    sum += done.value
  }
  return sum
}

/** The API, and the function that passes on the reason for each wait. */
function callsFor(
  job: StoredJob,
  { client, onWait, signal }: Omit<RestoreOptions, 'settleMs'>,
): { readonly api: Api; readonly tell: (why: string) => void } {
  const tell = (why: string): void => onWait?.(why)
  const { session } = job
  return { api: new Api({ client, session, signal, onWait: ({ message }) => tell(message) }), tell }
}

export interface RestoreOptions {
  readonly client: FetchResultsOptions['client']
  readonly settleMs?: number
  /** The user's decisions: of the results of a batch that is named, the valid lines count. */
  readonly adopt?: readonly string[]
  readonly onWait?: ((why: string) => void) | undefined
  readonly signal: AbortSignal
}
