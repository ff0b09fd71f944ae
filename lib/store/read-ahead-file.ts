import type { DiskFile } from './disk.ts'

/** Bytes read at a time where a file is read forward. */
const WINDOW = 256 * 1024

/** A range that begins so near behind the last one is a step forward; smaller gaps are cheaper to read than to skip. */
const STEP = 64 * 1024

/** Reads ranges of a file, mostly forward: one large read serves many small ranges. */
export class ReadAheadFile {
  readonly #file: DiskFile
  readonly #step: number
  #start = 0
  #bytes: Buffer = Buffer.alloc(0)
  /** Behind the last range that was asked for. */
  #next = 0
  /** Small ranges that lie elsewhere share memory, which nothing is written to twice. */
  #slab: Buffer = Buffer.alloc(0)
  #picked = 0

  /** Ranges that lie in no order are to give a small `step`: else two that are neighbours by chance cost a large read. */
  constructor(file: DiskFile, step: number = STEP) {
    this.#file = file
    this.#step = step
  }

  /**
   * The range without a wait; undefined where one is needed. Bytes in memory are not copied and stay valid. A small range
   * that lies elsewhere is picked out at once: the API gives results in any order, what was downloaded a moment ago is in
   * the system's memory, and a promise for each row would cost ten times the read.
   */
  peek(start: number, length: number): Buffer | undefined {
    const at = this.find(start, length)
    return at === -1 ? this.#pick(start, length) : this.#bytes.subarray(at, at + length)
  }

  /** Where in `bytes` the range lies, for who reads a few numbers of it and needs no view; -1 where it is not in memory. */
  find(start: number, length: number): number {
    const at = start - this.#start
    if (at < 0 || at + length > this.#bytes.length) return -1
    this.#next = start + length
    return at
  }

  /** What is in memory. */
  get bytes(): Buffer {
    return this.#bytes
  }

  /** The range, read from the file if need be; shorter where the file ends before it. */
  async read(start: number, length: number): Promise<Buffer> {
    const here = this.peek(start, length)
    if (here) return here
    const wanted = this.#isForward(start) ? Math.max(length, WINDOW) : length
    // A length that damage has made of a few bytes must not cost gigabytes of memory.
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

  #pick(start: number, length: number): Buffer | undefined {
    if (length > STEP || this.#isForward(start) || !this.#file.readNow) return undefined
    this.#next = start + length
    if (this.#picked + length > this.#slab.length) {
      this.#slab = Buffer.allocUnsafeSlow(STEP)
      this.#picked = 0
    }
    const bytes = this.#slab.subarray(this.#picked, this.#picked + length)
    this.#picked += length
    return bytes.subarray(0, this.#file.readNow(bytes, start))
  }

  #isForward(start: number): boolean {
    return start >= this.#next && start <= this.#next + this.#step
  }
}
