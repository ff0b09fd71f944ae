// takes  BatchRequest or RejectedRecord, one at a time
// gives  SealedBatch: its body lies on disk, ready to be sent
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
import { freeCount, unresolvedCounts } from '../../store/batch-queue.ts'
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
import { seenBefore } from './dedupe-batch.ts'
import type { DedupeIndex } from './dedupe-index.ts'
import {
  recordOf,
  requestJson,
  serializeRequest,
  type SerializedRequest,
} from './serialize-request.ts'

export interface AggregateOptions {
  /**
   * Requests in a batch at most, 1 to 100,000.
   * @default 10000
   */
  readonly batchSize?: number
  /**
   * Bytes of a batch's body at most, up to 250,000,000. A request that is larger goes alone.
   * @default 64000000
   */
  readonly batchBytes?: number
  /**
   * Seal a part-full batch when nothing has come for so many ms. Without it only a full batch and the end of the input
   * seal one.
   */
  readonly batchWait?: number
  /** Seal a part-full batch so many ms after its first record has come, also while more records come. @default none */
  readonly batchAge?: number
  /**
   * Ask identical requests once: each later one shares the answer of the first. Rows then need their batches in input order,
   * so `inputOrder` must stand before `fetchResults`.
   * @default false
   */
  readonly dedupe?: boolean
  /**
   * Begin the job with a batch of one request, and send nothing else before it has ended: then the others find in the
   * prompt cache what they share with it.
   * @default false
   */
  readonly prime?: boolean
  /**
   * The first so many records go as a batch of their own, to be looked at before the rest is sent.
   * @default none
   */
  readonly canary?: number
  /**
   * Refuse to resume a named job whose requests were made with other options of `template`: another prompt, model,
   * schema or other parameters. Nothing is sent then; results of batches in flight are given, and the last stage fails with `CBS_INPUT`.
   * @default true
   */
  readonly compareTemplate?: boolean
  /** The job to keep batches in; without it, that of the records, or a temporary one. */
  readonly job?: Job | undefined
  /**
   * Which try of the records this is; retry() sets it.
   * @default 1
   */
  readonly attempt?: number
}

/** Where answers of earlier jobs come from. */
export interface Reuse {
  /** Who has to have given them: the API's origin, and the betas. */
  readonly answeredBy: string
  /** Opens them for a job, when its first record comes. */
  open(job: StoredJob): Promise<EarlierAnswers>
}

/** The options that a run adds. */
export interface ReusingOptions extends AggregateOptions {
  /** Answers that records of the first attempt take instead of being sent. */
  readonly reuse?: Reuse | undefined
}

/**
 * Gathers requests into batches on disk. Of a job that is opened again, the batches in its journal come first. Records
 * that cannot be asked keep their place and come out as `rejected` rows.
 */
export function aggregate(
  options: AggregateOptions = {},
): CarryingStage<BatchRequest<object> | RejectedRecord<object>, SealedBatch, Seals> {
  return aggregateReusing(options)
}

/** The same, where answers of earlier jobs may be reused. */
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
  /** The answers of earlier jobs, once a record has come. */
  #earlier: EarlierAnswers | undefined
  /** Whether each request has a key: a job that lasts keeps it for later jobs. */
  #isKeyed = false
  readonly #batchWait: number
  readonly #batchAge: number
  readonly #ids = new IdSet()
  /** Whether the next batch is the one that primes the cache. */
  #primes = false
  /** What has been asked, where repeats are looked for. */
  #seen: DedupeIndex | undefined
  /** Whether the template before this stage has been compared with the job's. */
  #isCompared = false
  /** Set where the job was begun with another template: no record is taken then. */
  #difference: BatchStreamError | undefined
  #open: BatchWriter | undefined
  #most = 0
  #nextOrdinal = 0
  /** The records that no batch covers yet, where this is the first attempt. */
  #ranges: readonly (readonly [from: number, to: number])[] = []
  /** Batches of an earlier run that have not been given yet, as their records are being read again. */
  #heldBatches: readonly SealedBatch[] = []
  /** Whether this stage spools the records itself, because no spool() stands before it. */
  #admits: boolean | undefined
  #lastArrival = 0
  /** When the first record of the open batch came. */
  #firstArrival = 0
  /** Asynchronous work, one after the other; undefined while there is none. */
  #turn: Promise<void> | undefined

  constructor(options: ReusingOptions) {
    super({
      stage: 'aggregate',
      takes: 'requests',
      failure: { code: 'CBS_DISK', what: 'a batch cannot be gathered' },
      // One batch waits to be read: each may be hundreds of MB on disk.
      readableHighWaterMark: 1,
      // Repeats and earlier answers are found by single requests.
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
    // A stage that is made long before it is piped into begins without its template.
    this.on('pipe', () => this.job && this.#compare(this.job))
    if (job) this.runBeside(this.#inTurn(() => this.#begin(job)))
  }

  protected override receive(item: TemplateOutput | RequestPage): Promise<void> | void {
    if (item instanceof RequestPage) return this.#receivePage(item)
    if (item instanceof Page) throw wrongInputError('aggregate', 'requests', item) as Error
    if (this.#turn || !this.#addNow(item)) return this.#inTurn(() => this.#add(item))
    if (this.#isDone()) return this.#inTurn(() => this.#seal())
  }

  #receivePage(page: RequestPage): Promise<void> | void {
    const next = this.#turn ? 0 : this.#addPageNow(page, 0)
    if (next < page.count || this.#isDone()) return this.#inTurn(() => this.#addPage(page, next))
  }

  /** Adds the requests of a page from an index on. Whatever the fast way cannot do is done by the single next one. */
  async #addPage(page: RequestPage, from: number): Promise<void> {
    let next = from
    while (next < page.count) {
      if (this.#isDone()) await this.#seal()
      await this.#add(page.item(next))
      next = this.#addPageNow(page, next + 1)
    }
    if (this.#isDone()) await this.#seal()
  }

  protected override finish(): Promise<void> {
    return this.#inTurn(async () => {
      const job = await this.#jobOf(undefined)
      if (this.#difference) return this.#reportDifference(job, this.#difference)
      if (this.#admits) await job.input.complete()
      await this.#giveHeld()
      await this.#seal()
    })
  }

  protected override async cleanUp(): Promise<void> {
    await this.#open?.abandon()
    await this.#seen?.close()
    await this.#earlier?.close()
  }

  /** Runs work after the work before it; none of it runs after a failure. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = (this.#turn ?? Promise.resolve()).then(work)
    this.#turn = turn
    const over = (): void => {
      if (this.#turn === turn) this.#turn = undefined
    }
    turn.then(over, () => {})
    return turn
  }

  async #begin(given: Job): Promise<void> {
    const job = this.attach(given)
    this.#compare(job)
    const { attempt, dedupe, prime } = this.#options
    const known = job.batchesOf(attempt)
    for (const batch of known)
      for (const [id] of await chosenIdsOf(job.store, batch)) this.#ids.add(id)
    this.#primes = prime && attempt === 1 && known.length === 0
    // A ledger would keep the keys of all machines, and the answers are on their disks.
    this.#isKeyed = dedupe || !(job.store.temporary || job.shared)
    if (dedupe) this.#seen = await seenBefore(job, attempt)
    if (attempt === 1) {
      this.#ranges = job.input.unbatchedRanges()
      this.#nextOrdinal = this.#ranges[0]?.[0] ?? 0
    }
    if (Math.min(this.#batchWait, this.#batchAge) < Infinity) this.runBeside(this.#watch(job))
    const batches = known.map(batch => job.sealedBatch(batch.number))
    if (!job.input.isRefilling) return await pushAll(this, batches, this.signal)
    // Their rows need records, and those may come through this very stage.
    this.#heldBatches = batches
    const refilled = job.when(() => !job.input.isRefilling, this.signal)
    this.runBeside(
      refilled.then(
        () => this.#inTurn(() => this.#giveHeld()),
        () => {},
      ),
    )
  }

  async #giveHeld(): Promise<void> {
    const held = this.#heldBatches
    this.#heldBatches = []
    await pushAll(this, held, this.signal)
  }

  /** Whether records between this one and the last are in a batch already: a batch covers records that follow one another. */
  #leavesRange(ordinal: number): boolean {
    return ordinal >= (this.#ranges[0]?.[1] ?? Infinity)
  }

  #isUnbatched(ordinal: number): boolean {
    return this.#ranges.some(([from, to]) => ordinal >= from && ordinal < to)
  }

  /** Compares the template that is piped into this stage with the one that the job was begun with. */
  #compare(job: StoredJob): void {
    const { attempt, compareTemplate } = this.#options
    if (this.#isCompared || job.store.temporary || attempt > 1 || !compareTemplate) return
    const digest = this.askDigest
    if (digest === undefined) return
    this.#isCompared = true
    const known = job.state.askDigest
    // Notes keep their order, so this one stands before any batch that is sealed from now on.
    if (known === null) return this.runBeside(job.note({ type: 'asked', digest }, false))
    if (known === digest) return
    this.#difference = changedTemplate(job.name)
    job.queue.stop(this.#difference)
  }

  /** The last stage fails with it after the rows of the job's batches; where there are none, this one does. */
  #reportDifference(job: StoredJob, difference: BatchStreamError): void {
    if (job.batchesOf(1).length === 0) throw difference
  }

  async #jobOf(record: SourceRecord | undefined): Promise<StoredJob> {
    if (!this.job) await this.#begin(record?.job ?? (await temporaryJob()))
    // #begin has just attached it.
    return this.job as StoredJob
  }

  /** The fast path: no promise for a record that goes into the open batch. */
  #addNow(item: TemplateOutput): boolean {
    const writer = this.#open
    const record = item.record
    if (!this.job || !writer || writer.full || record?.ordinal === undefined) return false
    if (this.#leavesRange(record.ordinal)) return false
    const asked = serializeRequest(item, this.#isKeyed)
    if (asked?.key && this.#seen?.ready(asked.key) === false) return false
    const earlier = asked?.key && this.#earlier ? this.#earlier.tryReadSync(asked.key) : null
    if (earlier === undefined) return false
    return this.#put(this.job, writer, { item, ordinal: record.ordinal, asked, earlier })
  }

  /** The same for a page: adds its requests from an index on, and gives the index of the first that did not go in. */
  #addPageNow(page: RequestPage, from: number): number {
    const { job } = this
    const writer = this.#open
    const { ordinal: first } = page
    if (!job || !writer || first === undefined || first + from < this.#nextOrdinal) return from
    const { attempt, batchBytes } = this.#options
    const prefix = idPrefix(job.run, attempt)
    const limits = { count: this.#most, bytes: batchBytes }
    const wasEmpty = writer.records === 0
    let index = from
    for (; index < page.count && !this.#isDone(); index++) {
      const ordinal = first + index
      const id = formatId(prefix, ordinal)
      const size = sizeInBody(page, index, id)
      if (writer.full || this.#leavesRange(ordinal) || isFull(writer, size, limits)) break
      if (bytesAlone(size) > MAX_BODY_BYTES) break
      writer.addOfPage(page, index, id, ordinal)
      this.#nextOrdinal = ordinal + 1
    }
    if (index === from) return from
    this.#lastArrival = job.clock.elapsed()
    if (wasEmpty) this.#firstArrival = this.#lastArrival
    return index
  }

  async #add(item: TemplateOutput): Promise<void> {
    const job = await this.#jobOf(item.record)
    if (this.#difference) return
    const ordinal = item.record?.ordinal ?? (await this.#admit(job, item))
    this.#admits ??= false
    if (this.#admits && !this.#isUnbatched(ordinal)) return
    if (this.#leavesRange(ordinal)) {
      await this.#seal()
      this.#ranges = this.#ranges.slice(1)
    }
    if (this.#open?.full) await this.#open.flush()
    const asked = serializeRequest(item, this.#isKeyed)
    if (asked?.key) await this.#seen?.prepare(asked.key)
    this.#earlier ??= await this.#reuse?.open(job)
    const earlier = (asked?.key && (await this.#earlier?.read(asked.key))) ?? null
    const placed = { item, ordinal, asked, earlier }
    const writer = (this.#open ??= await this.#newBatch(job))
    if (!this.#put(job, writer, placed)) {
      await this.#seal()
      this.#open = await this.#newBatch(job)
      this.#put(job, this.#open, placed)
    }
    if (this.#isDone()) await this.#seal()
  }

  /** A batch that has all its requests goes at once: the next record may be long in coming. */
  #isDone(): boolean {
    if (this.#nextOrdinal === this.#options.canary) return true
    return this.#open !== undefined && this.#open.requests >= this.#most
  }

  async #admit(job: StoredJob, item: TemplateOutput): Promise<number> {
    if (this.#admits === false) {
      throw new BatchStreamError(
        'CBS_STAGE',
        'a request without its record came behind spool(): pass the record on in `record`',
      )
    }
    if (!this.#admits) job.input.startReplay(this)
    this.#admits = true
    return await job.input.appendOrVerify(
      item.record ?? recordOf(item, job.store.records.count + 1),
    )
  }

  async #newBatch(job: StoredJob): Promise<BatchWriter> {
    this.#most = this.#primes ? 1 : freeCount(this.#options.batchSize, unresolvedCounts(job))
    return await job.store.newBatch({
      keys: this.#isKeyed,
      repeats: this.#options.dedupe,
      reused: this.#earlier && this.#reuse?.answeredBy,
    })
  }

  /** Puts an item into a batch; false where the batch is full. */
  #put(
    job: StoredJob,
    writer: BatchWriter,
    { item, ordinal, asked, earlier }: PlacedItem,
  ): boolean {
    const { attempt } = this.#options
    if (ordinal < this.#nextOrdinal) {
      throw new BatchStreamError(
        'CBS_STAGE',
        `record ${ordinal + 1} came to aggregate twice or out of order: one request for each record, in order`,
      )
    }
    const chosen = 'params' in item ? item.custom_id : undefined
    const json =
      asked && requestJson(chosen ?? formatId(idPrefix(job.run, attempt), ordinal), asked.params)
    const seen = asked?.key && this.#seen?.find(asked.key)
    // Records of a batch that was lost may come before those that repeat them.
    const first = seen !== undefined && seen < ordinal ? seen : undefined
    const bytes = first === undefined && !earlier ? (json?.length ?? 0) : 0
    if (isFull(writer, bytes, { count: this.#most, bytes: this.#options.batchBytes })) return false
    const problem = 'problem' in item ? item.problem : this.#problemOf(bytes, chosen)
    if (problem || !json)
      writer.reject({ ordinal, custom_id: chosen ?? null, ...(problem ?? NO_PARAMS) })
    else if (earlier && asked.key) writer.reuse(ordinal, asked.key, earlier)
    else if (first !== undefined) writer.repeat(ordinal, first)
    else {
      writer.add(json, ordinal, chosen, asked.key)
      if (asked.key) this.#seen?.put(asked.key, ordinal)
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
        message: `the request has ${bytes} bytes; a batch takes ${MAX_BODY_BYTES} at most`,
      }
    }
    if (chosen === undefined) return undefined
    const wrong = checkCustomId(chosen)
    if (wrong || this.#ids.add(chosen)) return wrong
    return {
      type: 'duplicate_custom_id',
      message: `another record has the custom_id ${chosen}; an id must be unique`,
    }
  }

  async #seal(): Promise<void> {
    const writer = this.#open
    const { job } = this
    if (!writer || !job) return
    this.#open = undefined
    const next = this.#options.attempt === 1 ? this.#nextOrdinal : 0
    const sealed = await writer.seal(this.#options.attempt, next)
    this.push(await job.seal({ ...sealed, ...(this.#primes && { primes: true }) }))
    this.#primes = false
  }

  /** Seals a part-full batch when nothing has come for a while, or when its first record is old enough. */
  async #watch(job: StoredJob): Promise<void> {
    const longest = Math.min(this.#batchWait, this.#batchAge)
    for (;;) {
      await job.clock.sleep(Math.max(1, Math.min(this.#dueIn(job), longest)), this.signal)
      if (this.#open && this.#dueIn(job) <= 0) await this.#inTurn(() => this.#seal())
      else await this.#turn
    }
  }

  /** In how many ms the open batch is to be sealed; infinite where there is none. */
  #dueIn({ clock }: StoredJob): number {
    if (!this.#open) return Infinity
    const due = Math.min(this.#lastArrival + this.#batchWait, this.#firstArrival + this.#batchAge)
    return due - clock.elapsed()
  }
}

/** An item and all that decides how its batch covers it. */
interface PlacedItem {
  readonly item: TemplateOutput
  readonly ordinal: number
  readonly asked: SerializedRequest | undefined
  /** The answer of an earlier job to the same request. */
  readonly earlier: EarlierAnswer | null
}

const NO_PARAMS: Problem = { type: 'no_params', message: 'the request has no params' }
