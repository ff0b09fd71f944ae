import { BatchStreamError } from '../core/errors.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { JobEvent } from '../core/job/event.ts'
import { EndMark, mustReach, reaches, type JournalEnd } from './journal-end.ts'
import { formatLine, readLines } from './journal-line.ts'
import type { Journal } from './journal.ts'

/** Bytes reserved for the outcome of an armed batch; such a line has about 250. */
const RESERVED = 512

async function readAll(file: DiskFile): Promise<Buffer> {
  const bytes = Buffer.alloc(await file.size())
  await file.read(bytes, 0)
  return bytes
}

function unstable(path: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_DISK',
    `two reads of ${path} gave different bytes, so the disk or its driver fails; nothing was changed or sent`,
  )
}

/** A journal in a file, for one process at a time. */
export class FileJournal implements Journal {
  readonly #file: DiskFile
  readonly #mark: EndMark | undefined
  /** The offset of the next line. */
  #size: number
  /** The end of the file. NULs follow the last line, which readers treat as a line that was never written. */
  #reach: number
  /** Batches whose outcome must be written even if the disk becomes full. */
  readonly #armed: Set<number> = new Set()
  #sum: string
  /** The bytes that are known to be on disk. */
  #synced = 0
  #broken: BatchStreamError | undefined
  #last: Promise<void> = Promise.resolve()

  private constructor(file: DiskFile, { size, sum }: JournalEnd, mark: EndMark | undefined) {
    this.#file = file
    this.#size = size
    this.#reach = size
    this.#sum = sum
    this.#mark = mark
  }

  /**
   * Opens a journal, truncates a partial last line left by a crash, and syncs the others. `endPath` is the file that names its end, if it has one.
   * @throws BatchStreamError `CBS_STATE` if it is damaged
   */
  static async open(
    disk: Disk,
    path: string,
    endPath?: string,
  ): Promise<{ journal: FileJournal; events: JobEvent[] }> {
    const file = await disk.open(path, 'update')
    let mark: EndMark | undefined
    try {
      mark = endPath === undefined ? undefined : await EndMark.open(disk, endPath)
      const bytes = await readAll(file)
      const read = readLines(bytes)
      const { events, size } = read
      const end = await mark?.read()
      const isComplete = size === bytes.length && reaches(end, bytes, read)
      // One bad read must not become permanent.
      if (!isComplete && !bytes.equals(await readAll(file))) throw unstable(path)
      mustReach(end, bytes, read)
      // The first line is created with the file, so that a journal without one is damage, and stays as it is.
      if (events.length > 0) {
        if (size < bytes.length) await file.truncate(size)
        // The last lines of a killed process may not be on disk yet, and what this one does follows from them.
        await file.sync()
      }
      return { journal: new FileJournal(file, read, mark), events }
    } catch (cause) {
      await mark?.close()
      await file.close()
      throw cause
    }
  }

  append(event: JobEvent, durable: boolean): Promise<void> {
    const append = async (): Promise<void> => {
      if (this.#broken) throw this.#broken
      const { line, sum } = formatLine(event, this.#sum, this.#synced)
      try {
        await this.#file.write(this.#withRoom(event, line), this.#size)
        this.#size += line.length
        this.#sum = sum
        if (durable) {
          await this.#file.sync()
          this.#synced = this.#size
          await this.#mark?.move({ size: this.#size, sum })
        }
      } catch (cause) {
        // After a failed write or fsync the content of the disk is unknown, and retrying would hide it.
        this.#broken = new BatchStreamError(
          'CBS_DISK',
          "the job's journal cannot be written; nothing more is sent",
          { cause },
        )
        throw this.#broken
      }
    }
    const appended = this.#last.then(append)
    this.#last = appended.catch(() => {})
    return appended
  }

  /** The folder is locked for the lifetime of the process. */
  assertOwned(): void {}

  readonly lost: AbortSignal = new AbortController().signal

  async close(): Promise<void> {
    await this.#last
    try {
      if (this.#reach > this.#size && !this.#broken) await this.#file.truncate(this.#size)
    } finally {
      await this.#mark?.close()
      await this.#file.close()
    }
  }

  /**
   * The line, followed by space for the outcome of each armed batch: a disk that becomes full after the last byte was sent
   * must not lose the id of a paid batch.
   */
  #withRoom(event: JobEvent, line: Buffer): Buffer {
    if (event.type === 'armed') this.#armed.add(event.number)
    else if ('number' in event) this.#armed.delete(event.number)
    const end = this.#size + line.length
    const reach = Math.max(this.#reach, end + this.#armed.size * RESERVED)
    const more = reach - this.#reach
    this.#reach = reach
    return more > 0 && reach > end ? Buffer.concat([line, Buffer.alloc(reach - end)]) : line
  }
}
