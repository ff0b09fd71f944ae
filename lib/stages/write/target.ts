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
  /** Takes bytes, whose memory is reused with `isReused`; resolves, or gives undefined, when more may come. */
  write(bytes: Buffer, isReused?: boolean): Promise<void> | undefined
  /** Makes all that was written safe. */
  commit(): Promise<Committed>
  /** Lets go; commit comes first where bytes matter. */
  close(): Promise<void>
}

export interface FileTargetOptions {
  readonly disk: Disk
  readonly path: string
  readonly committed: Committed
  /** What told the file from others when an earlier run wrote to it; null where that is unknown. */
  readonly knownId: string | null
  /** What to do where the file is no longer what this job wrote, as the end of a sentence. */
  readonly advice: string
}

/**
 * A file that only this job writes to. Where an earlier run wrote to it, it is cut to the bytes of its last commit, and only if
 * it is the same file: another file under its name is never changed.
 */
export class FileTarget implements Target {
  readonly #options: FileTargetOptions
  readonly #handle: DiskFile
  readonly #file: AppendFile
  /** What tells the file from every other one in this run; undefined where the disk does not say. */
  readonly identity: string | undefined
  /** The same for later runs. */
  readonly persistentId: string | undefined
  /** Whether this run made the file. */
  readonly #isNew: boolean

  private constructor(options: FileTargetOptions, handle: DiskFile, facts: Facts) {
    this.#options = options
    this.#handle = handle
    this.#file = new AppendFile(handle, options.committed.bytes)
    this.identity = facts.identity
    this.persistentId = facts.persistentId
    this.#isNew = facts.isNew
  }

  static async open(options: FileTargetOptions): Promise<FileTarget> {
    const { disk, path, committed, knownId } = options
    const found = await disk.look(path)
    const isNew = found === undefined && committed.bytes === 0
    // A file that is gone must not be made anew: what it held would be missing. To open a pipe would wait for its reader.
    if (!isNew && typeof found !== 'number') throw changed(path, committed.bytes)
    const handle = isNew ? await createOutput(disk, path) : await disk.open(path, 'output')
    try {
      const identity = await handle.identity?.()
      const persistentId = await handle.persistentId?.()
      const size = await handle.size()
      const isSame = persistentId === undefined || persistentId === knownId
      // Bytes behind the last commit are cut off, so they must be this job's.
      if (size < committed.bytes || (size > committed.bytes && !isSame))
        throw changed(path, committed.bytes)
      if (committed.tail !== null && committed.tail !== (await tailOf(handle, committed.bytes)))
        throw changed(path, committed.bytes)
      if (size > committed.bytes) await handle.truncate(committed.bytes)
      return new FileTarget(options, handle, { identity, persistentId, isNew })
    } catch (cause) {
      await handle.close()
      throw cause
    }
  }

  /** Removes the file if this run made it and it still has its name; for a job of which nothing is left. */
  async removeIfNew(): Promise<void> {
    const { disk, path } = this.#options
    if (this.#isNew && this.identity === (await disk.identityOf?.(path))) await disk.remove(path)
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
    if (this.identity === undefined || !disk.identityOf) return
    const there = await disk.identityOf(path)
    if (there === undefined) throw this.#lost('was deleted')
    if (there !== this.identity) throw this.#lost('was replaced by another file')
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

interface Facts {
  readonly identity: string | undefined
  readonly persistentId: string | undefined
  readonly isNew: boolean
}

/** Makes an output file. What got the name meanwhile, and a link that leads nowhere, is not touched. */
async function createOutput(disk: Disk, path: string): Promise<DiskFile> {
  try {
    return await disk.open(path, 'newOutput')
  } catch (cause) {
    if (!(cause instanceof Error && isExisting(cause.cause))) throw cause
    const isLink = (await disk.look(path)) === undefined
    throw new BatchStreamError(
      'CBS_OUTPUT',
      isLink
        ? `${path} is a link to a file that does not exist: name the file itself`
        : existing(path),
      { cause },
    )
  }
}

function isExisting(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
}

/** The message about an output file that is there already. */
export function existing(path: string): string {
  return `${path} exists and is not this job's: remove it, or name another file`
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

  write(bytes: Buffer, isReused = false): Promise<void> | undefined {
    this.#rows.push(isReused ? Buffer.from(bytes) : bytes)
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
