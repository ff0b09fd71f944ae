import { BatchStreamError } from '../../core/errors.ts'
import type { DiskFile } from '../disk.ts'
import type { BatchFiles } from '../sums.ts'
import { ReadAheadFile } from '../read-ahead-file.ts'
import {
  ENTRY_BYTES,
  entrySum,
  HEADER,
  LENGTH,
  NO_LINE,
  NUMBERS,
  START_HIGH,
  startIn,
  SUM,
} from './line-index.ts'
import { CLUSTER, LONG_LINE } from './result-file.ts'

/** A line that comes next in the file as well begins behind its predecessor's line end. */
const LINE_END_BYTES = 2

/** No file is so long that more than 16 bits are needed: what says so is damaged. */
const MAX_START_HIGH = 0xffff

/** The result lines of a batch, by the position of their request. */
export class Lines {
  readonly #files: readonly DiskFile[]
  readonly #index: ReadAheadFile
  readonly #results: ReadAheadFile
  readonly #file: DiskFile
  readonly #number: number
  readonly #requests: number
  #loaded: LineSpan | undefined

  private constructor(number: number, requests: number, index: DiskFile, results: DiskFile) {
    this.#number = number
    this.#requests = requests
    this.#files = [index, results]
    this.#index = new ReadAheadFile(index)
    this.#file = results
    this.#results = new ReadAheadFile(results, LINE_END_BYTES)
  }

  /** Opens the files of a batch with so many requests. Files of an older format are `CBS_STATE`. */
  static async open(files: BatchFiles, number: number, requests: number): Promise<Lines> {
    const index = await files.disk.open(files.path(number, 'lines'), 'read')
    const results = await files.disk.open(files.path(number, 'results'), 'read')
    const lines = new Lines(number, requests, index, results)
    const header = await lines.#index.read(0, HEADER.length)
    if (header.equals(HEADER)) return lines
    await lines.close()
    throw new BatchStreamError(
      'CBS_STATE',
      `result set ${number} of the job is damaged on disk: ${number}.lines does not begin as this version of the program writes it; see \`claude-batch-stream doctor\``,
    )
  }

  /** The line if it is in memory already; undefined where it has to be read, or where there is none. */
  peek(position: number): Buffer | undefined {
    const at = this.#index.find(HEADER.length + position * ENTRY_BYTES, ENTRY_BYTES)
    if (at === -1) return undefined
    const entry = numbersIn(this.#index.bytes.subarray(at, at + ENTRY_BYTES))
    if ((entry[START_HIGH] as number) > MAX_START_HIGH) throw this.#damaged(position)
    const length = entry[LENGTH]!
    const line = length > 0 ? this.#results.peek(startIn(entry, 0), length) : undefined
    return line && this.#checked(position, entry, 0, line)
  }

  /** The line; null where there is none. A line or an entry that was changed on disk is `CBS_STATE`. */
  async read(position: number): Promise<Buffer | null> {
    const entry = await this.#entries(position, 1)
    const length = entry[LENGTH]!
    const line = length > 0 ? await this.#results.read(startIn(entry, 0), length) : NO_LINE
    this.#checked(position, entry, 0, line)
    return length > 0 ? line : null
  }

  async #entries(position: number, count: number): Promise<Uint32Array> {
    const size = count * ENTRY_BYTES
    const bytes = await this.#index.read(HEADER.length + position * ENTRY_BYTES, size)
    if (bytes.length < size) throw this.#damaged(position)
    const entries = numbersIn(bytes)
    for (let index = 0; index < count; index++)
      if ((entries[index * NUMBERS + START_HIGH] as number) > MAX_START_HIGH)
        throw this.#damaged(position + index)
    return entries
  }

  /** The lines of the cluster that a position is in. */
  async load(position: number): Promise<LineSpan> {
    const first = position - (position % CLUSTER)
    if (this.#loaded?.first !== first) this.#loaded = await this.#read(first)
    return this.#loaded
  }

  /** Reads the short lines of a cluster, those that follow each other in the file at once. */
  async #read(first: number): Promise<LineSpan> {
    const count = Math.min(CLUSTER, this.#requests - first)
    const index = await this.#entries(first, count)
    const starts = new Uint32Array(count)
    const short: number[] = []
    let size = 0
    for (let at = 0; at < count; at++) {
      const length = index[at * NUMBERS + LENGTH]!
      if (length === 0 || length >= LONG_LINE) continue
      short.push(at)
      size += length + 1
    }
    const startOf = (at: number): number => startIn(index, at * NUMBERS)
    short.sort((a, b) => startOf(a) - startOf(b))
    const bytes = Buffer.allocUnsafeSlow(size)
    let end = 0
    for (let from = 0, to = 0; from < short.length; from = to) {
      const start = startOf(short[from]!)
      const begun = end
      for (; to < short.length && startOf(short[to]!) === start + end - begun; to++) {
        starts[short[to]!] = end
        end += index[short[to]! * NUMBERS + LENGTH]! + 1
      }
      const block = bytes.subarray(begun, end)
      const read = this.#file.readNow?.(block, start) ?? (await this.#file.read(block, start))
      // What is missing at the end of a cut file must not be what the memory held before.
      block.fill(0, read)
    }
    return new LineSpan(first, index, bytes, starts, (at, line) =>
      this.#checked(first + at, index, at * NUMBERS, line),
    )
  }

  #checked(position: number, index: Uint32Array, at: number, line: Buffer): Buffer {
    if (entrySum(index, at, position, line) !== index[at + SUM]) throw this.#damaged(position)
    return line
  }

  #damaged(position: number): BatchStreamError {
    return new BatchStreamError(
      'CBS_STATE',
      `result ${position + 1} of batch ${this.#number} is damaged on disk: ${this.#number}.results or ${this.#number}.lines was changed since it was written; see \`claude-batch-stream doctor\``,
    )
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }
}

/** The lines of a cluster, whose entries and short lines are in memory. */
export class LineSpan {
  readonly first: number
  /** Entries of the requests from the first on. */
  readonly index: Uint32Array
  readonly #bytes: Buffer
  readonly #starts: Uint32Array
  readonly #check: (at: number, line: Buffer) => Buffer

  constructor(
    first: number,
    index: Uint32Array,
    bytes: Buffer,
    starts: Uint32Array,
    check: (at: number, line: Buffer) => Buffer,
  ) {
    this.first = first
    this.index = index
    this.#bytes = bytes
    this.#starts = starts
    this.#check = check
  }

  /** The position behind the last one of the cluster. */
  get end(): number {
    return this.first + this.#starts.length
  }

  /** The length of a request's line; 0 where it has none, or a long one, which is read for itself. */
  length(position: number): number {
    const length = this.index[(position - this.first) * NUMBERS + LENGTH]!
    return length < LONG_LINE ? length : 0
  }

  /** Copies a short line. */
  copy(position: number, into: Buffer, to: number): void {
    const at = position - this.first
    const start = this.#starts[at]!
    const line = this.#bytes.subarray(start, start + this.length(position))
    into.set(this.#check(at, line), to)
  }

  /** Where in `index` the entry of a request begins. */
  entry(position: number): number {
    return (position - this.first) * NUMBERS
  }
}

function numbersIn(bytes: Buffer): Uint32Array {
  // A view wants an address that is a multiple of four.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint32Array(aligned.buffer, aligned.byteOffset, bytes.length / 4)
}
