// takes  EndedBatch
// gives  Result, one for each record of the batch, in input order
// next   retry, or a writer
import type { Job } from '../../core/job/job.ts'
import type { AnthropicClient } from '../../api/client.ts'
import type { Backoff } from '../../core/backoff.ts'
import { Api } from '../../api/api.ts'
import { needClient } from '../../api/need-client.ts'
import { BatchStreamError, wholeNumber } from '../../core/errors.ts'
import type { EndedBatch } from '../../core/flow.ts'
import { JobStage } from '../job-stage.ts'
import { listPrice } from '../../cost/price.ts'
import { answerCost } from '../../cost/row-cost.ts'
import { storedJob, type StoredJob } from '../../store/job.ts'
import { DEFAULT_SETTLE_MS } from '../../core/limits.ts'
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
   * If the results of a batch cannot be fetched, submission stops, the other batches are still fetched, and the last stage
   * fails with the reason. By default the stage fails at once, as a stage that needs all batches in order requires.
   * @default false
   * @internal
   */
  readonly skipsUnfetchable?: boolean
  /**
   * The job of the batches.
   * @default the job of the first batch
   */
  readonly job?: Job | undefined
}

/** After this many consecutive batches whose results cannot be fetched, the cause is not a single batch. */
const MAX_UNFETCHABLE = 3

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
  return typed(new FetchResults(options))
}

export class FetchResults extends JobStage<EndedBatch> {
  readonly #options: FetchResultsOptions
  #check: AnswerCheck | undefined
  #isCheckKnown = false
  /** Batches since the last good one whose results could not be fetched. */
  #unfetchable = 0

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
    const { number } = batch
    const job = this.attach(batch.job)
    this.#learnSchema(this.answerSchema)
    // A run with prices of its own has set it.
    job.costOf ??= answerCost(listPrice)
    const { phase, foreign, requests } = job.batch(number)
    const ids: Ids = foreign ? new ForeignIds() : await BatchIds.of(job, number)
    if (phase === 'ended' || (await areResultsLost(job, number))) {
      if (!(await this.#download(job, batch, ids))) return
    } else if (phase === 'sealed' && requests === 0)
      await job.note({ type: 'fetched', number, lines: 0, bytes: 0, why: null }, true)
    // A download of another batch's results may have ended with the right batch, under another id.
    for await (const rows of rowsOf(job.endedBatch(number), ids, this.#check, this.signal))
      await pushAll<unknown>(this, rows instanceof Page ? [rows] : rows, this.signal)
  }

  protected override async finish(): Promise<void> {
    await this.reportStop(this.job?.queue.unreportedStop)
  }

  /** Whether the results are on disk now. */
  async #download(job: StoredJob, batch: EndedBatch, ids: Ids): Promise<boolean> {
    const {
      client,
      settle: settleMs = DEFAULT_SETTLE_MS,
      onWait,
      ownedElsewhere,
      adopt,
    } = this.#options
    const { number } = batch
    const { session } = job
    const { signal } = this
    const tell = (why: string): void => notify('onWait', onWait, batch, why)
    const api = new Api({ client, session, signal, onWait: ({ message }) => tell(message) })
    try {
      await download({
        ...{ job, api, number, ids, signal, settleMs, onWait: tell, ownedElsewhere, adopt },
      })
    } catch (cause) {
      // Submission has stopped with this reason.
      if (this.#options.skipsUnfetchable && job.queue.undecided.has(number)) return false
      if (!this.#options.skipsUnfetchable || !(cause instanceof BatchStreamError)) throw cause
      this.#unfetchable += 1
      if (this.#unfetchable >= MAX_UNFETCHABLE || !(await isOfBatch(cause, api, batch))) throw cause
      // The answers of the other batches are paid for, too.
      job.queue.stop(cause)
      if (job.queue.stopReason !== cause) tell(cause.message)
      return false
    }
    this.#unfetchable = 0
    return true
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
