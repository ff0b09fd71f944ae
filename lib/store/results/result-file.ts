import { ENTRY as PART } from '../../core/json/scanner.ts'
import type { AppendFile } from '../append-file.ts'
import {
  ENTRY_BYTES,
  entrySum,
  HEADER,
  LENGTH,
  NO_LINE,
  NUMBERS,
  PART_COUNT,
  PARTS,
  START,
  START_HIGH,
  startIn,
  SUM,
} from './line-index.ts'

/** Requests whose lines are written near each other. */
export const CLUSTER = 1024

/** Bytes of a cluster that are written at once. */
const BLOCK = 16 * 1024

/** A longer line is written as it comes: reading it costs more than finding it. */
export const LONG_LINE: number = 8 * 1024

/** The lines of neighbouring requests that wait to be written together. */
interface Cluster {
  readonly bytes: Buffer
  readonly positions: number[]
  end: number
}

/**
 * Writes the lines of a result set clustered by request, since they come in any order and rows are read in the order of their
 * requests: lines of neighbours stand in blocks that are read at once. Every line ends with a newline.
 */
export class ResultFile {
  readonly #file: AppendFile
  readonly #requests: number
  readonly #indexBytes: Buffer
  /** The numbers of one request after the other: a view of `#indexBytes` behind its header. */
  readonly #index: Uint32Array
  readonly #clusters: (Cluster | undefined)[] = []

  constructor(file: AppendFile, requests: number) {
    this.#file = file
    this.#requests = requests
    this.#indexBytes = Buffer.alloc(HEADER.length + requests * ENTRY_BYTES)
    this.#indexBytes.set(HEADER)
    const { buffer, byteOffset } = this.#indexBytes
    this.#index = new Uint32Array(buffer, byteOffset + HEADER.length, requests * NUMBERS)
  }

  has(position: number): boolean {
    return this.#index[position * NUMBERS + LENGTH] !== 0
  }

  /** Adds the line of a request. `parts` is the table that has its parts, for a plain answer; its entry begins at `entry`. */
  add(position: number, line: Uint8Array, parts?: Int32Array, entry = 0): void {
    const at = position * NUMBERS
    const index = this.#index
    index[at + LENGTH] = line.length
    if (line.length >= LONG_LINE) {
      this.#place(position, this.#file.size)
      index[at + SUM] = entrySum(index, at, position, line)
      this.append(line)
      return
    }
    if (parts) copyParts(parts, entry, index, at)
    const cluster = this.#cluster(position)
    if (cluster.end + line.length + 1 > BLOCK) this.#write(cluster)
    this.#place(position, cluster.end)
    cluster.positions.push(position)
    cluster.bytes.set(line, cluster.end)
    cluster.end += line.length + 1
    cluster.bytes[cluster.end - 1] = NEWLINE
  }

  /** Adds a line that is of no request. */
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

  /** Writes all that waits, durably; gives the size of the file. */
  async sync(): Promise<number> {
    for (const cluster of this.#clusters) if (cluster) this.#write(cluster)
    await this.#file.sync()
    return this.#file.size
  }

  /** The index, once all lines are written. */
  get index(): Buffer {
    const index = this.#index
    for (let position = 0; position < this.#requests; position++) {
      const at = position * NUMBERS
      if (index[at + LENGTH] === 0) index[at + SUM] = entrySum(index, at, position, NO_LINE)
    }
    return this.#indexBytes
  }

  #cluster(position: number): Cluster {
    const number = Math.floor(position / CLUSTER)
    return (this.#clusters[number] ??= {
      bytes: Buffer.allocUnsafeSlow(BLOCK),
      positions: [],
      end: 0,
    })
  }

  #place(position: number, start: number): void {
    this.#index[position * NUMBERS + START] = start % 2 ** 32
    this.#index[position * NUMBERS + START_HIGH] = Math.floor(start / 2 ** 32)
  }

  /** Writes a cluster's block. Only now is it known where its lines lie in the file. */
  #write(cluster: Cluster): void {
    const { bytes, positions, end } = cluster
    const index = this.#index
    const base = this.#file.size
    for (const position of positions) {
      const at = position * NUMBERS
      const start = startIn(index, at)
      this.#place(position, base + start)
      const line = bytes.subarray(start, start + index[at + LENGTH]!)
      index[at + SUM] = entrySum(index, at, position, line)
    }
    this.#file.append(bytes.subarray(0, end))
    positions.length = 0
    cluster.end = 0
  }
}

const NEWLINE = 0x0a
const LINE_END = Buffer.from('\n')

function copyParts(parts: Int32Array, entry: number, index: Uint32Array, at: number): void {
  const start = parts[entry + PART.start]!
  // They follow each other in both tables, and every index is in range.
  for (let part = 0; part < PART_COUNT; part++) {
    const from = entry + PART.customId + 2 * part
    index[at + PARTS + part] =
      ((parts[from] as number) - start) | (((parts[from + 1] as number) - start) << 16)
  }
}
