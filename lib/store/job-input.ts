import { createHash, type Hash } from 'node:crypto'
import type { SourceRecord } from '../core/flow.ts'
import type { Job } from '../core/job/job.ts'
import { nextUnbatched, unbatchedGaps } from '../core/job/state.ts'
import { changedInput, fedAlready, shorterInput } from './replay.ts'
import type { JobLog } from './job-log.ts'
import type { RecordPage } from '../core/record-page.ts'
import type { RecordReader, Records } from './records.ts'

/** Input that is replayed: what is spooled already is read beside it; `next` is the ordinal that comes next. */
type Replay = { readonly reader: RecordReader; next: number }

/** The input of a job: spooled as it comes, and compared with what is spooled where an earlier run had begun to read it. */
export class JobInput {
  readonly #log: JobLog & Job
  readonly #records: Records
  /** Told when all that is spooled has been compared. */
  readonly #onReplayed: () => void
  readonly #known: number
  /** Whether spooled records are hashed for another machine. */
  readonly #hashes: boolean
  /** The span that the next record of another machine belongs to. */
  #span = 0
  #hash: Hash = createHash('sha256')
  #replay: Replay | undefined
  #feeder: object | undefined
  /** The last note on how much is spooled: they must not overtake each other. */
  #saving: Promise<void> = Promise.resolve()

  constructor(
    log: JobLog & Job,
    records: Records,
    { hashes, onReplayed }: { readonly hashes: boolean; readonly onReplayed: () => void },
  ) {
    this.#log = log
    this.#records = records
    this.#onReplayed = onReplayed
    this.#known = log.state.kept.records
    this.#hashes = hashes
  }

  /**
   * Says that the input is about to be read from its start; gives how far it has come. A second feeder's records would be
   * taken for more of them, and be paid for twice: that is `CBS_STAGE`.
   */
  startReplay(feeder?: object): Replay {
    if (feeder && this.#feeder && feeder !== this.#feeder) throw fedAlready(this.#log.name)
    this.#feeder ??= feeder
    return (this.#replay ??= { reader: this.#records.reader(this.#log), next: 0 })
  }

  /** True while replayed input has not been compared with all that is spooled: nothing is sent meanwhile. */
  get isReplaying(): boolean {
    return this.isRefilling || (this.#replay !== undefined && this.#replay.next < this.#known)
  }

  /** True while records that another machine has spooled are not on this disk yet. */
  get isRefilling(): boolean {
    return this.#records.count < this.#known
  }

  /**
   * Takes a record in and gives its ordinal. A job that is opened again is fed the same input again: what it has already
   * is compared, not spooled twice, and a difference is `CBS_INPUT`.
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
    if (state.kept.complete) {
      if (state.kept.broken === null) throw changedInput(name, ordinal, record)
      await this.#reopen()
    }
    await this.#append(record)
    return ordinal
  }

  /** The input had ended too early, and begins with the same records now: it continues. */
  async #reopen(): Promise<void> {
    const { records, bytes } = this.#log.state.kept
    await this.#log.note({ type: 'kept', records, bytes, complete: false, broken: null }, false)
  }

  /** Takes in the records of a page; gives it with its ordinals where all of them are new. */
  async appendOrVerifyPage(page: RecordPage): Promise<RecordPage | undefined> {
    const replay = this.startReplay()
    if (replay.next < this.#known || this.#log.state.kept.complete) {
      for (const record of page) await this.appendOrVerify(record)
      return undefined
    }
    const spooled = page.spooled(replay.next, this.#log)
    replay.next += page.count
    await this.#noteSource(page.source)
    this.#records.appendPage(page)
    // Its bytes are what single records are hashed as.
    if (this.#hashes) this.#hash.update(page.bytes)
    if (this.#records.full) await this.#records.flush()
    return spooled
  }

  /** Takes a record that another machine has spooled; it is the same by the hash of the records around it. */
  async #refill(record: SourceRecord, ordinal: number): Promise<number> {
    const { name, state } = this.#log
    await this.#append(record)
    const count = ordinal + 1
    while ((state.spans[this.#span]?.records ?? Infinity) < count) this.#span += 1
    const span = state.spans[this.#span]
    if (span?.records === count) {
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

  /** Says that no more records come, or why they ended too early; all that came are safe when this returns. */
  async complete(broken?: string): Promise<void> {
    const { next } = this.startReplay()
    if (next < this.#known) throw shorterInput(this.#log.name, next, this.#known)
    await this.#save(true, broken)
  }

  /** Makes records safe up to an ordinal that an event is about to name. */
  async saveBelow(ordinal: number): Promise<void> {
    if (this.#log.state.kept.records < ordinal) await this.#save(false)
  }

  /** Ordinals of records that no batch covers yet, in order: gaps between batches, then all after the last batch. */
  unbatchedRanges(): readonly (readonly [from: number, to: number])[] {
    const { state } = this.#log
    // Without a ledger no body is ever lost alone; what no batch covers then was left out on purpose.
    const gaps = this.#hashes ? unbatchedGaps(state) : []
    return [...gaps, [nextUnbatched(state), Infinity]]
  }

  /** Spooled records that no batch covers yet; for a job that is resumed without its input. */
  async *unbatchedRecords(): AsyncGenerator<SourceRecord> {
    for (const [from, to] of this.unbatchedRanges()) yield* this.recordsFrom(from, to)
  }

  /** Spooled records from an ordinal on, up to another one. */
  async *recordsFrom(first: number, end: number = Infinity): AsyncGenerator<SourceRecord> {
    const reader = this.#records.reader(this.#log)
    for (let ordinal = first; ordinal < Math.min(end, this.#records.count); ordinal++) {
      yield reader.peek(ordinal, 1) ?? (await reader.read(ordinal, 1))
    }
  }

  #save(complete: boolean, broken?: string): Promise<void> {
    const save = async (): Promise<void> => {
      const { count, bytes } = this.#records
      // In the same tick: a record that comes meanwhile belongs to the next span.
      const hash =
        this.#hashes && count > this.#log.state.kept.records ? this.#takeHash() : undefined
      await this.#records.sync()
      const isWhole = complete || this.#log.state.kept.complete
      const kept = {
        records: count,
        bytes,
        complete: isWhole,
        ...(complete && { broken: broken ?? null }),
        ...(hash && { hash }),
      }
      await this.#log.note({ type: 'kept', ...kept }, complete)
    }
    const saved = this.#saving.then(save)
    this.#saving = saved.catch(() => {})
    return saved
  }
}
