import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../../core/errors.ts'
import type { DiskFile } from '../disk.ts'
import type { BatchFiles } from '../sums.ts'
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

/** The result lines of a batch, by the position of their request. Bytes that were changed on disk are `CBS_STATE`. */
export class Lines {
  readonly #number: number
  readonly #index: LineIndex
  readonly #file: DiskFile
  readonly #requests: number
  #loaded: LineSpan | undefined
  /** The block that was read last for a line of its own. */
  #block: { readonly number: number; readonly bytes: Buffer } | undefined

  private constructor(number: number, requests: number, index: LineIndex, file: DiskFile) {
    this.#number = number
    this.#requests = requests
    this.#index = index
    this.#file = file
  }

  /** Opens the files of a batch with so many requests. An index of an older format is `CBS_STATE`. */
  static async open(files: BatchFiles, number: number, requests: number): Promise<Lines> {
    const bytes = await files.disk.readWhole(files.path(number, 'lines'))
    const index = indexIn(bytes ?? Buffer.alloc(0), requests)
    if (index === 'damaged') throw damaged(number)
    if (index !== 'foreign')
      return new Lines(
        number,
        requests,
        index,
        await files.disk.open(files.path(number, 'results'), 'read'),
      )
    throw new BatchStreamError(
      'CBS_STATE',
      `result set ${number} of the job is damaged on disk: ${number}.lines does not begin as this version of the program writes it; see \`claude-batch-stream doctor\``,
    )
  }

  /** A short line of the cluster that was loaded last; undefined for every other one, and where there is none. */
  tryReadSync(position: number): Buffer | undefined {
    const loaded = this.#loaded
    return loaded && position >= loaded.first && position < loaded.end
      ? loaded.line(position)
      : undefined
  }

  /** The line; null where there is none. */
  async read(position: number): Promise<Buffer | null> {
    const { entries } = this.#index
    const at = position * NUMBERS
    // Every position is one of a request.
    const length = entries[at + LENGTH]!
    if (length === 0) return null
    const number = entries[at + BLOCK]!
    const start = entries[at + OFFSET]!
    if (this.#block?.number === number) return this.#block.bytes.subarray(start, start + length)
    const bytes = await this.#readBlock(number)
    // A long line must not cost its size for longer than it is read.
    this.#block = length < LONG_LINE ? { number, bytes } : undefined
    return bytes.subarray(start, start + length)
  }

  /** The same for a line whose neighbours are read next. */
  async readOn(position: number): Promise<Buffer | null> {
    const span = await this.load(position)
    return span.line(position) ?? (await this.read(position))
  }

  /** The short lines of the cluster that a position is in. */
  async load(position: number): Promise<LineSpan> {
    const first = position - (position % CLUSTER)
    if (this.#loaded?.first !== first) this.#loaded = await this.#readCluster(first)
    return this.#loaded
  }

  /** Reads the blocks of a cluster, those that follow each other in the file at once. */
  async #readCluster(first: number): Promise<LineSpan> {
    const { entries, blocks } = this.#index
    const count = Math.min(CLUSTER, this.#requests - first)
    const numbers = new Set<number>()
    for (let at = first * NUMBERS; at < (first + count) * NUMBERS; at += NUMBERS)
      if (entries[at + LENGTH]! > 0 && entries[at + LENGTH]! < LONG_LINE)
        numbers.add(entries[at + BLOCK]!)
    const inOrder = [...numbers].sort((a, b) => startOf(blocks, a) - startOf(blocks, b))
    const size = inOrder.reduce((sum, number) => sum + sizeOf(blocks, number), 0)
    // Slices of it may be in use for long, so each cluster has memory of its own.
    const bytes = Buffer.allocUnsafeSlow(size)
    const places = new Map<number, number>()
    let end = 0
    for (let from = 0, to = 0; from < inOrder.length; from = to) {
      const begun = end
      const start = startOf(blocks, inOrder[from]!)
      for (; to < inOrder.length && startOf(blocks, inOrder[to]!) === start + end - begun; to++) {
        places.set(inOrder[to]!, end)
        end += sizeOf(blocks, inOrder[to]!)
      }
      await this.#readInto(bytes.subarray(begun, end), start)
    }
    for (const [number, at] of places)
      this.#check(number, bytes.subarray(at, at + sizeOf(blocks, number)))
    return new LineSpan(first, count, entries, bytes, places)
  }

  async #readBlock(number: number): Promise<Buffer> {
    const { blocks } = this.#index
    const bytes = Buffer.allocUnsafeSlow(sizeOf(blocks, number))
    await this.#readInto(bytes, startOf(blocks, number))
    this.#check(number, bytes)
    return bytes
  }

  async #readInto(bytes: Buffer, start: number): Promise<void> {
    const read = this.#file.readSync?.(bytes, start) ?? (await this.#file.read(bytes, start))
    if (read < bytes.length) throw damaged(this.#number)
  }

  #check(block: number, bytes: Buffer): void {
    if (crc32(bytes) !== this.#index.blocks[block * BLOCK_NUMBERS + SUM])
      throw damaged(this.#number)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** The short lines of a cluster, which are in memory. */
export class LineSpan {
  /** The first position of the cluster, and the one behind its last. */
  readonly first: number
  readonly end: number
  /** The entries of all requests. */
  readonly entries: Uint32Array
  readonly bytes: Buffer
  /** Whether all of the bytes are UTF-8. */
  readonly isUtf8: boolean
  /** Where in `bytes` the line of each request lies. */
  readonly #starts: Uint32Array

  constructor(
    first: number,
    count: number,
    entries: Uint32Array,
    bytes: Buffer,
    blocks: ReadonlyMap<number, number>,
  ) {
    this.first = first
    this.end = first + count
    this.entries = entries
    this.bytes = bytes
    this.isUtf8 = isUtf8(bytes)
    this.#starts = new Uint32Array(count)
    for (let position = first; position < this.end; position++) {
      const at = position * NUMBERS
      if (this.length(position) > 0)
        this.#starts[position - first] = blocks.get(entries[at + BLOCK]!)! + entries[at + OFFSET]!
    }
  }

  /** The length of a request's line; 0 where it has none, or a long one, which is read for itself. */
  length(position: number): number {
    const length = this.entries[position * NUMBERS + LENGTH]!
    return length < LONG_LINE ? length : 0
  }

  /** Where in `bytes` the short line of a request lies. */
  start(position: number): number {
    return this.#starts[position - this.first]!
  }

  /** The short line of a request; undefined where it has none. */
  line(position: number): Buffer | undefined {
    const length = this.length(position)
    if (length === 0) return undefined
    const start = this.start(position)
    return this.bytes.subarray(start, start + length)
  }
}

function startOf(blocks: Uint32Array, number: number): number {
  const at = number * BLOCK_NUMBERS
  return blocks[at + START]! + blocks[at + START_HIGH]! * 2 ** 32
}

function sizeOf(blocks: Uint32Array, number: number): number {
  return blocks[number * BLOCK_NUMBERS + SIZE]!
}

function damaged(number: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the result set of batch ${number} is damaged on disk: ${number}.results or ${number}.lines was changed since it was written; see \`claude-batch-stream doctor\``,
  )
}
