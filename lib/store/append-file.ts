import type { DiskFile } from './disk.ts'

/** Bytes gathered before they are written: few system calls, little memory. */
const GATHERED = 256 * 1024

/** The least that is set aside to gather in; many files of a job stay as small. */
const LEAST = 4 * 1024

/** Nothing longer is kept to gather in again: one huge record must not cost its size for ever. */
const KEPT = 2 * GATHERED

const NOTHING = Buffer.alloc(0)

/** What a file that only grows needs of a file. */
export type AppendTarget = Pick<DiskFile, 'write' | 'sync' | 'close'>

/**
 * A file that only grows. Small appends are gathered; what is flushed can be read. After a failed write or sync nothing is
 * written any more: what came later would lie where the lost bytes belong.
 */
export class AppendFile {
  readonly #file: AppendTarget
  /** Two buffers take turns, one being filled while the other is written: new ones would be garbage as large as the file. */
  #filling = NOTHING
  #pendingBytes = 0
  #spare = NOTHING
  #size: number
  #flushed: number
  /** Rejected for good by the first failure, so that every later call meets it. */
  #writing: Promise<void> = Promise.resolve()

  constructor(file: AppendTarget, size: number) {
    this.#file = file
    this.#size = size
    this.#flushed = size
  }

  /** Where the next byte will lie. */
  get size(): number {
    return this.#size
  }

  /** Bytes that can be read from the file. */
  get flushed(): number {
    return this.#flushed
  }

  /** True when enough is gathered that the caller should flush before it appends more. */
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

  /** Writes what is gathered; several calls at a time wait for each other. */
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
      if (full.length <= KEPT) this.#spare = full
    }
    return this.#next(write)
  }

  /** Returns when all that is gathered survives a power cut. */
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
    // Whoever called is told; nobody else has to listen.
    this.#writing.catch(() => {})
    return this.#writing
  }
}
