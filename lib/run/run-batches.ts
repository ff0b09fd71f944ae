import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { from, type Items } from '../core/chain.ts'
import { BatchStreamError, wrongOption } from '../core/errors.ts'
import type { SourceRecord } from '../core/flow.ts'
import type { Fields } from '../core/jsonify.ts'
import type { RunObservation, RunObserver } from '../core/job/observer.ts'
import type { RunEvent } from '../core/job/run-event.ts'
import { notify } from '../core/notify.ts'
import { backoffOf } from '../core/backoff.ts'
import { assertSync } from '../core/assert-sync.ts'
import { answeredByClient } from '../api/answered-by.ts'
import { needClient } from '../api/need-client.ts'
import type { RecordResult, Result } from '../core/results/result.ts'
import { answerCheck } from '../core/schema/answer-check.ts'
import type { AnswerOf, AnswerSchema } from '../core/schema/answer-schema.ts'
import { StageTransform, typed, type Source, type Stage } from '../core/stage.ts'
import { CostLedger } from '../cost/ledger.ts'
import { answerCost } from '../cost/row-cost.ts'
import { usdNumber } from '../cost/usd.ts'
import { ShardStage } from '../stages/parse/shard.ts'
import { records, type ObjectItems, type RecordFields } from '../stages/parse/records.ts'
import { restoreResults } from '../stages/results/fetch-results.ts'
import { spool } from '../stages/spool/spool.ts'
import { settingsOf } from '../stages/template/options.ts'
import type { TemplateOptions } from '../stages/template/template.ts'
import { writeCsv, writeTsv, type WriteCsvOptions } from '../stages/write/csv.ts'
import { writeJsonl, type WriteJsonlOptions } from '../stages/write/jsonl.ts'
import { writeRaw } from '../stages/write/raw.ts'
import { writeText } from '../stages/write/text.ts'
import { storedJob, type StoredJob } from '../store/job.ts'
import { openJob, temporaryJob } from '../store/open.ts'
import { answerRecords, type RunParts } from './assemble.ts'
import { Canary } from './canary.ts'
import { capOf } from './capped-job.ts'
import { canaryFailed, leaveWhenDrained, leaveWhenIdle } from './drain.ts'
import { preflight } from './preflight.ts'
import { mustExist, reuseFrom } from './reuse.ts'
import { isOpen, runSettings, type RunOptions, type RunSettings } from './options.ts'

/** The row formats and their options. */
export interface RowFormats {
  /** JSON Lines: the record with the answer and its metadata. */
  readonly jsonl: WriteJsonlOptions
  /** CSV with a header. */
  readonly csv: WriteCsvOptions
  /** CSV with tabs. */
  readonly tsv: Omit<WriteCsvOptions, 'delimiter'>
  /** The answers as text, one per line; no options. */
  readonly text: Record<string, never>
  /** The API's result lines as they came; no options. */
  readonly raw: Record<string, never>
}

/** The cost of a run so far in USD; null if the price of a model is unknown. */
export interface RunCost {
  /** Billed for all answers so far, every attempt included. */
  readonly spent: number | null
  /** The cost of the same answers as synchronous calls. */
  readonly synchronous: number | null
  /** What the answers that `reuse` took had cost their jobs. */
  readonly saved: number | null
}

/** A run: one result for each record. It starts when it is read, and can be read once. */
export interface BatchRun<F extends object = Fields, V = unknown> extends AsyncIterable<
  RecordResult<F, V>
> {
  /**
   * The results as rows in bytes: `pipeline(run.toRows('jsonl'), createWriteStream(path))`. `csv` and `tsv` have a column
   * for each property of an object schema.
   */
  toRows<Format extends keyof RowFormats = 'jsonl'>(
    format?: Format,
    options?: RowFormats[Format],
  ): Source<Buffer>
  /** The cost of the answers received so far. */
  readonly cost: RunCost
  /** Whether every record has its result. False until the last one has come, and after a run that `maxWait` ended. */
  readonly finished: boolean
}

/**
 * Sends a request for each record and returns a result for each: renders prompts, fills batches, submits each exactly once,
 * polls, fetches, validates, retries. The source may be plain objects (an array, a generator, a database cursor, an object
 * stream, a web stream) or records (`from(createReadStream('a.csv'), parseCsv())`); it is read at disk speed.
 *
 *     for await (const { record, value, status } of runBatches(reviews, { client, prompt: r => `Mood of: ${r.text}` }))
 *
 * A failed request is a result with its `status` and `error`. Leaving the loop, an abort and an error end all calls;
 * batches at the API continue, and a run with a named `job` resumes when it is called again with the same source and
 * options.
 *
 * @throws BatchStreamError `CBS_OPTION` at once for invalid options. The loop throws other codes if the run cannot
 * continue: `CBS_INPUT` if a named job was started with another source or other requests, `CBS_JOB_IN_USE`, `CBS_ACCESS`,
 * `CBS_API`, `CBS_STOPPED` for the spending cap, too many invalid records and a decision for `adopt` (after the results of batches in flight),
 * `CBS_STAGE` if a user's function throws. An error of the source arrives unchanged.
 */
export function runBatches<T, S extends AnswerSchema | undefined = undefined>(
  source: ObjectItems<T>,
  options: RunOptions<RecordFields<T>, S>,
): BatchRun<RecordFields<T>, AnswerOf<S>> {
  // The compiler has checked its functions against the records of the source.
  const checked = options as unknown as RunOptions
  needClient(checked)
  const settings = runSettings(checked)
  settingsOf(templateOf(checked))
  const run = new Run(recordsIn(source), checked, settings)
  // The result types follow from the source and the schema.
  return run as unknown as BatchRun<RecordFields<T>, AnswerOf<S>>
}

/** The records of a source. Each item is checked at run time too. */
export function recordsIn(source: Items<unknown>): Source<SourceRecord> {
  return records(source as Items<Fields>)
}

class Run implements BatchRun {
  readonly #source: Source<SourceRecord>
  readonly #options: RunOptions
  readonly #settings: RunSettings
  readonly #ledger: CostLedger
  #isRead = false
  #isFinished = false

  constructor(source: Source<SourceRecord>, options: RunOptions, settings: RunSettings) {
    this.#source = source
    this.#options = options
    this.#settings = settings
    this.#ledger = new CostLedger(settings.priceOf)
  }

  get cost(): RunCost {
    const usd = (amount: bigint | undefined): number | null =>
      amount === undefined ? null : usdNumber(amount)
    const { spent, synchronous, saved } = this.#ledger
    return { spent: usd(spent), synchronous: usd(synchronous), saved: usd(saved) }
  }

  get finished(): boolean {
    return this.#isFinished
  }

  [Symbol.asyncIterator](): AsyncGenerator<RecordResult> {
    const abandoned = new AbortController()
    const results = abortable(this.#all(abandoned.signal), this.#options.signal)
    const end = results.return.bind(results)
    // A generator returns only after its next item, which may take a day.
    results.return = value => {
      abandoned.abort()
      return end(value)
    }
    return results
  }

  async *#all(abandoned: AbortSignal): AsyncGenerator<RecordResult> {
    const end: RunEnd = { reason: undefined }
    yield* this.#results(end, abandoned)
    if (end.reason) throw end.reason
  }

  toRows<Format extends keyof RowFormats>(
    format?: Format,
    options?: RowFormats[Format],
  ): Source<Buffer> {
    const writer = this.#writerOf(format ?? 'jsonl', options)
    const end: RunEnd = { reason: undefined }
    const abandoned = new AbortController()
    // All available rows are read before the run fails with the reason for its stop.
    const last = new StageTransform({
      transform(row: Buffer, _encoding, done) {
        done(null, row)
      },
      flush(done) {
        last.reportStop(end.reason).then(() => done(), done)
      },
    })
    // The results themselves would end only after the next one, which may take a day.
    last.once('close', () => abandoned.abort())
    const { signal } = this.#options
    const results = abortable(this.#results(end, abandoned.signal), signal)
    const rows = from(results, writer, typed<Buffer, Buffer>(last))
    // A reader that takes no rows at the moment would not see the error of the results.
    const stop = (): unknown => rows.destroy(signal?.reason)
    signal?.addEventListener('abort', stop)
    rows.once('close', () => signal?.removeEventListener('abort', stop))
    return rows
  }

  #writerOf(format: keyof RowFormats, options: object = {}): Stage<Result<object>, Buffer> {
    const { schema, responseField, metaField } = this.#options
    const fields = {
      ...(typeof responseField === 'string' && { responseField }),
      ...(metaField !== undefined && { metaField }),
    }
    if (format === 'jsonl') return writeJsonl({ ...fields, ...options })
    if (format === 'csv') return writeCsv({ ...fields, schema, ...options })
    if (format === 'tsv') return writeTsv({ ...fields, schema, ...options })
    if (format === 'text') return writeText()
    if (format === 'raw') return writeRaw()
    throw wrongOption('format', "'jsonl', 'csv', 'tsv', 'text' or 'raw'", format)
  }

  /** `abandoned` aborts when no further result is wanted. */
  async *#results(end: RunEnd, abandoned: AbortSignal): AsyncGenerator<RecordResult> {
    if (this.#isRead)
      throw new BatchStreamError('CBS_STAGE', 'a run is read once: call runBatches() again')
    this.#isRead = true
    const { signal, onEvent, telemetry } = this.#options
    signal?.throwIfAborted()
    const { job, isOwn } = await this.#open()
    // Several stages would fail at once, and one of them before anybody listens.
    job.mustBeOpen()
    if (onEvent) job.on('event', onEvent)
    const observed = telemetry && beginObserving(telemetry, job.name)
    if (observed) job.on('event', observed.event)
    let cause: unknown
    try {
      for await (const result of this.#resultsOf(job, end, abandoned)) {
        observed?.result(result)
        yield result
      }
      cause = end.reason
    } catch (error) {
      cause = error
      throw error
    } finally {
      if (observed) job.off('event', observed.event)
      observed?.end(cause)
      if (isOwn) await job.close()
      if (onEvent) job.off('event', onEvent)
    }
  }

  async *#resultsOf(
    job: StoredJob,
    end: RunEnd,
    abandoned: AbortSignal,
  ): AsyncGenerator<RecordResult> {
    const { signal = new AbortController().signal } = this.#options
    const { batchWait, batchAge, maxWait, concurrency } = this.#settings
    const isEndless = batchWait !== undefined || batchAge !== undefined
    job.costOf = answerCost(this.#settings.priceOf)
    job.session.waits = backoffOf(this.#options.backoff)
    job.queue.isStopHandled = true
    await this.#restore(job)
    const { reuse } = this.#options
    // An earlier call has copied the answers that it found.
    if (reuse !== undefined && job.state.batches.size === 0) await mustExist(reuse, dirOf(job))
    const over = new AbortController()
    const drained = new AbortController()
    // An endless input is left once everything that was sent is answered.
    if (isEndless) leaveWhenDrained(job, over.signal, drained)
    const left = new AbortController()
    const parts = this.#partsOf(job)
    const ends = AbortSignal.any([signal, abandoned, drained.signal, left.signal, job.lost])
    if (maxWait !== undefined) {
      const leave = { maxWait, concurrency }
      leaveWhenIdle({ job, isEndless, leave, canary: parts.canary }, over.signal, left)
    }
    const part = job.state.shard ? new ShardStage(job.state.shard) : undefined
    const own = part
      ? from(
          this.#source,
          typed<SourceRecord, SourceRecord>(part),
          spool({ job, inputHash: () => part.hash() }),
        )
      : from(this.#source, spool({ job }))
    const stages = from(own, answerRecords(parts))
    const stop = (): unknown => stages.destroy(ends.reason)
    ends.addEventListener('abort', stop)
    if (ends.aborted) stop()
    let rows = 0
    try {
      for await (const result of stages) {
        rows += 1
        // Every record of the job is spooled, so each result has one.
        yield result as RecordResult
        if (result.last) job.emit({ type: 'rows', number: result.batch.number, rows })
      }
      if (!job.queue.stopReason) {
        await job.finish(rows)
        this.#isFinished = true
      }
    } catch (cause) {
      // Nothing that this process does counts from here on.
      if (job.lost.aborted && !signal.aborted) throw job.lost.reason
      const isLeft = abandoned.aborted || drained.signal.aborted || left.signal.aborted
      if (signal.aborted || !isLeft) throw cause
    } finally {
      over.abort()
      ends.removeEventListener('abort', stop)
      await closed(stages)
    }
    const canary = parts.canary?.stopped
    end.reason = canary === undefined ? job.queue.stopReason : canaryFailed(canary)
  }

  /** Downloads results again that another machine had on its disk. */
  async #restore(job: StoredJob): Promise<void> {
    if (!job.shared) return
    const { client, signal: given } = this.#options
    const signal = given ? AbortSignal.any([given, job.lost]) : job.lost
    const { settle: settleMs } = this.#settings
    await restoreResults(job, { client, settleMs, signal })
  }

  async #open(): Promise<{ readonly job: StoredJob; readonly isOwn: boolean }> {
    const { job, clock } = this.#options
    if (job === undefined) return { job: await temporaryJob(clock), isOwn: true }
    if (isOpen(job)) return { job: storedJob(job), isOwn: false }
    return { job: storedJob(await openJob({ ...job, clock })), isOwn: true }
  }

  #partsOf(job: StoredJob): RunParts {
    const { client, dedupe = false, order, shouldRetry, schema, reuse, adopt } = this.#options
    const { preflight: isChecked = true, stopOnUniformFailure = true } = this.#options
    const { maxCost, priceOf, canary, ...settings } = this.#settings
    const dir = dirOf(job)
    const onNotice = (message: string): void => job.emit({ type: 'notice', message })
    return {
      ...settings,
      ...{ job, client, dedupe, schema, adopt, stopOnUniformFailure },
      stateDir: job.store.temporary ? undefined : dir,
      reuse:
        reuse === undefined
          ? undefined
          : reuseFrom({ dir, reuse, answeredBy: answeredByClient(client), schema, onNotice }),
      template: templateOf(this.#options),
      ledger: this.#ledger,
      cap: maxCost === undefined ? undefined : capOf(job, maxCost, priceOf),
      canary:
        canary === undefined
          ? undefined
          : new Canary({ job, records: canary, check: schema && answerCheck(schema) }),
      canarySize: canary,
      prime: false,
      // Each result of a run has its record.
      shouldRetry: shouldRetry && (result => shouldRetry(result as RecordResult<Fields, never>)),
      ordered: order === 'input',
      abandon: false,
      compareTemplate: true,
      fit: undefined,
      preflight: isChecked
        ? () =>
            preflight({
              ...{ client, job, onWarn: onNotice },
              onSkip: why => onNotice(`the preflight is skipped: ${why}`),
              onWait: why => onNotice(`waiting for the API: ${why}`),
            })
        : undefined,
      onWait: undefined,
      onBusy: undefined,
    }
  }
}

/**
 * Ends a generator when a signal aborts, also if its reader takes no item at the moment: what it holds is released, and the next read
 * rejects with the signal's reason.
 */
function abortable<T>(
  items: AsyncGenerator<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  if (!signal) return items
  const next = items.next.bind(items)
  const end = items.return.bind(items)
  let ended: Promise<unknown> | undefined
  const stop = (): void => {
    // The error of a read in progress reaches its reader.
    ended = end(undefined).catch(() => {})
  }
  items.next = async () => {
    if (signal.aborted) {
      await ended
      throw signal.reason
    }
    signal.addEventListener('abort', stop)
    let isOpen = false
    try {
      const item = await next()
      isOpen = item.done !== true
      return item
    } finally {
      if (!isOpen) signal.removeEventListener('abort', stop)
    }
  }
  return items
}

/** Why a run stopped before all records were sent. */
interface RunEnd {
  reason: BatchStreamError | undefined
}

/** Picks the options that `template` takes. */
export function templateOf(options: TemplateOptions): TemplateOptions {
  const { prompt, system, model, maxTokens, params, id, vars, schema, cache } = options
  const { responseField, metaField, askFailed, attach, attachDir } = options
  return {
    ...{ prompt, system, model, maxTokens, params, id, vars, schema, cache },
    ...{ responseField, metaField, askFailed, attach, attachDir },
  }
}

/** The folder that contains the `jobs/` of a job. */
function dirOf({ store }: StoredJob): string {
  return join(store.folder, '../..')
}

/** Resolves once a stream is closed: its stages may wait for the reply to a create. */
function closed(stream: Duplex): Promise<void> {
  stream.destroy()
  if (stream.closed) return Promise.resolve()
  return new Promise(resolve => stream.once('close', resolve))
}

/** Begins to observe a run. An exception of the observer does not affect it: the first of each method becomes a process warning. */
function beginObserving(observer: RunObserver, job: string): RunObservation | undefined {
  const begun: RunObservation[] = []
  notify('telemetry.begin', () => {
    begun.push(assertSync('telemetry.begin', observer.begin({ job })))
  })
  const [observation] = begun
  if (!observation) return undefined
  // Warnings are counted by function, so each method has one.
  const event = (one: RunEvent): void => observation.event(one)
  const result = (one: Result<object>): void => observation.result(one)
  const end = (cause: unknown): void => observation.end(cause)
  return {
    event: one => notify('telemetry.event', event, one),
    result: one => notify('telemetry.result', result, one),
    end: cause => notify('telemetry.end', end, cause),
  }
}
