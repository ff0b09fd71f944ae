import type { DiskFile } from './disk.ts'

/** Bytes read at a time where a file is read forward. */
const WINDOW = 256 * 1024

/** Bytes read at a time where ranges lie anywhere: the API gives results in any order. */
const SCATTERED = 16 * 1024

/** Reads ranges of a file, mostly forward: one large read serves many small ranges. */
export class Window {
  readonly #file: DiskFile
  #start = 0
  #bytes: Buffer = Buffer.alloc(0)

  constructor(file: DiskFile) {
    this.#file = file
  }

  /** The range if it is in memory; the bytes are not copied and stay valid. */
  peek(start: number, length: number): Buffer | undefined {
    const at = start - this.#start
    if (at < 0 || at + length > this.#bytes.length) return undefined
    return this.#bytes.subarray(at, at + length)
  }

  /** The range, read from the file if need be; shorter where the file ends before it. */
  async read(start: number, length: number): Promise<Buffer> {
    const here = this.peek(start, length)
    if (here) return here
    const { from, size } = this.#range(start)
    const wanted = start + length - from
    // A fresh buffer each time, since slices of the last one may still be in use.
    const bytes = Buffer.allocUnsafe(Math.max(wanted, size))
    const read = await this.#file.read(bytes, from)
    this.#start = from
    this.#bytes = bytes.subarray(0, read)
    return this.#bytes.subarray(start - from, wanted)
  }

  /** What to read for a range that is not here: much ahead of it, around it, or little where the last one was far away. */
  #range(start: number): { from: number; size: number } {
    const end = this.#start + this.#bytes.length
    if (this.#bytes.length === 0 || (start >= this.#start && start <= end + WINDOW)) {
      return { from: start, size: WINDOW }
    }
    if (start < this.#start && start >= this.#start - WINDOW) {
      return { from: Math.max(0, start - WINDOW / 2), size: WINDOW }
    }
    return { from: start, size: SCATTERED }
  }
}
