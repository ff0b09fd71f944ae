import { createHash } from 'node:crypto'
import { dirname } from 'node:path'
import type { Writable } from 'node:stream'
import { BatchStreamError } from '../../core/errors.ts'
import type { Result } from '../../core/results/result.ts'
import { AppendFile } from '../../store/append-file.ts'
import type { Disk, DiskFile } from '../../store/disk.ts'
import { WriteMark } from './write-mark.ts'

/** The names of the two files in errors. */
export type OutputName = 'output' | 'errors'

/** The part of a file that a commit covers. */
export interface Committed {
  readonly bytes: number
  /** SHA-256 of the last of these bytes, which identifies the file; null if it is unknown. */
  readonly tail: string | null
}

export const NOTHING_COMMITTED: Committed = { bytes: 0, tail: null }

/** The number of bytes before a commit that are hashed. */
const TAIL_BYTES = 64 * 1024

interface AnyTarget {
  /** Resolves when everything written survives a power failure. */
  commit(): Promise<Committed>
  /** Closes the target without a commit. */
  close(): Promise<void>
}

/** A destination of the bytes of rows. */
export interface Target extends AnyTarget {
  /** Writes bytes; a promise resolves when more may follow. With `isReused`, their memory is overwritten after that. */
  write(bytes: Buffer, isReused?: boolean): Promise<void> | undefined
}

/** A destination of results, for formats in which a file is more than its rows. */
export interface ResultTarget extends AnyTarget {
  /** Writes a result; a promise resolves when more may follow. */
  put(result: Result): Promise<void> | undefined
  /** Called after the last result of a successful run. */
  end(): Promise<void>
}

export interface FileTargetOptions {
  readonly disk: Disk
  readonly path: string
  /** The option that names the file, for errors. */
  readonly option: OutputName
  /** The path of the write mark, for later runs; undefined for a file that no later run continues. */
  readonly mark: string | undefined
  readonly committed: Committed
  /** The identity of the file that an earlier run wrote to; null if it is unknown. */
  readonly knownId: string | null
  /** What to do if the file was changed, as the end of a sentence. */
  readonly advice: string
  /**
   * Throws if another machine has taken over the job. Called before bytes are written or cut, since the new owner may write to
   * the same file.
   */
  readonly assertOwned?: (() => void) | undefined
  readonly onCut?: ((cut: CutBytes) => void) | undefined
}

/** Bytes that were after the last commit of a file and may be those of another program. */
export interface CutBytes {
  readonly path: string
  /** The file that has them now. */
  readonly keptIn: string
  readonly bytes: number
}

/**
 * A file that only this job writes to. If an earlier run wrote to it, it is truncated to the last commit, but only if it is the
 * same file and this job wrote all of it: what another program wrote is never destroyed. If the mark is missing or from before a
 * restart of the machine, or if the newest write is incomplete, the bytes after the commit are first copied to a file beside it.
 */
export class FileTarget implements Target {
  readonly #options: FileTargetOptions
  readonly #handle: DiskFile
  readonly #file: AppendFile
  /** Identifies the file in this run; undefined if the disk does not support it. */
  readonly identity: string | undefined
  /** The same for later runs. */
  readonly persistentId: string | undefined
  /** Whether this run created the file. */
  readonly #isNew: boolean
  readonly #mark: WriteMark | undefined
  #hasFailed = false

  private constructor(options: FileTargetOptions, handle: DiskFile, facts: Facts) {
    this.#options = options
    this.#mark = facts.mark
    this.#handle = handle
    this.#file = new AppendFile(handle, options.committed.bytes)
    this.identity = facts.identity
    this.persistentId = facts.persistentId
    this.#isNew = facts.isNew
  }

  static async open(options: FileTargetOptions): Promise<FileTarget> {
    const { disk, path, committed } = options
    const found = await disk.stat(path)
    const isNew = found === undefined && committed.bytes === 0
    // A missing file must not be created again, since its rows would be missing. Opening a pipe would wait for its reader.
    if (!isNew && typeof found !== 'number') throw changedError(options)
    const mark = options.mark === undefined ? undefined : await WriteMark.open(disk, options.mark)
    let handle: DiskFile | undefined
    let identity: string | undefined
    try {
      // A worker that was cut off for a while may come here after another one has written the file.
      options.assertOwned?.()
      handle = isNew ? await createOutput(options) : await disk.open(path, 'output')
      identity = await handle.identity?.()
      const persistentId = await handle.persistentId?.()
      const size = await handle.size()
      const ends = await mark?.read()
      if (!isNew) await assertUnchanged(options, { handle, persistentId, size, end: ends?.after })
      if (size > committed.bytes) {
        // Another program may have continued an incomplete write.
        const isOwn = ends !== undefined && (size === ends.before || size === ends.after)
        if (!isOwn) await keepCut(options, handle, size)
        options.assertOwned?.()
        await handle.truncate(committed.bytes)
      }
      await mark?.move({ before: committed.bytes, after: committed.bytes })
      return new FileTarget(options, handle, { identity, persistentId, isNew, mark })
    } catch (cause) {
      await handle?.close()
      await mark?.close()
      if (handle && isNew) await removeIfSame(disk, path, identity, 0)
      throw cause
    }
  }

  /** Removes the file if this run created it, it still has its name, and no other program has written to it. */
  async removeIfNew(): Promise<void> {
    const { disk, path } = this.#options
    const { flushed, size } = this.#file
    // A write that failed, as on a full disk, may have written a part.
    const most = this.#hasFailed ? size : flushed
    if (this.#isNew) await removeIfSame(disk, path, this.identity, most)
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
    await this.#mark?.close()
  }

  /** Checks the size first: if another program truncated the file, a write would leave a hole. */
  async #flush(): Promise<void> {
    this.#options.assertOwned?.()
    await this.#checkSize()
    const { size, flushed } = this.#file
    if (size > flushed) await this.#mark?.move({ before: flushed, after: size })
    try {
      await this.#file.flush()
    } catch (cause) {
      this.#hasFailed = true
      await this.#markFailure(flushed, size)
      throw cause
    }
  }

  /** After a write that failed, as on a full disk, the file ends before the end that was recorded. */
  async #markFailure(before: number, after: number): Promise<void> {
    try {
      const size = await this.#handle.size()
      if (size >= before && size < after) await this.#mark?.move({ before: size, after: size })
    } catch {
      // Without the new mark, the next run keeps a copy of the bytes in question.
    }
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
    // A worker that was frozen may have written its rows; the next run truncates them.
    if (this.#options.assertOwned)
      throw new BatchStreamError(
        'CBS_API',
        `${this.#options.path} has ${size} bytes instead of ${flushed}: an earlier worker of this job may have written to it. No answer is lost; run the same command again`,
      )
    throw this.#lost(`was changed by another program (it has ${size} bytes instead of ${flushed})`)
  }

  #lost(how: string): BatchStreamError {
    const { path, option, advice } = this.#options
    return new BatchStreamError(
      'CBS_OUTPUT',
      `${path} ${how} while rows were written to it. No answer is lost: ${advice}`,
      { option, place: { source: path } },
    )
  }
}

/** Removes a file of at most so many bytes, which this job wrote. */
async function removeIfSame(
  disk: Disk,
  path: string,
  identity: string | undefined,
  most: number,
): Promise<void> {
  const size = await disk.stat(path)
  if (typeof size !== 'number' || size > most) return
  if (identity === (await disk.identityOf?.(path))) await disk.remove(path)
}

interface Facts {
  readonly identity: string | undefined
  readonly persistentId: string | undefined
  readonly isNew: boolean
  readonly mark: WriteMark | undefined
}

interface FoundFile {
  readonly handle: DiskFile
  readonly persistentId: string | undefined
  readonly size: number
  /** The end of the bytes that this job may have written; undefined if it is unknown. */
  readonly end: number | undefined
}

/** Throws unless a file contains what this job wrote and nothing else. */
async function assertUnchanged(
  options: FileTargetOptions,
  { handle, persistentId, size, end = Infinity }: FoundFile,
): Promise<void> {
  const { path, option, committed, knownId } = options
  const isSame = persistentId === undefined || persistentId === knownId
  // Bytes after the last commit are removed from the file.
  if (size < committed.bytes || (size > committed.bytes && !isSame)) throw changedError(options)
  if (committed.tail !== null && committed.tail !== (await tailOf(handle, committed.bytes)))
    throw changedError(options)
  const last = Math.max(end, committed.bytes)
  if (size <= last) return
  throw new BatchStreamError(
    'CBS_OUTPUT',
    `another program has written to ${path} after byte ${last}, where the rows of this job end; the file was not changed. Remove what was appended, or choose another file with \`${option}\` to write all rows again`,
    { option, place: { source: path } },
  )
}

/** A name beside a file for bytes of it that are no longer in it. */
export async function freeName(disk: Disk, path: string): Promise<string> {
  let nth = 1
  while ((await disk.stat(`${path}.cut-${nth}`)) !== undefined) nth++
  return `${path}.cut-${nth}`
}

const COPIED_BYTES = 1024 * 1024

/** Copies the bytes after the last commit, durably, to a new file beside the output. */
async function keepCut(
  { disk, path, committed, onCut }: FileTargetOptions,
  from: DiskFile,
  size: number,
): Promise<void> {
  const keptIn = await freeName(disk, path)
  const kept = await disk.open(keptIn, 'newOutput')
  try {
    const bytes = Buffer.allocUnsafe(COPIED_BYTES)
    for (let at = committed.bytes; at < size; at += bytes.length) {
      const part = bytes.subarray(0, Math.min(bytes.length, size - at))
      await from.read(part, at)
      await kept.write(part, at - committed.bytes)
    }
    await kept.sync()
  } finally {
    await kept.close()
  }
  await disk.syncFolder(dirname(path))
  onCut?.({ path, keptIn, bytes: size - committed.bytes })
}

/** Creates an output file. A file that got the name meanwhile and a dangling link are not touched. */
export async function createOutput({
  disk,
  path,
  option,
}: Pick<FileTargetOptions, 'disk' | 'path' | 'option'>): Promise<DiskFile> {
  try {
    return await disk.open(path, 'newOutput')
  } catch (cause) {
    if (!(cause instanceof Error && isExisting(cause.cause))) throw cause
    const isLink = (await disk.stat(path)) === undefined
    throw new BatchStreamError(
      'CBS_OUTPUT',
      isLink
        ? `${path} is a link to a file that does not exist: use the path of the file itself`
        : existingMessage(path),
      { cause, option, place: { source: path } },
    )
  }
}

function isExisting(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && cause.code === 'EEXIST'
}

/** The message for an output file that already exists. */
export function existingMessage(path: string): string {
  return `${path} already exists: choose another file, or delete it`
}

export async function tailOf(file: DiskFile, size: number): Promise<string> {
  const bytes = Buffer.alloc(Math.min(TAIL_BYTES, size))
  await file.read(bytes, size - bytes.length)
  return createHash('sha256').update(bytes).digest('hex')
}

/** The error for an output file that does not contain what an earlier run wrote. */
function changedError({ path, option, committed }: FileTargetOptions): BatchStreamError {
  return new BatchStreamError(
    'CBS_OUTPUT',
    `${path} has changed since the last run, which wrote ${committed.bytes} bytes to it; the file was not changed now. Choose another file with \`${option}\` to write all rows again`,
    { option, place: { source: path } },
  )
}

/** A stream such as stdout, to which rows cannot be written twice. Rows are combined into few writes. */
export class StreamTarget implements Target {
  readonly #stream: Writable
  #rows: Buffer[] = []
  readonly #end: () => void
  #bytes = 0

  /** `end` is called on close; a stream such as stdout stays open. */
  constructor(stream: Writable, end: () => void = () => {}) {
    this.#stream = stream
    this.#end = end
  }

  write(bytes: Buffer, isReused = false): Promise<void> | undefined {
    if (bytes.length >= GATHERED) return this.#flush().then(() => this.#send(bytes))
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
    await this.#send(bytes)
  }

  #send(bytes: Buffer): Promise<void> {
    // The callback reports a closed reader or a full disk, which `drain` would not.
    return new Promise<void>((resolve, reject) => {
      this.#stream.write(bytes, error => (error ? reject(error) : resolve()))
    })
  }
}

const GATHERED = 64 * 1024
