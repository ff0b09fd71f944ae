import type { DiskFile } from './disk.ts'

/** Bytes per read while reading forward. */
const WINDOW = 256 * 1024

/**
 * A range that starts this close behind the last one is part of the same read-ahead; small gaps are cheaper to read than to
 * skip.
 */
const STEP = 64 * 1024

/** Reads ranges of a file, mostly forward: one large read serves many small ranges. */
export class ReadAheadFile {
  readonly #file: DiskFile
  readonly #step: number
  #start = 0
  #bytes: Buffer = Buffer.alloc(0)
  /** The end of the last requested range. */
  #next = 0
  /** Memory shared by small scattered ranges; no byte of it is written twice. */
  #slab: Buffer = Buffer.alloc(0)
  #picked = 0

  /** `step` should be small for ranges in random order: otherwise two accidental neighbours cost a large read. */
  constructor(file: DiskFile, step: number = STEP) {
    this.#file = file
    this.#step = step
  }

  /**
   * Returns the range without waiting; undefined if a read must be awaited. The bytes are not copied and stay valid. A
   * small scattered range is read synchronously: the API returns results in any order, recently downloaded bytes are in the
   * page cache, and a promise per row would cost ten times the read.
   */
  tryReadSync(start: number, length: number): Buffer | undefined {
    const at = this.find(start, length)
    return at === -1 ? this.#readScattered(start, length) : this.#bytes.subarray(at, at + length)
  }

  /** The offset of the range in `bytes`, for callers that need no view; -1 if it is not in memory. */
  find(start: number, length: number): number {
    const at = start - this.#start
    if (at < 0 || at + length > this.#bytes.length) return -1
    this.#next = start + length
    return at
  }

  /** The bytes in memory. */
  get bytes(): Buffer {
    return this.#bytes
  }

  /** Reads the range from memory or the file; it is shorter if the file ends before it. */
  async read(start: number, length: number): Promise<Buffer> {
    const here = this.tryReadSync(start, length)
    if (here) return here
    const wanted = this.#isForward(start) ? Math.max(length, WINDOW) : length
    // A length corrupted by damage must not allocate gigabytes.
    const left = wanted > WINDOW ? Math.max(0, (await this.#file.size()) - start) : wanted
    const size = Math.min(wanted, left)
    this.#next = start + length
    // A fresh buffer each time, since slices of the last one may still be in use.
    const bytes = Buffer.allocUnsafe(size)
    const read = await this.#file.read(bytes, start)
    this.#start = start
    this.#bytes = bytes.subarray(0, read)
    return this.#bytes.subarray(0, length)
  }

  #readScattered(start: number, length: number): Buffer | undefined {
    if (length > STEP || this.#isForward(start) || !this.#file.readSync) return undefined
    this.#next = start + length
    if (this.#picked + length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(STEP)
      this.#picked = 0
    }
    const bytes = this.#slab.subarray(this.#picked, this.#picked + length)
    this.#picked += length
    return bytes.subarray(0, this.#file.readSync(bytes, start))
  }

  #isForward(start: number): boolean {
    return start >= this.#next && start <= this.#next + this.#step
  }
}
