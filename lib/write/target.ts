import type { Writable } from 'node:stream'
import { AppendFile } from '../job/append-file.ts'
import type { DiskFile } from '../job/disk.ts'

/** Where rows go. */
export interface Target {
  /** Takes bytes; resolves, or gives undefined, when more may come. */
  write(bytes: Buffer): Promise<void> | undefined
  /** Makes all that was written safe; gives its size in bytes. */
  commit(): Promise<number>
  /** Lets go; commit comes first where bytes matter. */
  close(): Promise<void>
}

/** A file, cut to the bytes that its last commit covers. */
export class FileTarget implements Target {
  readonly #file: AppendFile

  private constructor(file: AppendFile) {
    this.#file = file
  }

  static async open(file: DiskFile, committed: number): Promise<FileTarget> {
    await file.truncate(committed)
    return new FileTarget(new AppendFile(file, committed))
  }

  write(bytes: Buffer): Promise<void> | undefined {
    this.#file.append(bytes)
    return this.#file.full ? this.#file.flush() : undefined
  }

  async commit(): Promise<number> {
    await this.#file.sync()
    return this.#file.size
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** A stream such as stdout: what it has taken is gone. Rows are gathered into few writes. */
export class StreamTarget implements Target {
  readonly #stream: Writable
  #rows: Buffer[] = []
  #bytes = 0

  constructor(stream: Writable) {
    this.#stream = stream
  }

  write(bytes: Buffer): Promise<void> | undefined {
    this.#rows.push(bytes)
    this.#bytes += bytes.length
    return this.#bytes >= GATHERED ? this.#flush() : undefined
  }

  async commit(): Promise<number> {
    await this.#flush()
    return 0
  }

  async close(): Promise<void> {}

  async #flush(): Promise<void> {
    if (this.#bytes === 0) return
    const bytes = Buffer.concat(this.#rows)
    this.#rows = []
    this.#bytes = 0
    // The callback tells of a closed reader or a full disk, which `drain` would not.
    await new Promise<void>((resolve, reject) => {
      this.#stream.write(bytes, error => (error ? reject(error) : resolve()))
    })
  }
}

const GATHERED = 64 * 1024
