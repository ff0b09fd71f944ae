import type { DiskFile } from './disk.ts'

/** Bytes buffered before a write: few system calls, little memory. */
const GATHERED = 256 * 1024

/** The initial buffer size; many files of a job stay this small. */
const LEAST = 4 * 1024

/** The largest buffer that is kept, so that one huge record does not hold its size in memory forever. */
const KEPT = 2 * GATHERED

const NOTHING = Buffer.alloc(0)

/** The operations that an append-only file needs. */
export type AppendTarget = Pick<DiskFile, 'write' | 'sync' | 'close'>

/**
 * An append-only file. Small appends are buffered; flushed bytes can be read. After a failed write or sync nothing more is
 * written, since later bytes would land where the lost ones belong.
 */
export class AppendFile {
  readonly #file: AppendTarget
  /**
   * Two buffers alternate, one being filled while the other is written; new ones would create garbage of the size of the
   * file.
   */
  #filling = NOTHING
  #pendingBytes = 0
  readonly #kept: number
  #spare = NOTHING
  #size: number
  #flushed: number
  /** The first failure rejects this for good, so that every later call fails. */
  #writing: Promise<void> = Promise.resolve()

  /** `kept` is for a file of long pieces that is soon closed. */
  constructor(file: AppendTarget, size: number, kept: number = KEPT) {
    this.#kept = kept
    this.#file = file
    this.#size = size
    this.#flushed = size
  }

  /** The offset of the next byte. */
  get size(): number {
    return this.#size
  }

  /** The number of bytes that can be read from the file. */
  get flushed(): number {
    return this.#flushed
  }

  /** Whether the caller should flush before it appends more. */
  get full(): boolean {
    return this.#pendingBytes >= GATHERED
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length)
    this.#filling.set(bytes, at)
  }

  /** Appends so many bytes, which the caller writes at once into `gathering`, from the place that this gives. */
  reserve(count: number): number {
    const at = this.#pendingBytes
    const needed = at + count
    if (needed > this.#filling.length) {
      const longer = Buffer.allocUnsafe(Math.max(needed, 2 * this.#filling.length, LEAST))
      this.#filling.copy(longer, 0, 0, at)
      this.#filling = longer
    }
    this.#pendingBytes = needed
    this.#size += count
    return at
  }

  /** What is gathered; another buffer after the next append or flush. */
  get gathering(): Buffer {
    return this.#filling
  }

  /** The last so many bytes that were appended; only right after they were. */
  last(count: number): Buffer {
    return this.#filling.subarray(this.#pendingBytes - count, this.#pendingBytes)
  }

  /** Writes the buffer; concurrent calls wait for each other. */
  flush(): Promise<void> {
    const write = async (): Promise<void> => {
      if (this.#pendingBytes === 0) return
      const full = this.#filling
      const bytes = full.subarray(0, this.#pendingBytes)
      this.#filling = this.#spare
      this.#spare = NOTHING
      this.#pendingBytes = 0
      await this.#file.write(bytes, this.#flushed)
      this.#flushed += bytes.length
      if (full.length <= this.#kept) this.#spare = full
    }
    return this.#next(write)
  }

  /** Resolves when all appended bytes survive a power failure. */
  async sync(): Promise<void> {
    await this.flush()
    await this.#next(() => this.#file.sync())
  }

  async close(): Promise<void> {
    await this.#writing.catch(() => {})
    await this.#file.close()
  }

  #next(work: () => Promise<void>): Promise<void> {
    this.#writing = this.#writing.then(work)
    // Callers get the rejection; nothing else has to handle it.
    this.#writing.catch(() => {})
    return this.#writing
  }
}
