import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../core/errors.ts'
import { SourceRecord, type Problem } from '../core/flow.ts'
import { AppendFile } from './append-file.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { Job } from '../core/job/job.ts'
import { ReadAheadFile } from './read-ahead-file.ts'

// An index entry: where the record lies (6 bytes), its length (4), the length of its problem behind it (4), its line (6),
// its source (3, 0 for none), 1 spare, the checksum of all this and of the record (4). Little-endian.
const ENTRY = 28

/** The records of a job, each one line of JSON, and an index of where each lies. Its ordinal is a record's name. */
export class Records {
  readonly #files: { readonly records: DiskFile; readonly index: DiskFile }
  readonly #records: AppendFile
  readonly #index: AppendFile
  readonly #sources: string[]
  readonly #sourceIndex: Map<string, number>
  #readable: number
  #flushed = Promise.resolve()

  private constructor(
    records: DiskFile,
    index: DiskFile,
    count: number,
    bytes: number,
    sources: readonly string[],
  ) {
    this.#files = { records, index }
    this.#records = new AppendFile(records, bytes)
    this.#index = new AppendFile(index, count * ENTRY)
    this.#readable = count
    this.#sources = [...sources]
    this.#sourceIndex = new Map(sources.map((name, index) => [name, index]))
  }

  /** Opens the files and cuts off what no `kept` event vouches for. */
  static async open(
    disk: Disk,
    folder: string,
    kept: { readonly records: number; readonly bytes: number },
    sources: readonly string[],
  ): Promise<Records> {
    const opened: DiskFile[] = []
    const cut = async (name: string, size: number): Promise<DiskFile> => {
      const file = await disk.open(`${folder}/${name}`, 'update')
      opened.push(file)
      if ((await file.size()) < size) {
        throw new BatchStreamError(
          'CBS_STATE',
          `${folder}/${name} is shorter than the job's journal says; nothing was sent: see \`claude-batch-stream doctor\``,
        )
      }
      await file.truncate(size)
      return file
    }
    try {
      const records = await cut('records.jsonl', kept.bytes)
      const index = await cut('records.index', kept.records * ENTRY)
      return new Records(records, index, kept.records, kept.bytes, sources)
    } catch (cause) {
      for (const file of opened) await file.close()
      throw cause
    }
  }

  /** Whether the files hold all that a `kept` event vouches for. */
  static async areWhole(
    disk: Disk,
    folder: string,
    kept: { readonly records: number; readonly bytes: number },
  ): Promise<boolean> {
    const size = async (name: string): Promise<number> =>
      Number((await disk.look(`${folder}/${name}`)) ?? 0)
    const bytes = await size('records.jsonl')
    return bytes >= kept.bytes && (await size('records.index')) >= kept.records * ENTRY
  }

  get count(): number {
    return this.#index.size / ENTRY
  }

  get bytes(): number {
    return this.#records.size
  }

  /** Records that can be read. */
  get readable(): number {
    return this.#readable
  }

  /** True when the caller should flush before it appends more. */
  get full(): boolean {
    return this.#records.full || this.#index.full
  }

  /** The number of a source's name, and whether this is the first record from it. */
  sourceIndex(name: string): { index: number; isNew: boolean } {
    const known = this.#sourceIndex.get(name)
    if (known !== undefined) return { index: known, isNew: false }
    const index = this.#sources.push(name) - 1
    this.#sourceIndex.set(name, index)
    return { index, isNew: true }
  }

  /** Appends a record and gives its ordinal. */
  append(record: SourceRecord): number {
    const ordinal = this.count
    const problem = record.problem ? Buffer.from(JSON.stringify(record.problem)) : undefined
    const entry: Entry = {
      start: this.#records.size,
      length: record.raw.length,
      problemLength: problem?.length ?? 0,
      line: record.line,
      source: record.source === undefined ? 0 : this.sourceIndex(record.source).index + 1,
    }
    const sum = crc32(record.raw, seedOf(entry, ordinal))
    this.#records.append(record.raw)
    if (problem) this.#records.append(problem)
    this.#records.append(NEWLINE)
    this.#index.append(bytesOf(entry, problem ? crc32(problem, sum) : sum))
    return ordinal
  }

  /** Makes what was appended readable. */
  flush(): Promise<void> {
    const flush = async (): Promise<void> => {
      // Counted first: what is appended meanwhile may reach the index before it reaches the records.
      const count = this.count
      await this.#records.flush()
      await this.#index.flush()
      this.#readable = count
    }
    const flushed = this.#flushed.then(flush)
    this.#flushed = flushed.catch(() => {})
    return flushed
  }

  async sync(): Promise<void> {
    await this.flush()
    await this.#records.sync()
    await this.#index.sync()
  }

  /** A reader of its own window, for one consumer that reads mostly forward. */
  reader(job?: Job): RecordReader {
    return new RecordReader(this.#files.records, this.#files.index, this.#sources, job)
  }

  async close(): Promise<void> {
    await this.#flushed
    await this.#records.close()
    await this.#index.close()
  }
}

const NEWLINE = Buffer.from('\n')

/** Where records that follow each other lie. */
export interface RecordSpan {
  /** Of the first. */
  readonly ordinal: number
  readonly entries: readonly SpanEntry[]
  readonly source: string | undefined
}

export type SpanEntry = Pick<Entry, 'start' | 'length' | 'line'>

/** Reads records by ordinal; cheap where ordinals ascend. */
export class RecordReader {
  readonly #records: ReadAheadFile
  readonly #index: ReadAheadFile
  readonly #sources: readonly string[]
  readonly #job: Job | undefined

  /** Without a job, records are only looked at. */
  constructor(records: DiskFile, index: DiskFile, sources: readonly string[], job?: Job) {
    this.#job = job
    this.#records = new ReadAheadFile(records)
    this.#index = new ReadAheadFile(index)
    this.#sources = sources
  }

  /** The record if it is in memory already, without a promise. */
  peek(ordinal: number, attempt: number, doublings = 0): SourceRecord | undefined {
    const entry = this.#entry(ordinal)
    const bytes = entry && this.#records.peek(entry.start, entry.length + entry.problemLength)
    return bytes && this.#record(entry, bytes, { ordinal, attempt, doublings })
  }

  async read(ordinal: number, attempt: number, doublings = 0): Promise<SourceRecord> {
    const here = this.peek(ordinal, attempt, doublings)
    if (here) return here
    const entry = entryIn(await this.#index.read(ordinal * ENTRY, ENTRY), 0, ordinal)
    const bytes = await this.#records.read(entry.start, entry.length + entry.problemLength)
    return this.#record(entry, bytes, { ordinal, attempt, doublings })
  }

  /**
   * Where records that follow each other lie, as many as there are of `count` from one source without a problem: what precedes
   * another kind of record.
   */
  async span(ordinal: number, count: number): Promise<RecordSpan> {
    const bytes = await this.#index.read(ordinal * ENTRY, count * ENTRY)
    const entries: SummedEntry[] = []
    for (let index = 0; index < count; index++) {
      const entry = entryIn(bytes, index * ENTRY, ordinal + index)
      const before = entries.at(-1)
      if (entry.problemLength > 0 || (before && !follows(entry, before))) break
      entries.push(entry)
    }
    const { source = 0 } = entries[0] ?? {}
    return { ordinal, entries, source: this.#sources[source - 1] }
  }

  /** The first so many records of a span, a line each. Nothing is written to this memory any more. */
  async bytesOf({ ordinal, entries }: RecordSpan, count: number): Promise<Buffer> {
    // A span that is read has records.
    const start = (entries[0] as SpanEntry).start
    const { start: last, length } = entries[count - 1] as SpanEntry
    const bytes = await this.#records.read(start, last + length - start)
    for (let index = 0; index < count; index++) {
      const entry = entries[index] as SummedEntry
      const at = entry.start - start
      const record = bytes.subarray(at, at + entry.length)
      if (crc32(record, seedOf(entry, ordinal + index)) !== entry.sum)
        throw damaged(ordinal + index)
    }
    return bytes
  }

  #entry(ordinal: number): SummedEntry | undefined {
    const at = this.#index.find(ordinal * ENTRY, ENTRY)
    if (at !== -1) return entryIn(this.#index.bytes, at, ordinal)
    const elsewhere = this.#index.peek(ordinal * ENTRY, ENTRY)
    return elsewhere && entryIn(elsewhere, 0, ordinal)
  }

  #record(
    entry: SummedEntry,
    bytes: Buffer,
    { ordinal, attempt, doublings }: { ordinal: number; attempt: number; doublings: number },
  ): SourceRecord {
    const { length, problemLength, line, source, sum } = entry
    if (crc32(bytes, seedOf(entry, ordinal)) !== sum) throw damaged(ordinal)
    const problem: Problem | undefined =
      problemLength > 0 ? JSON.parse(bytes.toString('utf8', length)) : undefined
    return new SourceRecord(problemLength > 0 ? bytes.subarray(0, length) : bytes, {
      line,
      source: source === 0 ? undefined : this.#sources[source - 1],
      problem,
      job: this.#job,
      ordinal,
      attempt,
      doublings,
    })
  }
}

/** What the index says of a record. */
interface Entry {
  readonly start: number
  readonly length: number
  readonly problemLength: number
  readonly line: number
  /** The number of its source, from 1; 0 for none. */
  readonly source: number
}

interface SummedEntry extends Entry {
  /** CRC-32 of the record and its problem, begun with what the entry says. */
  readonly sum: number
}

/** Whether a record of the same source stands behind another one and its newline. */
function follows({ start, source }: Entry, before: Entry): boolean {
  return source === before.source && start === before.start + before.length + 1
}

function entryIn(bytes: Buffer, at: number, ordinal: number): SummedEntry {
  if (bytes.length < at + ENTRY) throw damaged(ordinal)
  return {
    start: bytes.readUIntLE(at, 6),
    length: bytes.readUInt32LE(at + 6),
    problemLength: bytes.readUInt32LE(at + 10),
    line: bytes.readUIntLE(at + 14, 6),
    source: bytes.readUIntLE(at + 20, 3),
    sum: bytes.readUInt32LE(at + 24),
  }
}

function bytesOf({ start, length, problemLength, line, source }: Entry, sum: number): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY)
  entry.writeUIntLE(start, 0, 6)
  entry.writeUInt32LE(length, 6)
  entry.writeUInt32LE(problemLength, 10)
  entry.writeUIntLE(line, 14, 6)
  // Four bytes: the spare one is 0.
  entry.writeUInt32LE(source, 20)
  entry.writeUInt32LE(sum, 24)
  return entry
}

/** What a record's checksum begins with, so that it covers the entry, too, and the place of the entry in the index. */
function seedOf({ start, length, problemLength, line, source }: Entry, ordinal: number): number {
  let seed = mix(0, ordinal)
  seed = mix(seed, start)
  seed = mix(seed, length)
  seed = mix(seed, problemLength)
  seed = mix(seed, line)
  return mix(seed, source) >>> 0
}

/** Takes a number of up to 53 bits into one of 32. */
function mix(seed: number, number: number): number {
  return Math.imul(seed ^ number ^ Math.floor(number / 2 ** 32), 0x9e3779b1)
}

function damaged(ordinal: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `record ${ordinal + 1} of the job is damaged on disk: records.jsonl or records.index was changed since it was written; see \`claude-batch-stream doctor\``,
  )
}
