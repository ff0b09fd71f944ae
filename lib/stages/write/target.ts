import { createHash } from 'node:crypto'
import type { Writable } from 'node:stream'
import { BatchStreamError } from '../../core/errors.ts'
import { AppendFile } from '../../store/append-file.ts'
import type { Disk, DiskFile } from '../../store/disk.ts'

/** What a commit covers of a file. */
export interface Committed {
  readonly bytes: number
  /** SHA-256 of the last of these bytes, which tells the file from another one; null where it is unknown. */
  readonly tail: string | null
}

export const NOTHING_COMMITTED: Committed = { bytes: 0, tail: null }

/** So many bytes before a commit are hashed. */
const TAIL_BYTES = 64 * 1024

/** Where rows go. */
export interface Target {
  /** Takes bytes; resolves, or gives undefined, when more may come. */
  write(bytes: Buffer): Promise<void> | undefined
  /** Makes all that was written safe. */
  commit(): Promise<Committed>
  /** Lets go; commit comes first where bytes matter. */
  close(): Promise<void>
}

export interface FileTargetOptions {
  readonly disk: Disk
  readonly path: string
  readonly committed: Committed
  /** What to do where the file is no longer what this job wrote, as the end of a sentence. */
  readonly advice: string
}

/** A file, cut to the bytes that its last commit covers. It is never written to once it is not the file that it was. */
export class FileTarget implements Target {
  readonly #options: FileTargetOptions
  readonly #handle: DiskFile
  readonly #file: AppendFile

  private constructor(options: FileTargetOptions, handle: DiskFile) {
    this.#options = options
    this.#handle = handle
    this.#file = new AppendFile(handle, options.committed.bytes)
  }

  static async open(options: FileTargetOptions): Promise<FileTarget> {
    const { disk, path, committed } = options
    const handle = await disk.open(path, 'output')
    try {
      const isOurs =
        committed.tail === null || committed.tail === (await tailOf(handle, committed.bytes))
      if (!isOurs) throw changed(path, committed.bytes)
      await handle.truncate(committed.bytes)
      return new FileTarget(options, handle)
    } catch (cause) {
      await handle.close()
      throw cause
    }
  }

  /** What tells the file from every other one while it is open. */
  async identity(): Promise<string | undefined> {
    return await this.#handle.identity?.()
  }

  write(bytes: Buffer): Promise<void> | undefined {
    this.#file.append(bytes)
    return this.#file.full ? this.#flush() : undefined
  }

  async commit(): Promise<Committed> {
    await this.#flush()
    await this.#file.sync()
    await this.#check()
    const bytes = this.#file.size
    return { bytes, tail: await tailOf(this.#handle, bytes) }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  /** Bytes behind a file that another program has cut would lie behind a hole. */
  async #flush(): Promise<void> {
    await this.#checkSize()
    await this.#file.flush()
  }

  async #check(): Promise<void> {
    await this.#checkSize()
    const { disk, path } = this.#options
    const own = await this.identity()
    if (own === undefined || !disk.identityOf) return
    const there = await disk.identityOf(path)
    if (there === undefined) throw this.#lost('was deleted')
    if (there !== own) throw this.#lost('was replaced by another file')
  }

  async #checkSize(): Promise<void> {
    const size = await this.#handle.size()
    const { flushed } = this.#file
    if (size === flushed) return
    throw this.#lost(`was changed by another program (it has ${size} bytes instead of ${flushed})`)
  }

  #lost(how: string): BatchStreamError {
    const { path, advice } = this.#options
    return new BatchStreamError(
      'CBS_OUTPUT',
      `${path} ${how} while rows were written to it. No answer is lost: ${advice}`,
    )
  }
}

async function tailOf(file: DiskFile, size: number): Promise<string> {
  const bytes = Buffer.alloc(Math.min(TAIL_BYTES, size))
  await file.read(bytes, size - bytes.length)
  return createHash('sha256').update(bytes).digest('hex')
}

/** The error of an output file that holds other bytes than an earlier run wrote. */
export function changed(path: string, committed: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_OUTPUT',
    `${path} has changed since the last run, which wrote ${committed} bytes to it; it was left as it is. Name another file with -o to write all rows again`,
  )
}

/** A stream such as stdout: what it has taken is gone. Rows are gathered into few writes. */
export class StreamTarget implements Target {
  readonly #stream: Writable
  #rows: Buffer[] = []
  readonly #end: () => void
  #bytes = 0

  /** `end` is called when the work is over; a stream that is not its own, such as stdout, stays open. */
  constructor(stream: Writable, end: () => void = () => {}) {
    this.#stream = stream
    this.#end = end
  }

  write(bytes: Buffer): Promise<void> | undefined {
    this.#rows.push(bytes)
    this.#bytes += bytes.length
    return this.#bytes >= GATHERED ? this.#flush() : undefined
  }

  async commit(): Promise<Committed> {
    await this.#flush()
    return NOTHING_COMMITTED
  }

  async close(): Promise<void> {
    this.#end()
  }

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
