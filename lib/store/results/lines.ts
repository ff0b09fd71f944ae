import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../../core/errors.ts'
import type { DiskFile } from '../disk.ts'
import { openStored, type BatchFiles } from '../sums.ts'
import {
  BLOCK,
  BLOCK_NUMBERS,
  indexIn,
  LENGTH,
  NUMBERS,
  OFFSET,
  SIZE,
  START,
  START_HIGH,
  SUM,
  type LineIndex,
} from './line-index.ts'
import { CLUSTER, LONG_LINE } from './result-file.ts'

/** Reads the result lines of a batch by the position of their request. Bytes that changed on disk are `CBS_STATE`. */
export class ResultLines {
  readonly #number: number
  readonly #index: LineIndex
  readonly #file: DiskFile
  readonly #requests: number
  /** The offset in memory of each block of the loaded cluster. */
  readonly #places: Uint32Array
  #loaded: LineSpan | undefined
  /** Memory of clusters without a reader, for the next ones. */
  readonly #spare: Buffer[] = []
  /** The last block that was read for a single line. */
  #block: { readonly number: number; readonly bytes: Buffer } | undefined

  constructor(number: number, requests: number, index: LineIndex, file: DiskFile) {
    this.#number = number
    this.#requests = requests
    this.#index = index
    this.#places = new Uint32Array(index.blocks.length / BLOCK_NUMBERS)
    this.#file = file
  }

  /** Opens the files of a batch with `requests` requests. An index of another format is `CBS_STATE`. */
  static async open(files: BatchFiles, number: number, requests: number): Promise<ResultLines> {
    const bytes = await files.disk.readWhole(files.path(number, 'lines'))
    const index = readIndex(bytes ?? Buffer.alloc(0), number, requests)
    const file = await openStored(files.disk, files.path(number, 'results'))
    return new ResultLines(number, requests, index, file)
  }

  /** The entries of all requests. */
  get entries(): Uint32Array {
    return this.#index.entries
  }

  /** A short line of the loaded cluster; undefined for every other position, and if there is no line. */
  tryReadSync(position: number): Buffer | undefined {
    const loaded = this.#loaded
    return loaded && position >= loaded.first && position < loaded.end
      ? loaded.line(position)
      : undefined
  }

  /** The line of a request; null if there is none. */
  async read(position: number): Promise<Buffer | null> {
    const { entries } = this.#index
    const at = position * NUMBERS
    // Callers pass positions of requests only.
    const length = entries[at + LENGTH]!
    if (length === 0) return null
    const number = entries[at + BLOCK]!
    const start = entries[at + OFFSET]!
    if (this.#block?.number === number) return this.#block.bytes.subarray(start, start + length)
    const bytes = await this.#readBlock(number)
    // A long line is not kept.
    this.#block = length < LONG_LINE ? { number, bytes } : undefined
    return bytes.subarray(start, start + length)
  }

  /** The same for a line whose neighbors are read next. */
  async readOn(position: number): Promise<Buffer | null> {
    const span = await this.load(position)
    return span.line(position) ?? (await this.read(position))
  }

  /** Loads the short lines of the cluster of a position. */
  async load(position: number): Promise<LineSpan> {
    const first = position - (position % CLUSTER)
    if (this.#loaded?.first === first) return this.#loaded
    this.#loaded?.release()
    this.#loaded = undefined
    return (this.#loaded = await this.#readCluster(first))
  }

  /** Reads the blocks of a cluster. Its loops are separate functions, since V8 takes long to compile large hot functions. */
  async #readCluster(first: number): Promise<LineSpan> {
    const index = this.#index
    const end = Math.min(first + CLUSTER, this.#requests)
    const numbers = blocksOf(index, first, end)
    const size = placeAll(index, numbers, this.#places)
    const memory = this.#memoryFor(size)
    const bytes = memory.subarray(0, size)
    for (let from = 0, to = 0; from < numbers.length; from = to) {
      to = endOfRun(index, numbers, from)
      const start = this.#places[numbers[from]!]!
      const behind = to < numbers.length ? this.#places[numbers[to]!]! : size
      await this.#readInto(bytes.subarray(start, behind), startOf(index, numbers[from]!))
    }
    for (const number of numbers) this.#check(number, bytes, this.#places[number]!)
    const free = (): void => {
      if (this.#spare.length < MAX_SPARE) this.#spare.push(memory)
    }
    return new LineSpan({ first, end, index, bytes, places: this.#places, free })
  }

  /** Spare memory if it is large enough. New memory for each cluster would make V8 collect garbage as large as the file. */
  #memoryFor(size: number): Buffer {
    const spare = this.#spare.pop()
    return spare && spare.length >= size ? spare : Buffer.allocUnsafeSlow(size + (size >> 3))
  }

  async #readBlock(number: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(sizeOf(this.#index, number))
    await this.#readInto(bytes, startOf(this.#index, number))
    this.#check(number, bytes, 0)
    return bytes
  }

  async #readInto(bytes: Buffer, start: number): Promise<void> {
    const read = this.#file.readSync?.(bytes, start) ?? (await this.#file.read(bytes, start))
    if (read < bytes.length) throw damaged(this.#number)
  }

  #check(number: number, bytes: Buffer, at: number): void {
    const block = bytes.subarray(at, at + sizeOf(this.#index, number))
    if (crc32(block) !== this.#index.blocks[number * BLOCK_NUMBERS + SUM])
      throw damaged(this.#number)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** How much memory is kept for reuse: pages of as many clusters may be in the pipeline. */
const MAX_SPARE = 3

export interface LineSpanParts {
  /** The first position of the cluster, and the one after its last. */
  readonly first: number
  readonly end: number
  readonly index: LineIndex
  readonly bytes: Buffer
  /** The offset in `bytes` of each block. */
  readonly places: Uint32Array
  /** Called when `bytes` has no reader left. */
  readonly free: () => void
}

/** The short lines of a cluster, in memory. Valid until the next cluster is loaded, or as long as its bytes are shared. */
export class LineSpan {
  /** The first position of the cluster, and the one after its last. */
  readonly first: number
  readonly end: number
  /** The entries of all requests. */
  readonly entries: Uint32Array
  readonly bytes: Buffer
  /** Whether `bytes` is valid UTF-8. */
  readonly isUtf8: boolean
  readonly #parts: LineSpanParts
  /** The number of readers of `bytes`: the pages, and the caller that loaded it. */
  #readers = 1

  constructor(parts: LineSpanParts) {
    this.first = parts.first
    this.end = parts.end
    this.entries = parts.index.entries
    this.bytes = parts.bytes
    this.isUtf8 = isUtf8(parts.bytes)
    this.#parts = parts
  }

  /** The length of a request's line; 0 if it has none, or a long one, which is read by itself. */
  length(position: number): number {
    const length = this.entries[position * NUMBERS + LENGTH]!
    return length < LONG_LINE ? length : 0
  }

  /** The offset in `bytes` of the short line of a request. */
  start(position: number): number {
    const at = position * NUMBERS
    return this.#parts.places[this.entries[at + BLOCK]!]! + this.entries[at + OFFSET]!
  }

  /** The short line of a request; undefined if it has none. */
  line(position: number): Buffer | undefined {
    const length = this.length(position)
    if (length === 0) return undefined
    const start = this.start(position)
    // The caller does not say when it is done with the line, so this memory is never reused.
    this.share()
    return this.bytes.subarray(start, start + length)
  }

  /** Adds a reader of `bytes`. The reader calls the returned function once when it is done. */
  share(): () => void {
    this.#readers += 1
    return () => this.release()
  }

  /** Removes a reader. */
  release(): void {
    this.#readers -= 1
    if (this.#readers === 0) this.#parts.free()
  }
}

/** The numbers of the blocks with the short lines of the requests from `first` to `end`, in the order of the file. */
function blocksOf(index: LineIndex, first: number, end: number): number[] {
  const { entries } = index
  const numbers = new Set<number>()
  for (let at = first * NUMBERS; at < end * NUMBERS; at += NUMBERS) {
    const length = entries[at + LENGTH]!
    if (length > 0 && length < LONG_LINE) numbers.add(entries[at + BLOCK]!)
  }
  return [...numbers].sort((a, b) => startOf(index, a) - startOf(index, b))
}

/** Places the blocks in memory one after the other; returns their total size. */
function placeAll(index: LineIndex, numbers: readonly number[], places: Uint32Array): number {
  let end = 0
  for (const number of numbers) {
    places[number] = end
    end += sizeOf(index, number)
  }
  return end
}

/** The end of the run of blocks, starting at `from`, that are adjacent in the file. */
function endOfRun(index: LineIndex, numbers: readonly number[], from: number): number {
  let to = from
  let end = startOf(index, numbers[from]!)
  for (; to < numbers.length && startOf(index, numbers[to]!) === end; to++)
    end += sizeOf(index, numbers[to]!)
  return to
}

function startOf({ blocks }: LineIndex, number: number): number {
  const at = number * BLOCK_NUMBERS
  return blocks[at + START]! + blocks[at + START_HIGH]! * 2 ** 32
}

function sizeOf({ blocks }: LineIndex, number: number): number {
  return blocks[number * BLOCK_NUMBERS + SIZE]!
}

/**
 * Reads the index of a result set.
 * @throws BatchStreamError `CBS_STATE` if it was changed, or has another format
 */
export function readIndex(bytes: Buffer, number: number, requests: number): LineIndex {
  const index = indexIn(bytes, requests)
  if (index === 'damaged') throw damaged(number)
  if (index !== 'foreign') return index
  throw new BatchStreamError(
    'CBS_STATE',
    `result set ${number} of the job is damaged on disk: ${number}.lines was written by another version of the program; see \`claude-batch-stream doctor\``,
  )
}

function damaged(number: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the result set of batch ${number} is damaged on disk: ${number}.results or ${number}.lines was changed since it was written; see \`claude-batch-stream doctor\``,
  )
}
