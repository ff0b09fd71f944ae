import type { SourceRecord } from '../core/flow.ts'
import type { Job } from '../core/job/job.ts'
import { nextUnbatched } from '../core/job/state.ts'
import { changedInput, fedAlready, shorterInput } from './fed-again.ts'
import type { JobLog } from './job-log.ts'
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
  #replay: Replay | undefined
  #feeder: object | undefined
  /** The last note on how much is spooled: they must not overtake each other. */
  #saving: Promise<void> = Promise.resolve()

  constructor(log: JobLog & Job, records: Records, onReplayed: () => void) {
    this.#log = log
    this.#records = records
    this.#onReplayed = onReplayed
    this.#known = records.count
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
    return this.#replay !== undefined && this.#replay.next < this.#known
  }

  /**
   * Takes a record in and gives its ordinal. A job that is opened again is fed the same input again: what it has already
   * is compared, not spooled twice, and a difference is `CBS_INPUT`.
   */
  async appendOrVerify(record: SourceRecord): Promise<number> {
    const replay = this.startReplay()
    const ordinal = replay.next++
    const { name, state } = this.#log
    if (ordinal < this.#known) {
      const known = await replay.reader.read(ordinal, 1)
      if (!known.raw.equals(record.raw)) throw changedInput(name, ordinal, record)
      if (replay.next === this.#known) this.#onReplayed()
      return ordinal
    }
    if (state.kept.complete) throw changedInput(name, ordinal, record)
    if (record.source !== undefined) {
      const { index, isNew } = this.#records.sourceIndex(record.source)
      if (isNew) await this.#log.note({ type: 'source', index, name: record.source }, false)
    }
    this.#records.append(record)
    if (this.#records.full) await this.#records.flush()
    return ordinal
  }

  /** Says that no more records come, or `broken` why they do not; all that came are safe when this returns. */
  async complete(broken?: string): Promise<void> {
    const { next } = this.startReplay()
    if (next < this.#known) throw shorterInput(this.#log.name, next, this.#known)
    await this.#save(true, broken)
  }

  /** Makes records safe up to an ordinal that an event is about to name. */
  async saveBelow(ordinal: number): Promise<void> {
    if (this.#log.state.kept.records < ordinal) await this.#save(false)
  }

  /** Spooled records that no batch covers yet; for a job that is resumed without its input. */
  unbatchedRecords(): AsyncGenerator<SourceRecord> {
    return this.recordsFrom(nextUnbatched(this.#log.state))
  }

  /** Spooled records from an ordinal on. */
  async *recordsFrom(first: number): AsyncGenerator<SourceRecord> {
    const reader = this.#records.reader(this.#log)
    for (let ordinal = first; ordinal < this.#records.count; ordinal++) {
      yield reader.peek(ordinal, 1) ?? (await reader.read(ordinal, 1))
    }
  }

  #save(complete: boolean, broken?: string): Promise<void> {
    const save = async (): Promise<void> => {
      const { count, bytes } = this.#records
      await this.#records.sync()
      const isWhole = complete || this.#log.state.kept.complete
      const kept = { records: count, bytes, complete: isWhole, ...(broken && { broken }) }
      await this.#log.note({ type: 'kept', ...kept }, complete)
    }
    const saved = this.#saving.then(save)
    this.#saving = saved.catch(() => {})
    return saved
  }
}
