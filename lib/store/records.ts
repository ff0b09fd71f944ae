import { BatchStreamError } from '../core/errors.ts'
import { SourceRecord, type Problem } from '../core/flow.ts'
import type { Job } from '../core/job/job.ts'
import { PAGE_BYTES, PAGE_ITEMS } from '../core/pages.ts'
import { RecordPage } from '../core/record-page.ts'
import { AppendFile } from './append-file.ts'
import type { Disk, DiskFile } from './disk.ts'
import { ReadAheadFile } from './read-ahead-file.ts'
import { BlockIndex, blockOf, ENTRY, OpenBlock, type RecordEntry } from './record-block.ts'

/** The records of a job, one line of JSON each, and an index of their positions. A record is identified by its ordinal. */
export class Records {
  readonly #files: { readonly records: DiskFile; readonly index: DiskFile }
  readonly #records: AppendFile
  readonly #index: AppendFile
  readonly #block = new OpenBlock()
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

  /** Opens the files and truncates what no `spooled` event covers. */
  static async open(
    disk: Disk,
    folder: string,
    spooled: { readonly records: number; readonly bytes: number },
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
      const records = await cut('records.jsonl', spooled.bytes)
      const index = await cut('records.index', spooled.records * ENTRY)
      return new Records(records, index, spooled.records, spooled.bytes, sources)
    } catch (cause) {
      for (const file of opened) await file.close()
      throw cause
    }
  }

  /** Whether the files contain all that a `spooled` event covers. */
  static async areWhole(
    disk: Disk,
    folder: string,
    spooled: { readonly records: number; readonly bytes: number },
  ): Promise<boolean> {
    const size = async (name: string): Promise<number> =>
      Number((await disk.stat(`${folder}/${name}`)) ?? 0)
    const bytes = await size('records.jsonl')
    return bytes >= spooled.bytes && (await size('records.index')) >= spooled.records * ENTRY
  }

  get count(): number {
    return this.#index.size / ENTRY + this.#block.count
  }

  get bytes(): number {
    return this.#records.size
  }

  /** The number of readable records. */
  get readable(): number {
    return this.#readable
  }

  /** Whether the caller should flush before it appends more. */
  get full(): boolean {
    return this.#records.full || this.#index.full
  }

  /** The number of a source's name, and whether this is its first record. */
  sourceIndex(name: string): { index: number; isNew: boolean } {
    const known = this.#sourceIndex.get(name)
    if (known !== undefined) return { index: known, isNew: false }
    const index = this.#sources.push(name) - 1
    this.#sourceIndex.set(name, index)
    return { index, isNew: true }
  }

  /** Appends a record and returns its ordinal. */
  append(record: SourceRecord): number {
    const ordinal = this.count
    const problem = record.problem ? Buffer.from(JSON.stringify(record.problem)) : undefined
    const entry = {
      start: this.#records.size,
      length: record.raw.length,
      problemLength: problem?.length ?? 0,
      line: record.line,
      source: this.#sourceNumber(record.source),
    }
    this.#block.add(entry, ordinal)
    this.#records.append(record.raw)
    if (problem) this.#records.append(problem)
    this.#records.append(NEWLINE)
    this.#block.addBytes(this.#records.last(entry.length + entry.problemLength + 1))
    if (this.#block.count === PAGE_ITEMS || this.#block.bytes >= PAGE_BYTES) this.#closeBlock()
    return ordinal
  }

  /** Appends the records of a page as a block of their own. */
  appendPage({ bytes, ends, lines, source: name }: RecordPage): void {
    this.#closeBlock()
    const source = this.#sourceNumber(name)
    const { size } = this.#records
    const ordinal = this.count
    for (let index = 0, from = 0; index < ends.length; index++) {
      // There are as many lines as ends.
      const [end, line] = [ends[index] as number, lines[index] as number]
      const entry = { start: size + from, length: end - from, problemLength: 0, line, source }
      this.#block.add(entry, ordinal + index)
      from = end + 1
    }
    this.#records.append(bytes)
    this.#block.addBytes(bytes)
    this.#closeBlock()
  }

  #sourceNumber(name: string | undefined): number {
    return name === undefined ? 0 : this.sourceIndex(name).index + 1
  }

  #closeBlock(): void {
    if (this.#block.count > 0) this.#index.append(this.#block.close())
  }

  /** Makes appended records readable. The records that a `spooled` event counts at this moment end with a block. */
  flush(): Promise<void> {
    this.#closeBlock()
    const flush = async (): Promise<void> => {
      // Counted first: records appended meanwhile may reach the index before the records file.
      const count = this.#index.size / ENTRY
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

  /** A reader with its own read-ahead, for one consumer that reads mostly forward. */
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

/** The position of consecutive records. */
export interface RecordRange {
  readonly entries: readonly RangeEntry[]
  readonly source: string | undefined
}

export type RangeEntry = Pick<RecordEntry, 'start' | 'length' | 'line'>

/** A verified block in memory. */
interface RecordBlock {
  readonly index: BlockIndex
  readonly bytes: Buffer
}

/** Reads records by ordinal, a block at a time; cheap for ascending ordinals. */
export class RecordReader {
  readonly #records: ReadAheadFile
  readonly #index: ReadAheadFile
  readonly #sources: readonly string[]
  readonly #job: Job | undefined
  #block: RecordBlock | undefined

  /** Without a job, records are only read. */
  constructor(records: DiskFile, index: DiskFile, sources: readonly string[], job?: Job) {
    this.#job = job
    this.#records = new ReadAheadFile(records)
    this.#index = new ReadAheadFile(index)
    this.#sources = sources
  }

  /** The record if it is in memory, without a promise. */
  tryReadSync(ordinal: number, attempt: number, doublings = 0): SourceRecord | undefined {
    const block = this.#cachedBlock(ordinal)
    return block && this.#record(block, { ordinal, attempt, doublings })
  }

  async read(ordinal: number, attempt: number, doublings = 0): Promise<SourceRecord> {
    return this.#record(await this.#readBlock(ordinal), { ordinal, attempt, doublings })
  }

  /** A page of records from an ordinal, all below `end`, if they are in memory; a record with a problem comes alone. */
  tryReadPageSync(ordinal: number, end: number): RecordPage | SourceRecord | undefined {
    const block = this.#cachedBlock(ordinal)
    return block && this.#page(block, ordinal, end)
  }

  async readPage(ordinal: number, end: number): Promise<RecordPage | SourceRecord> {
    return this.#page(await this.#readBlock(ordinal), ordinal, end)
  }

  /**
   * The position of up to `count` consecutive records of one source without a problem. It ends before another kind of
   * record.
   */
  async span(ordinal: number, count: number): Promise<RecordRange> {
    const entries: RecordEntry[] = []
    for (let next = ordinal; next < ordinal + count; next++) {
      const { index } = this.#cachedBlock(next) ?? (await this.#readBlock(next))
      const entry = index.entry(next)
      const before = entries.at(-1)
      if (entry.problemLength > 0 || (before && !follows(entry, before))) break
      entries.push(entry)
    }
    // Without an entry the source is never read.
    const [{ source } = { source: 0 }] = entries
    return { entries, source: this.#sourceOf(source) }
  }

  /** The first `count` records of a span, one line each. This memory is never written again. */
  async bytesOf({ entries }: RecordRange, count: number): Promise<Buffer> {
    // A span that is read has records, and their blocks were verified when it was made.
    const { start } = entries[0] as RangeEntry
    const { start: last, length } = entries[count - 1] as RangeEntry
    return await this.#records.read(start, last + length - start)
  }

  #cachedBlock(ordinal: number): RecordBlock | undefined {
    if (this.#block?.index.has(ordinal)) return this.#block
    const entry = this.#index.tryReadSync(ordinal * ENTRY, ENTRY)
    if (!entry) return undefined
    const { first, count } = blockOf(entry, ordinal)
    const entries = this.#index.tryReadSync(first * ENTRY, count * ENTRY)
    const index = entries && new BlockIndex(first, count, entries)
    const bytes = index && this.#records.tryReadSync(index.start, index.length)
    return bytes && this.#verified(index, bytes)
  }

  async #readBlock(ordinal: number): Promise<RecordBlock> {
    const here = this.#cachedBlock(ordinal)
    if (here) return here
    const entry = await this.#index.read(ordinal * ENTRY, ENTRY)
    const { first, count } = blockOf(entry, ordinal)
    const entries = await this.#index.read(first * ENTRY, count * ENTRY)
    const index = new BlockIndex(first, count, entries)
    return this.#verified(index, await this.#records.read(index.start, index.length))
  }

  #verified(index: BlockIndex, bytes: Buffer): RecordBlock {
    index.verify(bytes)
    return (this.#block = { index, bytes })
  }

  #page({ index, bytes }: RecordBlock, ordinal: number, end: number): RecordPage | SourceRecord {
    const first = index.entry(ordinal)
    if (first.problemLength > 0)
      return this.#record({ index, bytes }, { ordinal, attempt: 1, doublings: 0 })
    const most = Math.min(end, index.first + index.count) - ordinal
    const ends = new Uint32Array(most)
    const lines = new Float64Array(most)
    let count = 0
    for (let before = first; count < most; count++) {
      const entry = count === 0 ? first : index.entry(ordinal + count)
      if (entry.problemLength > 0 || (count > 0 && !follows(entry, before))) break
      ends[count] = entry.start + entry.length - first.start
      lines[count] = entry.line
      before = entry
    }
    const from = first.start - index.start
    // The first record is always on the page.
    return new RecordPage({
      bytes: bytes.subarray(from, from + (ends[count - 1] as number) + 1),
      ends: ends.subarray(0, count),
      lines: lines.subarray(0, count),
      source: this.#sourceOf(first.source),
      ordinal,
      job: this.#job,
    })
  }

  #record(
    { index, bytes: block }: RecordBlock,
    { ordinal, attempt, doublings }: { ordinal: number; attempt: number; doublings: number },
  ): SourceRecord {
    const { start, length, problemLength, line, source } = index.entry(ordinal)
    const from = start - index.start
    const bytes = block.subarray(from, from + length + problemLength)
    const problem: Problem | undefined =
      problemLength > 0 ? JSON.parse(bytes.toString('utf8', length)) : undefined
    return new SourceRecord(problemLength > 0 ? bytes.subarray(0, length) : bytes, {
      line,
      source: this.#sourceOf(source),
      problem,
      ordinal,
      job: this.#job,
      attempt,
      doublings,
    })
  }

  #sourceOf(number: number): string | undefined {
    return number === 0 ? undefined : this.#sources[number - 1]
  }
}

/** Whether a record follows another of the same source directly. */
function follows({ start, source }: RecordEntry, before: RecordEntry): boolean {
  return source === before.source && start === before.start + before.length + 1
}
