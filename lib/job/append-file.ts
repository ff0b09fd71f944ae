import type { DiskFile } from './disk.ts'

/** Bytes gathered before they are written: few system calls, little memory. */
const GATHERED = 256 * 1024

/**
 * A file that only grows. Small appends are gathered; what is flushed can be read. After a failed write or sync nothing is
 * written any more: what came later would lie where the lost bytes belong.
 */
export class AppendFile {
  readonly #file: DiskFile
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #size: number
  #flushed: number
  /** Rejected for good by the first failure, so that every later call meets it. */
  #writing: Promise<void> = Promise.resolve()

  constructor(file: DiskFile, size: number) {
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
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
    this.#size += bytes.length
  }

  /** Writes what is gathered; several calls at a time wait for each other. */
  flush(): Promise<void> {
    const write = async (): Promise<void> => {
      if (this.#pendingBytes === 0) return
      const bytes = Buffer.concat(this.#pending)
      this.#pending = []
      this.#pendingBytes = 0
      await this.#file.write(bytes, this.#flushed)
      this.#flushed += bytes.length
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
