import { createHash, type Hash } from 'node:crypto'
import type { SourceRecord } from '../core/flow.ts'
import type { Job } from '../core/job/job.ts'
import { nextUnbatched, unbatchedGaps } from '../core/job/state.ts'
import { changedInput, secondInput, shorterInput } from './replay.ts'
import type { JobLog } from './job-log.ts'
import type { RecordPage } from '../core/record-page.ts'
import type { RecordReader, Records } from './records.ts'

/** Replayed input: spooled records are read in parallel; `next` is the next ordinal. */
type Replay = { readonly reader: RecordReader; next: number }

/** The input of a job. Records are spooled as they arrive, or compared with those that an earlier run spooled. */
export class JobInput {
  readonly #log: JobLog & Job
  readonly #records: Records
  /** Called when everything that is spooled has been compared. */
  readonly #onReplayed: () => void
  readonly #known: number
  /** Whether spooled records are hashed for another machine. */
  readonly #hashes: boolean
  /** The span of the next record from another machine. */
  #span = 0
  #hash: Hash = createHash('sha256')
  #replay: Replay | undefined
  #feeder: object | undefined
  /** The last progress event, so that events keep their order. */
  #saving: Promise<void> = Promise.resolve()

  constructor(
    log: JobLog & Job,
    records: Records,
    { hashes, onReplayed }: { readonly hashes: boolean; readonly onReplayed: () => void },
  ) {
    this.#log = log
    this.#records = records
    this.#onReplayed = onReplayed
    this.#known = log.state.spooled.records
    this.#hashes = hashes
  }

  /**
   * Starts reading the input from its beginning, and returns how far the job has come. A second feeder is `CBS_STAGE`,
   * since its records would be appended and paid for twice.
   */
  startReplay(feeder?: object): Replay {
    if (feeder && this.#feeder && feeder !== this.#feeder) throw secondInput(this.#log.name)
    this.#feeder ??= feeder
    return (this.#replay ??= { reader: this.#records.reader(this.#log), next: 0 })
  }

  /** Whether replayed input has not been compared with all that is spooled. Nothing is sent meanwhile. */
  get isReplaying(): boolean {
    return this.isRefilling || (this.#replay !== undefined && this.#replay.next < this.#known)
  }

  /** Whether records that another machine spooled are not yet on this disk. */
  get isRefilling(): boolean {
    return this.#records.count < this.#known
  }

  /**
   * Appends a record, or verifies it if it is replayed, and returns its ordinal. A difference from the spooled record is
   * `CBS_INPUT`.
   */
  async appendOrVerify(record: SourceRecord): Promise<number> {
    const replay = this.startReplay()
    const ordinal = replay.next++
    const { name, state } = this.#log
    if (ordinal < this.#known && ordinal === this.#records.count)
      return await this.#refill(record, ordinal)
    if (ordinal < this.#known) {
      const known = await replay.reader.read(ordinal, 1)
      if (!known.raw.equals(record.raw)) throw changedInput(name, ordinal, record)
      if (replay.next === this.#known) this.#onReplayed()
      return ordinal
    }
    if (state.spooled.complete) {
      if (state.spooled.broken === null) throw changedInput(name, ordinal, record)
      await this.#reopen()
    }
    await this.#append(record)
    return ordinal
  }

  /** Continues input that had ended too early and now starts with the same records. */
  async #reopen(): Promise<void> {
    const { records, bytes } = this.#log.state.spooled
    await this.#log.note({ type: 'spooled', records, bytes, complete: false, broken: null }, false)
  }

  /** Appends the records of a page. Returns the page with its ordinals if all of them are new. */
  async appendOrVerifyPage(page: RecordPage): Promise<RecordPage | undefined> {
    const replay = this.startReplay()
    if (replay.next < this.#known || this.#log.state.spooled.complete) {
      for (const record of page) await this.appendOrVerify(record)
      return undefined
    }
    const spooled = page.spooled(replay.next, this.#log)
    replay.next += page.count
    await this.#noteSource(page.source)
    this.#records.appendPage(page)
    // Single records are hashed as the same bytes.
    if (this.#hashes) this.#hash.update(page.bytes)
    if (this.#records.full) await this.#records.flush()
    return spooled
  }

  /** Spools a record that another machine has; the hash of its span verifies it. */
  async #refill(record: SourceRecord, ordinal: number): Promise<number> {
    const { name, state } = this.#log
    await this.#append(record)
    const count = ordinal + 1
    const span = state.spans[this.#span]
    if (span?.records === count) {
      this.#span += 1
      if (this.#takeHash() !== span.hash) throw changedInput(name, ordinal, record)
      if (count === this.#known) {
        await this.#records.sync()
        this.#onReplayed()
      }
    }
    return ordinal
  }

  async #append(record: SourceRecord): Promise<void> {
    await this.#noteSource(record.source)
    this.#records.append(record)
    if (this.#hashes) this.#hash.update(record.raw).update('\n')
    if (this.#records.full) await this.#records.flush()
  }

  async #noteSource(name: string | undefined): Promise<void> {
    if (name === undefined) return
    const { index, isNew } = this.#records.sourceIndex(name)
    if (isNew) await this.#log.note({ type: 'source', index, name }, false)
  }

  #takeHash(): string {
    const hash = this.#hash.digest('hex')
    this.#hash = createHash('sha256')
    return hash
  }

  /** Ends the input, or records why it ended too early. All records are durable when this resolves. */
  async complete(broken?: string, inputHash?: string): Promise<void> {
    const { next } = this.startReplay()
    if (next < this.#known) throw shorterInput(this.#log.name, next, this.#known)
    await this.#save(true, broken, inputHash)
  }

  /** Makes records durable up to an ordinal that an event is about to name. */
  async saveBelow(ordinal: number): Promise<void> {
    if (this.#log.state.spooled.records < ordinal) await this.#save(false)
  }

  /** Ordinals of records that are in no batch yet, in order: gaps between batches, then everything after the last batch. */
  unbatchedRanges(): readonly (readonly [from: number, to: number])[] {
    const { state } = this.#log
    // Without a ledger a body is never lost on its own, so a record without a batch was left out on purpose.
    const gaps = this.#hashes ? unbatchedGaps(state) : []
    return [...gaps, [nextUnbatched(state), Infinity]]
  }

  /** Spooled records that are in no batch yet; for a job that is resumed without its input. */
  async *unbatchedRecords(): AsyncGenerator<SourceRecord> {
    for (const [from, to] of this.unbatchedRanges()) yield* this.recordsFrom(from, to)
  }

  /** Spooled records from one ordinal to another. */
  async *recordsFrom(first: number, end: number = Infinity): AsyncGenerator<SourceRecord> {
    const reader = this.#records.reader(this.#log)
    for (let ordinal = first; ordinal < Math.min(end, this.#records.count); ordinal++) {
      yield reader.tryReadSync(ordinal, 1) ?? (await reader.read(ordinal, 1))
    }
  }

  #save(complete: boolean, broken?: string, inputHash?: string): Promise<void> {
    const save = async (): Promise<void> => {
      const { count, bytes } = this.#records
      // In the same tick, since a record that arrives meanwhile belongs to the next span.
      const hash =
        this.#hashes && count > this.#log.state.spooled.records ? this.#takeHash() : undefined
      await this.#records.sync()
      const isWhole = complete || this.#log.state.spooled.complete
      const spooled = {
        records: count,
        bytes,
        complete: isWhole,
        ...(complete && { broken: broken ?? null }),
        ...(hash && { hash }),
        ...(inputHash !== undefined && { inputHash }),
      }
      await this.#log.note({ type: 'spooled', ...spooled }, complete)
    }
    const saved = this.#saving.then(save)
    this.#saving = saved.catch(() => {})
    return saved
  }
}
