import { crc32 } from 'node:zlib'
import { ENTRY as PART } from '../../core/json/scanner.ts'
import type { AppendFile } from '../append-file.ts'
import {
  BLOCK,
  BLOCK_NUMBERS,
  LENGTH,
  NUMBERS,
  OFFSET,
  PART_NUMBERS,
  PARTS,
  SIZE,
  START,
  START_HIGH,
  SUM,
  type LineIndex,
} from './line-index.ts'

/** How many neighboring requests have their lines written together. */
export const CLUSTER = 256

/** The size of a block: bytes of a cluster that are written at once. */
const BLOCK_BYTES = 16 * 1024

/** A line of at least this many bytes is a block of its own, written on arrival. */
export const LONG_LINE: number = 8 * 1024

/** The lines of neighboring requests that wait to be written. */
interface Cluster {
  readonly bytes: Buffer
  /** The number of the current block. */
  block: number
  end: number
}

/**
 * Writes the lines of a result set clustered by request, because they arrive in any order and rows are read in the order of their
 * requests. Lines of neighbors share blocks, which are read at once and have one checksum. Every line ends with a newline.
 */
export class ResultFile {
  readonly #file: AppendFile
  readonly #entries: Uint32Array
  readonly #clusters: (Cluster | undefined)[] = []
  #blocks = new Uint32Array(64 * BLOCK_NUMBERS)
  #blockCount = 0

  /** `known` is the index of the lines that the file already has. */
  constructor(file: AppendFile, requests: number, known?: LineIndex) {
    this.#file = file
    this.#entries = known ? new Uint32Array(known.entries) : new Uint32Array(requests * NUMBERS)
    if (!known) return
    this.#blockCount = known.blocks.length / BLOCK_NUMBERS
    this.#blocks = new Uint32Array(2 * known.blocks.length + BLOCK_NUMBERS)
    this.#blocks.set(known.blocks)
  }

  has(position: number): boolean {
    return this.#entries[position * NUMBERS + LENGTH] !== 0
  }

  /** Adds the line of a request. For a plain answer, `parts` is the scanner's table and `from` the start of the line's entry. */
  add(position: number, line: Uint8Array, parts?: Int32Array, from = 0): void {
    const at = position * NUMBERS
    const entries = this.#entries
    entries[at + LENGTH] = line.length
    if (parts) copyParts(parts, from, entries, at)
    if (line.length >= LONG_LINE) {
      const block = this.#newBlock()
      entries[at + BLOCK] = block
      this.#describe(block, line)
      this.append(line)
      return
    }
    const cluster = this.#clusterOf(position, line.length + 1)
    const { bytes, end } = cluster
    entries[at + BLOCK] = cluster.block
    entries[at + OFFSET] = end
    bytes.set(line, end)
    cluster.end = end + line.length + 1
    bytes[cluster.end - 1] = NEWLINE
  }

  /** Adds the line of a request from another file of the same batch; `entries` are the entries of that file's index. */
  addFrom(position: number, line: Uint8Array, entries: Uint32Array): void {
    this.add(position, line)
    const parts = position * NUMBERS + PARTS
    this.#entries.set(entries.subarray(parts, parts + PART_NUMBERS), parts)
  }

  /** Adds a line that belongs to no request. */
  append(line: Uint8Array): void {
    this.#file.append(line)
    this.#file.append(LINE_END)
  }

  /** True when the caller should flush before it adds more. */
  get full(): boolean {
    return this.#file.full
  }

  async flush(): Promise<void> {
    await this.#file.flush()
  }

  /** Writes all waiting lines durably; returns the size of the file. */
  async sync(): Promise<number> {
    for (const cluster of this.#clusters) if (cluster && cluster.end > 0) this.#write(cluster)
    await this.#file.sync()
    return this.#file.size
  }

  /** The index, once all lines are written. */
  get index(): LineIndex {
    const blocks = this.#blocks.subarray(0, this.#blockCount * BLOCK_NUMBERS)
    return { entries: this.#entries, blocks }
  }

  /** The cluster of a request, with space for `bytes` bytes. */
  #clusterOf(position: number, bytes: number): Cluster {
    const number = Math.floor(position / CLUSTER)
    let cluster = this.#clusters[number]
    if (cluster && cluster.end + bytes <= BLOCK_BYTES && cluster.end > 0) return cluster
    if (cluster && cluster.end > 0) this.#write(cluster)
    cluster ??= { bytes: Buffer.allocUnsafeSlow(BLOCK_BYTES), block: 0, end: 0 }
    cluster.block = this.#newBlock()
    return (this.#clusters[number] = cluster)
  }

  #newBlock(): number {
    if (this.#blockCount * BLOCK_NUMBERS === this.#blocks.length) this.#grow()
    return this.#blockCount++
  }

  #grow(): void {
    const more = new Uint32Array(2 * this.#blocks.length)
    more.set(this.#blocks)
    this.#blocks = more
  }

  #write(cluster: Cluster): void {
    const bytes = cluster.bytes.subarray(0, cluster.end)
    this.#describe(cluster.block, bytes)
    this.#file.append(bytes)
    cluster.end = 0
  }

  /** Records the place and the checksum of the block that is appended next. */
  #describe(block: number, bytes: Uint8Array): void {
    const at = block * BLOCK_NUMBERS
    const { size } = this.#file
    this.#blocks[at + START] = size % 2 ** 32
    this.#blocks[at + START_HIGH] = Math.floor(size / 2 ** 32)
    this.#blocks[at + SIZE] = bytes.length
    this.#blocks[at + SUM] = crc32(bytes)
  }
}

const NEWLINE = 0x0a
const LINE_END = Buffer.from('\n')

function copyParts(parts: Int32Array, from: number, entries: Uint32Array, at: number): void {
  // Every index is in range.
  const start = parts[from + PART.start]!
  // The parts have the same order in both tables.
  for (let number = 0; number < PART_NUMBERS; number++)
    entries[at + PARTS + number] = parts[from + PART.customId + number]! - start
}
