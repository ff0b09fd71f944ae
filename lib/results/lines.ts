import type { DiskFile } from '../job/disk.ts'
import type { Job } from '../job/job.ts'
import { Window } from '../job/window.ts'
import { LINE_ENTRY } from './verify.ts'

/** A line that comes next in the file as well begins behind its predecessor's line end. */
const LINE_END_BYTES = 2

/** The result lines of a batch, by the position of their request. */
export class Lines {
  readonly #files: readonly DiskFile[]
  readonly #index: Window
  readonly #results: Window

  private constructor(index: DiskFile, results: DiskFile) {
    this.#files = [index, results]
    this.#index = new Window(index)
    this.#results = new Window(results, LINE_END_BYTES)
  }

  static async open(job: Pick<Job, 'disk' | 'path'>, number: number): Promise<Lines> {
    const index = await job.disk.open(job.path(number, 'lines'), 'read')
    return new Lines(index, await job.disk.open(job.path(number, 'results'), 'read'))
  }

  /** The line if it is in memory already; undefined where it has to be read, or where there is none. */
  peek(position: number): Buffer | undefined {
    const at = this.#index.find(position * LINE_ENTRY, LINE_ENTRY)
    if (at === -1) return undefined
    const { start, length } = entryIn(this.#index.bytes, at)
    return length > 0 ? this.#results.peek(start, length) : undefined
  }

  async read(position: number): Promise<Buffer | null> {
    const { start, length } = entryIn(await this.#index.read(position * LINE_ENTRY, LINE_ENTRY), 0)
    return length > 0 ? await this.#results.read(start, length) : null
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }
}

function entryIn(bytes: Buffer, at: number): { start: number; length: number } {
  return { start: bytes.readUIntLE(at, 6), length: bytes.readUInt32LE(at + 6) }
}
