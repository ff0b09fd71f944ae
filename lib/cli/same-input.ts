import type { SoundJob } from '../store/inspect.ts'
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { formatId, idPrefix } from '../core/custom-id.ts'
import { requestJson } from '../stages/aggregate/serialize-request.ts'
import { each } from '../core/chain.ts'
import type { BatchRequest, RejectedRecord, SourceRecord } from '../core/flow.ts'
import { batchPath } from '../store/batch-path.ts'
import { BODY_FRAME, rejectionsOf } from '../store/batch-files.ts'
import { nodeDisk, type DiskFile } from '../store/disk.ts'
import { wellFormedJson } from '../core/json/well-formed.ts'
import { OrdinalReader } from '../store/ordinals.ts'
import { keyOf } from '../core/request-key.ts'
import { Reused } from '../store/reused.ts'
import { openStored, type BatchFiles } from '../store/sums.ts'
import { RecordReader } from '../store/records.ts'
import type { BatchState } from '../core/job/state.ts'
import { typed, type Stage } from '../core/stage.ts'
import { attacher } from '../stages/template/attach.ts'
import type { TemplateOptions } from '../stages/template/options.ts'
import { requestMaker } from '../stages/template/request.ts'
import { nextRecord, type InputState } from './input.ts'

/** Maximum jobs compared at once; each has two open files. */
const MOST_JOBS = 16

export interface ComparedInput {
  /** The finished job with exactly this input. */
  readonly same: SoundJob | undefined
  /** The input as if nothing had been read. */
  readonly stream: Stage<never, SourceRecord>
  /** Closes the jobs, once the stream is no longer read. */
  close(): Promise<void>
}

/** Reads an input while it matches a finished job, and compares it with all of them, the newest first. */
export async function compareInput(
  stream: Stage<never, SourceRecord>,
  reading: InputState,
  finished: readonly SoundJob[],
  template: TemplateOptions,
): Promise<ComparedInput> {
  const input = new RepeatableInput(stream)
  try {
    let same: SoundJob | undefined
    let left = finished
    while (!same && left.length > 0) {
      same = await newestSame(input, left.slice(-MOST_JOBS), reading, template)
      // What has been read rules most of the others out.
      const { count, isEnded } = input
      left = left.slice(0, -MOST_JOBS).filter(({ state: { spooled } }) => {
        return isEnded ? spooled.records === count : spooled.records > count
      })
    }
    return { same, stream: input.whole(), close: () => input.close() }
  } catch (cause) {
    await input.close()
    throw cause
  }
}

/** The newest of a few jobs with this input. */
async function newestSame(
  input: RepeatableInput,
  jobs: readonly SoundJob[],
  reading: InputState,
  template: TemplateOptions,
): Promise<SoundJob | undefined> {
  const opened: KnownInput[] = []
  try {
    for (const job of jobs) opened.push(await KnownInput.open(job))
    return await newestOf(input, opened, reading, template)
  } finally {
    for (const known of opened) if (!input.isKept(known)) await known.close()
  }
}

async function newestOf(
  input: RepeatableInput,
  jobs: readonly KnownInput[],
  reading: InputState,
  template: TemplateOptions,
): Promise<SoundJob | undefined> {
  let same = jobs
  let ordinal = 0
  for (;;) {
    const record = await input.at(ordinal)
    const alike: KnownInput[] = []
    for (const known of same) {
      const isSame = record
        ? await known.has(record, ordinal)
        : await endsHere(known, ordinal, reading, template)
      if (isSame) alike.push(known)
    }
    if (!record || alike.length === 0) {
      // At least one job remained.
      await input.keep(same[0] as KnownInput, ordinal, record)
      return alike.at(-1)?.job
    }
    same = alike
    ordinal += 1
  }
}

async function endsHere(
  known: KnownInput,
  count: number,
  { broken }: InputState,
  template: TemplateOptions,
): Promise<boolean> {
  return !broken && known.count === count && (await known.attaches(template))
}

/**
 * An input whose start can be read again. Nothing is buffered: a job has the same records, and they are read from it once the stream
 * has given them.
 */
class RepeatableInput {
  readonly #stream: Stage<never, SourceRecord>
  #start: KnownInput | undefined
  /** The number of records that the stream has given. */
  count = 0
  /** Whether these are all. */
  isEnded = false

  constructor(stream: Stage<never, SourceRecord>) {
    this.#stream = stream
  }

  /** Reads a record, from 0 on in each pass; undefined at the end. `keep` ends the pass. */
  async at(ordinal: number): Promise<SourceRecord | undefined> {
    const start = this.#start
    return start && ordinal < this.count
      ? await start.read(ordinal)
      : await nextRecord(this.#stream)
  }

  /** Ends a pass: this job has all records before one that it lacks; undefined at the end. */
  async keep(known: KnownInput, ordinal: number, record: SourceRecord | undefined): Promise<void> {
    if (ordinal < this.count) return
    if (record) this.#stream.unshift(record)
    this.isEnded = record === undefined
    this.count = ordinal
    await this.#start?.close()
    this.#start = known
  }

  isKept(known: KnownInput): boolean {
    return known === this.#start
  }

  /** All records, after a pass. */
  whole(): Stage<never, SourceRecord> {
    // The pass has kept a job.
    return typed(Readable.from(this.#all(this.#start as KnownInput)))
  }

  async *#all(start: KnownInput): AsyncGenerator<SourceRecord> {
    for (let ordinal = 0; ordinal < this.count; ordinal++) yield await start.read(ordinal)
    yield* each(this.#stream)
  }

  async close(): Promise<void> {
    await this.#start?.close()
  }
}

/** The first records of a job, as text of one byte each; none if they are not on this disk. */
export async function firstRecords(job: SoundJob, most: number): Promise<readonly string[]> {
  const known = await KnownInput.open(job).catch(() => undefined)
  if (!known) return []
  const texts: string[] = []
  try {
    for (let ordinal = 0; ordinal < Math.min(most, known.count); ordinal++)
      texts.push((await known.read(ordinal)).raw.toString('latin1'))
    return texts
  } finally {
    await known.close()
  }
}

/** The input of an earlier job. */
class KnownInput {
  readonly job: SoundJob
  readonly #files: readonly DiskFile[]
  readonly #reader: RecordReader

  private constructor(job: SoundJob, records: DiskFile, index: DiskFile) {
    this.job = job
    this.#files = [records, index]
    this.#reader = new RecordReader(records, index, job.state.sources)
  }

  static async open(job: SoundJob): Promise<KnownInput> {
    const records = await openStored(nodeDisk, `${job.folder}/records.jsonl`)
    try {
      const index = await openStored(nodeDisk, `${job.folder}/records.index`)
      return new KnownInput(job, records, index)
    } catch (cause) {
      await records.close()
      throw cause
    }
  }

  get count(): number {
    return this.job.state.spooled.records
  }

  async read(ordinal: number): Promise<SourceRecord> {
    return this.#reader.tryReadSync(ordinal, 1) ?? (await this.#reader.read(ordinal, 1))
  }

  /** Whether this is its record, byte for byte and from the same position, which rows contain. */
  async has(record: SourceRecord, ordinal: number): Promise<boolean> {
    if (ordinal >= this.count) return false
    const known = await this.read(ordinal)
    return (
      known.raw.equals(record.raw) &&
      known.line === record.line &&
      known.source === record.source &&
      JSON.stringify(known.problem) === JSON.stringify(record.problem)
    )
  }

  /** Whether the attachments are unchanged. The hash of each batch verifies what was sent. */
  async attaches(template: TemplateOptions): Promise<boolean> {
    const attach = attacher(template)
    if (!attach) return true
    const requestOf = requestMaker(template)
    const askOf = async (ordinal: number): Promise<BatchRequest | RejectedRecord> =>
      await attach(requestOf(await this.read(ordinal)))
    for (const batch of this.job.state.batches.values()) {
      if (batch.attempt !== 1 || batch.phase === 'void') continue
      if (!(await this.#isSent(batch, askOf)) || !(await this.#isRejected(batch, askOf)))
        return false
      if (!(await this.#isReused(batch, askOf))) return false
    }
    return true
  }

  async #isSent(batch: BatchState, askOf: AskOf): Promise<boolean> {
    const prefix = idPrefix(this.job.state.run, 1)
    const sum = createHash('sha256')
    const { open, between, close } = BODY_FRAME
    sum.update(open)
    const isWhole = await OrdinalReader.use(this.#batchFiles, batch, async all => {
      for (let position = 0; position < all.count; position++) {
        const ordinal = await all.at(position)
        const asked = await askOf(ordinal)
        if ('problem' in asked) return false
        const params = String(wellFormedJson(asked.params))
        if (position > 0) sum.update(between)
        sum.update(requestJson(asked.custom_id ?? formatId(prefix, ordinal), params))
      }
      return true
    })
    sum.update(close)
    return isWhole && sum.digest('hex') === batch.hash
  }

  async #isRejected(batch: BatchState, askOf: AskOf): Promise<boolean> {
    for (const { ordinal, type, message } of await rejectionsOf(this.#batchFiles, batch)) {
      const asked = await askOf(ordinal)
      if (!('problem' in asked)) return false
      if (asked.problem.type !== type || asked.problem.message !== message) return false
    }
    return true
  }

  async #isReused(batch: BatchState, askOf: AskOf): Promise<boolean> {
    const reused = await Reused.of(this.#batchFiles, batch)
    for (const [index, ordinal] of reused.ordinals()) {
      const asked = await askOf(ordinal)
      if ('problem' in asked) return false
      if (!keyOf(String(wellFormedJson(asked.params))).equals(reused.keyAt(index))) return false
    }
    return true
  }

  get #batchFiles(): BatchFiles {
    return {
      disk: nodeDisk,
      path: (number, what) => batchPath(this.job.folder, number, what),
    }
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }
}

type AskOf = (ordinal: number) => Promise<BatchRequest | RejectedRecord>
