import { BatchStreamError } from '../errors.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { JobEvent } from './event.ts'
import { formatLine, readLines } from './journal-line.ts'

/** The append-only file that alone says what has happened. */
export class Journal {
  readonly #file: DiskFile
  #size: number
  #sum: string
  #broken: BatchStreamError | undefined
  #last: Promise<void> = Promise.resolve()

  private constructor(file: DiskFile, size: number, sum: string) {
    this.#file = file
    this.#size = size
    this.#sum = sum
  }

  /** Opens a journal and cuts off a last line that a crash left half written. */
  static async open(disk: Disk, path: string): Promise<{ journal: Journal; events: JobEvent[] }> {
    const file = await disk.open(path, 'update')
    try {
      const bytes = Buffer.alloc(await file.size())
      await file.read(bytes, 0)
      const { events, size, sum } = readLines(bytes)
      if (size < bytes.length) {
        await file.truncate(size)
        await file.sync()
      }
      return { journal: new Journal(file, size, sum), events }
    } catch (cause) {
      await file.close()
      throw cause
    }
  }

  /** Appends an event; with `durable`, returns when it survives a power cut. Appends keep their order. */
  append(event: JobEvent, durable: boolean): Promise<void> {
    const append = async (): Promise<void> => {
      if (this.#broken) throw this.#broken
      const { line, sum } = formatLine(event, this.#sum)
      try {
        await this.#file.write(line, this.#size)
        this.#size += line.length
        this.#sum = sum
        if (durable) await this.#file.sync()
      } catch (cause) {
        // After a failed write or fsync nobody knows what is on disk, and trying again would only hide it.
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

  async close(): Promise<void> {
    await this.#last
    await this.#file.close()
  }
}
