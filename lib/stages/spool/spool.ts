// takes  SourceRecord, at the producer's speed
// gives  the same records, kept: read back from the job at the consumer's speed
// next   template
import type { Job } from '../../core/job/job.ts'
import { Duplex } from 'node:stream'
import { wrapError } from '../../core/errors.ts'
import type { SourceRecord, Spools } from '../../core/flow.ts'
import { offerPages, takePages } from '../../core/pages.ts'
import { RecordPage } from '../../core/record-page.ts'
import { give, typed, type CarryingStage } from '../../core/stage.ts'
import { wrongInputError } from '../../core/validate-input.ts'
import { storedJob, type StoredJob } from '../../store/job.ts'
import { temporaryJob } from '../../store/open.ts'
import type { RecordReader } from '../../store/records.ts'
import { hearIfClosed } from '../job-stage.ts'

/** Options of `spool`. */
export interface SpoolOptions {
  /**
   * The job that stores the records.
   * @default a temporary job
   */
  readonly job?: Job | undefined
  /**
   * Called at the end of the input: why it ended early, if it did. The job remembers the reason for the next run.
   * @default the input never ends early
   */
  readonly brokenOff?: (() => string | undefined) | undefined
  /**
   * Called at the end of a shard's input: a hash of the whole input.
   * @internal
   */
  readonly inputHash?: (() => string | undefined) | undefined
}

/**
 * Takes records, writes every record to disk before anything depends on it, and emits it again. Decouples input speed from
 * API speed: nothing upstream waits for the API. For a resumed job it emits the records that are in no batch yet, and
 * compares the input with the spooled records.
 *
 * @throws BatchStreamError `CBS_OPTION` if `job` is not a job; the pipeline fails with `CBS_INPUT` if the input of a
 * resumed job has changed, and with `CBS_DISK` if a record cannot be stored
 */
export function spool(
  options: SpoolOptions = {},
): CarryingStage<SourceRecord<object>, SourceRecord, Spools> {
  return typed(new Spool(options))
}

export class Spool extends Duplex {
  readonly #brokenOff: SpoolOptions['brokenOff']
  readonly #inputHash: SpoolOptions['inputHash']
  #job: StoredJob | undefined
  #reader: RecordReader | undefined
  #next = 0
  /** The ranges of records to emit; the last one has no end. */
  #ranges: readonly (readonly [from: number, to: number])[] = []
  #inputOver = false
  #reading = false
  /** Set while the reader waits for a record. */
  #starved = false
  #givesPages = false

  constructor(options: SpoolOptions) {
    super({ objectMode: true })
    this.#job = options.job && storedJob(options.job)
    this.#brokenOff = options.brokenOff
    this.#inputHash = options.inputHash
    takePages(this)
    offerPages(this, gives => (this.#givesPages = gives))
  }

  override _construct(done: (error?: Error | null) => void): void {
    const begin = async (): Promise<void> => {
      const job = (this.#job ??= await temporaryJob())
      job.retain()
      job.input.startReplay(this)
      this.#reader = job.store.records.reader(job)
      this.#ranges = job.input.unbatchedRanges()
    }
    begin().then(
      () => done(),
      cause => {
        const error = wrapError('CBS_DISK', 'the records cannot be stored', cause)
        hearIfClosed(this, error)
        done(error)
      },
    )
  }

  override _write(
    record: SourceRecord | RecordPage,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#append(record).then(
      () => done(),
      cause => done(wrapError('CBS_DISK', 'a record cannot be stored', cause)),
    )
  }

  override _writev(
    chunks: { chunk: SourceRecord | RecordPage }[],
    done: (error?: Error | null) => void,
  ): void {
    const admitAll = async (): Promise<void> => {
      for (const { chunk } of chunks) await this.#append(chunk)
    }
    admitAll().then(
      () => done(),
      cause => done(wrapError('CBS_DISK', 'a record cannot be stored', cause)),
    )
  }

  override _final(done: (error?: Error | null) => void): void {
    const finish = async (): Promise<void> => {
      await this.#kept.input.complete(this.#brokenOff?.(), this.#inputHash?.())
      this.#inputOver = true
      this.#wake()
    }
    finish().then(
      () => done(),
      cause => done(wrapError('CBS_DISK', 'the records cannot be stored', cause)),
    )
  }

  override _read(): void {
    if (this.#reading) return
    this.#reading = true
    this.#give().catch(cause =>
      this.destroy(wrapError('CBS_DISK', 'a stored record cannot be read', cause)),
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const leave = this.#job?.release(this) ?? Promise.resolve()
    leave.then(
      () => done(error),
      cause => done(error ?? cause),
    )
  }

  get #kept(): StoredJob {
    // _construct runs before anything is written or read.
    return this.#job as StoredJob
  }

  async #append(record: SourceRecord | RecordPage): Promise<void> {
    if (record instanceof RecordPage) {
      const spooled = await this.#kept.input.appendOrVerifyPage(record)
      if (spooled && this.#isNext(spooled)) return this.#handOver(spooled)
    } else {
      const wrong = wrongInputError('spool', 'records', record)
      if (wrong) throw wrong
      await this.#kept.input.appendOrVerify(record)
    }
    if (this.#starved && !this.#kept.input.isReplaying) this.#wake()
  }

  /** The range of the next record, or the first one after it. */
  get #range(): readonly [from: number, to: number] {
    // The last range has no end, so one is always found.
    return this.#ranges.find(([, to]) => this.#next < to) as readonly [number, number]
  }

  /** Whether the reader waits for exactly these records, so that they need not be read back: a batch syncs what it covers. */
  #isNext({ ordinal, count }: RecordPage): boolean {
    const [, end] = this.#range
    if (!this.#starved || !this.#givesPages || ordinal !== this.#next) return false
    return ordinal + count <= end
  }

  #handOver(page: RecordPage): void {
    this.#starved = false
    this.#next += page.count
    give(this, page)
  }

  #wake(): void {
    this.#starved = false
    this._read()
  }

  /** Pushes records until the consumer has enough or none are left. */
  async #give(): Promise<void> {
    const { records } = this.#kept.store
    while (!this.destroyed) {
      if (this.#kept.input.isReplaying) return this.#starve()
      const [start, end] = this.#range
      this.#next = Math.max(this.#next, start)
      if (this.#next >= records.readable) {
        if (this.#next < records.count) {
          await records.flush()
          continue
        }
        if (!this.#inputOver) return this.#starve()
        this.push(null)
        return
      }
      const read = this.#read(Math.min(end, records.readable))
      const record = read instanceof Promise ? await read : read
      // The reader may have switched to single records meanwhile.
      if (record instanceof RecordPage && !this.#givesPages) continue
      this.#next += record instanceof RecordPage ? record.count : 1
      // Cleared before the push, which may ask for the next record at once.
      this.#reading = false
      if (!give(this, record)) return
      if (this.#reading) return
      this.#reading = true
    }
  }

  /** The next page or record below `end`; a promise only if the disk must be read. */
  #read(end: number): SourceRecord | RecordPage | Promise<SourceRecord | RecordPage> {
    // _construct made the reader.
    const reader = this.#reader as RecordReader
    return this.#givesPages
      ? (reader.tryReadPageSync(this.#next, end) ?? reader.readPage(this.#next, end))
      : (reader.tryReadSync(this.#next, 1) ?? reader.read(this.#next, 1))
  }

  #starve(): void {
    this.#reading = false
    this.#starved = true
  }
}
