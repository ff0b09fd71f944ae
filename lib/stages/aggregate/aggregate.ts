// takes  BatchRequest or RejectedRecord, one at a time
// gives  SealedBatch: its body is on disk, ready to be sent
// next   submit
import type { Job } from '../../core/job/job.ts'
import { BatchStreamError, wholeNumber } from '../../core/errors.ts'
import type {
  TemplateOutput,
  BatchRequest,
  Problem,
  RejectedRecord,
  SealedBatch,
  Seals,
  SourceRecord,
} from '../../core/flow.ts'
import { Page } from '../../core/pages.ts'
import { RequestPage } from '../../core/request-page.ts'
import { chosenIdsOf, sizeInBody, type BatchWriter } from '../../store/batch-files.ts'
import type { EarlierAnswers } from '../../store/results/earlier-answers.ts'
import type { EarlierAnswer } from '../../store/reused.ts'
import { changedTemplate } from '../../store/replay.ts'
import { JobStage } from '../job-stage.ts'
import type { StoredJob } from '../../store/job.ts'
import { temporaryJob } from '../../store/open.ts'
import { freeCount, unresolvedCounts } from '../../store/sendable.ts'
import {
  DEFAULT_BODY_BYTES,
  DEFAULT_REQUESTS,
  MAX_BODY_BYTES,
  MAX_REQUESTS,
} from '../../core/limits.ts'
import { pushAll, typed, type CarryingStage } from '../../core/stage.ts'
import { checkCustomId } from '../../core/check-custom-id.ts'
import { formatId, idPrefix } from '../../core/custom-id.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { IdSet } from './id-set.ts'
import { bytesAlone, isFull } from './policy.ts'
import { openDedupeIndex } from './dedupe-batch.ts'
import type { DedupeIndex } from './dedupe-index.ts'
import {
  recordOf,
  requestJson,
  serializeRequest,
  type SerializedRequest,
} from './serialize-request.ts'

/** Options of `aggregate`. Times are in ms, sizes in bytes. */
export interface AggregateOptions {
  /**
   * Maximum requests of a batch, 1 to 100,000.
   * @default 10000
   */
  readonly batchSize?: number
  /**
   * Maximum bytes of a batch's body, up to 250,000,000. A larger request gets a batch of its own.
   * @default 64000000
   */
  readonly batchBytes?: number
  /**
   * Seal a partial batch when no record has arrived for this many ms.
   * @default a batch is sealed only when it is full or the input ends
   */
  readonly batchWait?: number
  /** Seal a partial batch this many ms after its first record, even while more records arrive. @default none */
  readonly batchAge?: number
  /**
   * Send identical requests once; all of them share the answer. `inputOrder` must then precede `fetchResults`, since a row may
   * need the answer of an earlier batch.
   * @default false
   */
  readonly dedupe?: boolean
  /**
   * Start the job with a batch of one request and send nothing else until it has ended, so that the other requests find their
   * common prefix in the prompt cache.
   * @default false
   */
  readonly prime?: boolean
  /**
   * Put this many first records into a batch of their own, whose results can be checked before the rest is sent.
   * @default none
   */
  readonly canary?: number
  /**
   * Refuse to resume a named job whose requests were made with other `template` options (prompt, model, schema or other
   * parameters). Then nothing is sent, results of batches in flight are emitted, and the last stage fails with `CBS_INPUT`.
   * @default true
   */
  readonly compareTemplate?: boolean
  /** The job that stores the batches. @default the job of the records, or a temporary one */
  readonly job?: Job | undefined
  /**
   * The attempt that these requests belong to; `retry` passes it to its pipeline.
   * @default 1
   */
  readonly attempt?: number
}

/** The source of answers of earlier jobs. */
export interface Reuse {
  /** The API's origin and betas, which must be the same. */
  readonly answeredBy: string
  /** Opens the answers when the first record of a job arrives. */
  open(job: StoredJob): Promise<EarlierAnswers>
}

/** `AggregateOptions` and what only a run sets. */
export interface ReusingOptions extends AggregateOptions {
  /** Answers that records of the first attempt reuse instead of being sent. */
  readonly reuse?: Reuse | undefined
}

/**
 * Takes requests and invalid records, and emits a batch whose body is on disk whenever one is full. If a job is resumed, the
 * batches in its journal come first. Invalid records keep their place and become `rejected` rows.
 *
 * @throws BatchStreamError `CBS_OPTION` for an invalid option; the pipeline fails with `CBS_INPUT` if a named job was
 * started with another `template`, with `CBS_STAGE` if records are out of order, and with `CBS_DISK` if a batch cannot be
 * stored
 */
export function aggregate(
  options: AggregateOptions = {},
): CarryingStage<BatchRequest<object> | RejectedRecord<object>, SealedBatch, Seals> {
  return aggregateReusing(options)
}

/** `aggregate` with reuse of earlier answers. */
export function aggregateReusing(
  options: ReusingOptions,
): CarryingStage<BatchRequest<object> | RejectedRecord<object>, SealedBatch, Seals> {
  wholeNumber('batchSize', options.batchSize ?? DEFAULT_REQUESTS, 1, MAX_REQUESTS)
  wholeNumber('batchBytes', options.batchBytes ?? DEFAULT_BODY_BYTES, 1, MAX_BODY_BYTES)
  wholeNumber('canary', options.canary ?? 1, 1, Infinity)
  wholeNumber('attempt', options.attempt ?? 1, 1, Infinity)
  if (options.batchWait !== undefined) wholeNumber('batchWait', options.batchWait, 1, 2 ** 31 - 1)
  if (options.batchAge !== undefined) wholeNumber('batchAge', options.batchAge, 1, 2 ** 31 - 1)
  return typed(new Aggregate(options))
}

export class Aggregate extends JobStage<BatchRequest | RejectedRecord | RequestPage> {
  readonly #options: Required<Omit<AggregateOptions, 'batchWait' | 'batchAge' | 'job'>>
  readonly #reuse: Reuse | undefined
  /** The answers of earlier jobs, once a record has arrived. */
  #earlier: EarlierAnswers | undefined
  /** Whether each request gets a key; a named job stores it for later jobs. */
  #isKeyed = false
  readonly #batchWait: number
  readonly #batchAge: number
  readonly #ids = new IdSet()
  /** Whether the next batch primes the cache. */
  #primesCache = false
  /** Requests so far, for `dedupe`. */
  #sent: DedupeIndex | undefined
  /** Whether the preceding template was compared with that of the job. */
  #isCompared = false
  /** Set if the job was started with another template; then all records are ignored. */
  #difference: BatchStreamError | undefined
  #open: BatchWriter | undefined
  #maxRequests = 0
  #nextOrdinal = 0
  /** In the first attempt: records that no batch covers yet. */
  #ranges: readonly (readonly [from: number, to: number])[] = []
  /** Batches of an earlier run that are emitted once their records were read again. */
  #heldBatches: readonly SealedBatch[] = []
  /** Whether this stage spools the records because no `spool` precedes it; undefined before the first record. */
  #spools: boolean | undefined
  #lastArrival = 0
  /** When the first record of the open batch arrived. */
  #firstArrival = 0
  /** Asynchronous work, run one at a time; undefined if there is none. */
  #work: Promise<void> | undefined

  constructor(options: ReusingOptions) {
    super({
      stage: 'aggregate',
      takes: 'requests',
      failure: { code: 'CBS_DISK', what: 'cannot collect a batch' },
      // Each batch that waits to be read may take hundreds of MB on disk.
      readableHighWaterMark: 1,
      // Repeats and earlier answers are looked up one request at a time.
      takesPages: !options.dedupe && !options.reuse,
    })
    const {
      batchSize = DEFAULT_REQUESTS,
      batchBytes = DEFAULT_BODY_BYTES,
      attempt = 1,
      job,
    } = options
    const { dedupe = false, prime = false, canary = Infinity, compareTemplate = true } = options
    this.#options = { batchSize, batchBytes, attempt, dedupe, prime, canary, compareTemplate }
    this.#reuse = attempt === 1 ? options.reuse : undefined
    this.#batchWait = options.batchWait ?? Infinity
    this.#batchAge = options.batchAge ?? Infinity
    // The template is known only once it is piped into this stage.
    this.on('pipe', () => this.job && this.#compare(this.job))
    if (job) this.runBeside(this.#inTurn(() => this.#start(job)))
  }

  protected override receive(item: TemplateOutput | RequestPage): Promise<void> | void {
    if (item instanceof RequestPage) return this.#receivePage(item)
    // A page of other items is never valid.
    if (item instanceof Page) throw wrongInputError('aggregate', 'requests', item) as Error
    if (this.#work || !this.#addNow(item)) return this.#inTurn(() => this.#add(item))
    if (this.#isComplete()) return this.#inTurn(() => this.#seal())
  }

  #receivePage(page: RequestPage): Promise<void> | void {
    const next = this.#work ? 0 : this.#addPageNow(page, 0)
    if (next < page.count || this.#isComplete())
      return this.#inTurn(() => this.#addPage(page, next))
  }

  /** Adds the requests of a page from an index on. A request that the fast path cannot add goes through `#add`. */
  async #addPage(page: RequestPage, from: number): Promise<void> {
    let next = from
    while (next < page.count) {
      if (this.#isComplete()) await this.#seal()
      await this.#add(page.item(next))
      next = this.#addPageNow(page, next + 1)
    }
    if (this.#isComplete()) await this.#seal()
  }

  protected override finish(): Promise<void> {
    return this.#inTurn(async () => {
      const job = await this.#jobOf(undefined)
      if (this.#difference) return this.#reportDifference(job, this.#difference)
      if (this.#spools) await job.input.complete()
      await this.#pushHeld()
      await this.#seal()
    })
  }

  protected override async cleanUp(): Promise<void> {
    await this.#open?.abandon()
    await this.#sent?.close()
    await this.#earlier?.close()
  }

  /** Runs work after all earlier work; after a failure nothing more runs. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = (this.#work ?? Promise.resolve()).then(work)
    this.#work = turn
    const over = (): void => {
      if (this.#work === turn) this.#work = undefined
    }
    turn.then(over, () => {})
    return turn
  }

  async #start(given: Job): Promise<void> {
    const job = this.attach(given)
    this.#compare(job)
    const { attempt, dedupe, prime } = this.#options
    const known = job.batchesOf(attempt)
    for (const batch of known)
      for (const [id] of await chosenIdsOf(job.store, batch)) this.#ids.add(id)
    this.#primesCache = prime && attempt === 1 && known.length === 0
    // With a ledger, answers are on the disks of several machines, so keys in the ledger would be useless.
    this.#isKeyed = dedupe || !(job.store.temporary || job.shared)
    if (dedupe) this.#sent = await openDedupeIndex(job, attempt)
    if (attempt === 1) {
      this.#ranges = job.input.unbatchedRanges()
      const [[next] = [0]] = this.#ranges
      this.#nextOrdinal = next
    }
    if (Math.min(this.#batchWait, this.#batchAge) < Infinity) this.runBeside(this.#watch(job))
    const batches = known.map(batch => job.sealedBatch(batch.number))
    if (!job.input.isRefilling) return await pushAll(this, batches, this.signal)
    // Their rows need records, which may arrive through this very stage.
    this.#heldBatches = batches
    const refilled = job.when(() => !job.input.isRefilling, this.signal)
    this.runBeside(
      refilled.then(
        () => this.#inTurn(() => this.#pushHeld()),
        () => {},
      ),
    )
  }

  async #pushHeld(): Promise<void> {
    const held = this.#heldBatches
    this.#heldBatches = []
    await pushAll(this, held, this.signal)
  }

  /** Whether this record is after the current range: a batch covers consecutive records only. */
  #leavesRange(ordinal: number): boolean {
    return ordinal >= (this.#ranges[0]?.[1] ?? Infinity)
  }

  #isUnbatched(ordinal: number): boolean {
    return this.#ranges.some(([from, to]) => ordinal >= from && ordinal < to)
  }

  /** Compares the template that is piped into this stage with that of the job. */
  #compare(job: StoredJob): void {
    const { attempt, compareTemplate } = this.#options
    if (this.#isCompared || job.store.temporary || attempt > 1 || !compareTemplate) return
    const digest = this.templateDigest
    if (digest === undefined) return
    this.#isCompared = true
    const known = job.state.templateDigest
    // Events keep their order, so this one precedes every batch sealed from now on.
    if (known === null) return this.runBeside(job.note({ type: 'template', digest }, false))
    if (known === digest) return
    this.#difference = changedTemplate(job.name)
    job.queue.stop(this.#difference)
  }

  /** Fails this stage if the job has no batches; otherwise the last stage fails after their rows. */
  #reportDifference(job: StoredJob, difference: BatchStreamError): void {
    if (job.batchesOf(1).length === 0) throw difference
  }

  async #jobOf(record: SourceRecord | undefined): Promise<StoredJob> {
    if (!this.job) await this.#start(record?.job ?? (await temporaryJob()))
    else if (record?.job) this.attach(record.job)
    // `#start` has just attached it.
    return this.job as StoredJob
  }

  /** The fast path: adds a record to the open batch without a promise. Returns false if it cannot. */
  #addNow(item: TemplateOutput): boolean {
    const writer = this.#open
    const record = item.record
    if (!this.job || !writer || record?.ordinal === undefined) return false
    if (writer.full || this.#leavesRange(record.ordinal)) return false
    const asked = serializeRequest(item, this.#isKeyed)
    if (asked?.key && this.#sent?.isReady(asked.key) === false) return false
    const earlier = asked?.key && this.#earlier ? this.#earlier.tryReadSync(asked.key) : null
    if (earlier === undefined) return false
    return this.#place(this.job, writer, { item, ordinal: record.ordinal, asked, earlier })
  }

  /** The same for a page: adds its requests from an index on and returns the index of the first that was not added. */
  #addPageNow(page: RequestPage, from: number): number {
    const { job } = this
    const writer = this.#open
    const { ordinal: first } = page
    if (!job || !writer || first === undefined || first + from < this.#nextOrdinal) return from
    const { attempt, batchBytes } = this.#options
    const prefix = idPrefix(job.run, attempt)
    const limits = { count: this.#maxRequests, bytes: batchBytes }
    let index = from
    for (; index < page.count && !this.#isComplete(); index++) {
      const ordinal = first + index
      const id = formatId(prefix, ordinal)
      const size = sizeInBody(page, index, id)
      if (writer.full || this.#leavesRange(ordinal)) break
      if (isFull(writer, size, limits) || bytesAlone(size) > MAX_BODY_BYTES) break
      writer.addOfPage(page, index, id, ordinal)
      this.#nextOrdinal = ordinal + 1
    }
    // `#add` has put the first record into the open batch.
    if (index > from) this.#lastArrival = job.clock.elapsed()
    return index
  }

  async #add(item: TemplateOutput): Promise<void> {
    const job = await this.#jobOf(item.record)
    if (this.#difference) return
    const ordinal = item.record?.ordinal ?? (await this.#spool(job, item))
    this.#spools ??= false
    if (this.#spools && !this.#isUnbatched(ordinal)) return
    if (this.#leavesRange(ordinal)) {
      await this.#seal()
      this.#ranges = this.#ranges.slice(1)
    }
    if (this.#open?.full) await this.#open.flush()
    const asked = serializeRequest(item, this.#isKeyed)
    if (asked?.key) await this.#sent?.prepare(asked.key)
    this.#earlier ??= await this.#reuse?.open(job)
    const earlier = (asked?.key && (await this.#earlier?.read(asked.key))) ?? null
    const placed = { item, ordinal, asked, earlier }
    const writer = (this.#open ??= await this.#newBatch(job))
    if (!this.#place(job, writer, placed)) {
      await this.#seal()
      this.#open = await this.#newBatch(job)
      this.#place(job, this.#open, placed)
    }
    if (this.#isComplete()) await this.#seal()
  }

  /** Whether the open batch is complete and can be sealed without waiting for the next record. */
  #isComplete(): boolean {
    if (this.#nextOrdinal === this.#options.canary) return true
    return this.#open !== undefined && this.#open.requests >= this.#maxRequests
  }

  async #spool(job: StoredJob, item: TemplateOutput): Promise<number> {
    if (this.#spools === false) {
      throw new BatchStreamError(
        'CBS_STAGE',
        'a request after spool() has no record: stages between spool() and aggregate() must pass it on as `record`',
      )
    }
    if (!this.#spools) job.input.startReplay(this)
    this.#spools = true
    return await job.input.appendOrVerify(
      item.record ?? recordOf(item, job.store.records.count + 1),
    )
  }

  async #newBatch(job: StoredJob): Promise<BatchWriter> {
    this.#maxRequests = this.#primesCache
      ? 1
      : freeCount(this.#options.batchSize, unresolvedCounts(job))
    return await job.store.newBatch({
      keys: this.#isKeyed,
      repeats: this.#options.dedupe,
      reused: this.#earlier && this.#reuse?.answeredBy,
    })
  }

  /** Adds an item to a batch. Returns false if the batch is full. */
  #place(
    job: StoredJob,
    writer: BatchWriter,
    { item, ordinal, asked, earlier }: PlacedItem,
  ): boolean {
    const { attempt } = this.#options
    if (ordinal < this.#nextOrdinal) {
      throw new BatchStreamError(
        'CBS_STAGE',
        `record ${ordinal + 1} reached aggregate() twice or out of order: pass on one request per record, in input order`,
      )
    }
    const chosen = 'params' in item ? item.custom_id : undefined
    const json =
      asked && requestJson(chosen ?? formatId(idPrefix(job.run, attempt), ordinal), asked.params)
    const seen = asked?.key && this.#sent?.find(asked.key)
    // If a batch was lost, its records may precede those that repeat them.
    const first = seen !== undefined && seen < ordinal ? seen : undefined
    const bytes = first === undefined && !earlier ? (json?.length ?? 0) : 0
    if (isFull(writer, bytes, { count: this.#maxRequests, bytes: this.#options.batchBytes }))
      return false
    const problem = 'problem' in item ? item.problem : this.#problemOf(bytes, chosen)
    if (problem || !json)
      writer.reject({ ordinal, custom_id: chosen ?? null, ...(problem ?? NO_PARAMS) })
    else if (earlier && asked.key) writer.reuse(ordinal, asked.key, earlier)
    else if (first !== undefined) writer.repeat(ordinal, first)
    else {
      writer.add(json, ordinal, chosen, asked.key)
      if (asked.key) this.#sent?.put(asked.key, ordinal)
    }
    this.#nextOrdinal = ordinal + 1
    this.#lastArrival = job.clock.elapsed()
    if (writer.records === 1) this.#firstArrival = this.#lastArrival
    return true
  }

  #problemOf(bytes: number, chosen: string | undefined): Problem | undefined {
    if (bytesAlone(bytes) > MAX_BODY_BYTES) {
      return {
        type: 'too_large',
        message: `the request has ${bytes} bytes; the maximum is ${MAX_BODY_BYTES}`,
      }
    }
    if (chosen === undefined) return undefined
    const wrong = checkCustomId(chosen)
    if (wrong || this.#ids.add(chosen)) return wrong
    return {
      type: 'duplicate_custom_id',
      message: `another record has the custom_id ${chosen}; ids must be unique`,
    }
  }

  async #seal(): Promise<void> {
    const writer = this.#open
    const { job } = this
    if (!writer || !job) return
    this.#open = undefined
    const next = this.#options.attempt === 1 ? this.#nextOrdinal : 0
    const sealed = await writer.seal(this.#options.attempt, next)
    this.push(await job.seal({ ...sealed, ...(this.#primesCache && { primes: true }) }))
    this.#primesCache = false
  }

  /** Seals a partial batch after `batchWait` or `batchAge`. */
  async #watch(job: StoredJob): Promise<void> {
    const longest = Math.min(this.#batchWait, this.#batchAge)
    for (;;) {
      await job.clock.sleep(Math.max(1, Math.min(this.#dueIn(job), longest)), this.signal)
      if (this.#open && this.#dueIn(job) <= 0) await this.#inTurn(() => this.#seal())
      else await this.#work
    }
  }

  /** Milliseconds until the open batch must be sealed; infinite if there is none. */
  #dueIn({ clock }: StoredJob): number {
    if (!this.#open) return Infinity
    const due = Math.min(this.#lastArrival + this.#batchWait, this.#firstArrival + this.#batchAge)
    return due - clock.elapsed()
  }
}

/** An item and what decides how its batch covers it. */
interface PlacedItem {
  readonly item: TemplateOutput
  readonly ordinal: number
  readonly asked: SerializedRequest | undefined
  /** The answer of an earlier job to the same request. */
  readonly earlier: EarlierAnswer | null
}

const NO_PARAMS: Problem = { type: 'no_params', message: 'the request has no params' }
