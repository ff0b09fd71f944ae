import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../../core/errors.ts'
import type { DiskFile } from '../disk.ts'
import type { BatchFiles } from '../sums.ts'
import { Window } from '../window.ts'

// An index entry: where a request's line begins (6 bytes), its length (4), 0 where it has none, and the checksum of both, of
// the entry's place and of the line (4). Little-endian.
export const LINE_ENTRY = 14

/** The checksum of an index entry and its line. */
export function lineSum(position: number, start: number, line: Uint8Array): number {
  return crc32(line, (Math.imul(position, 0x9e3779b1) ^ start ^ Math.floor(start / 2 ** 32)) >>> 0)
}

/** What stands for a line where there is none: an entry of zeros is damage. */
export const NO_LINE: Buffer = Buffer.from('none')

/** A line that comes next in the file as well begins behind its predecessor's line end. */
const LINE_END_BYTES = 2

/** The result lines of a batch, by the position of their request. */
export class Lines {
  readonly #files: readonly DiskFile[]
  readonly #index: Window
  readonly #results: Window
  readonly #number: number

  private constructor(number: number, index: DiskFile, results: DiskFile) {
    this.#number = number
    this.#files = [index, results]
    this.#index = new Window(index)
    this.#results = new Window(results, LINE_END_BYTES)
  }

  static async open(files: BatchFiles, number: number): Promise<Lines> {
    const index = await files.disk.open(files.path(number, 'lines'), 'read')
    return new Lines(number, index, await files.disk.open(files.path(number, 'results'), 'read'))
  }

  /** The line if it is in memory already; undefined where it has to be read, or where there is none. */
  peek(position: number): Buffer | undefined {
    const at = this.#index.find(position * LINE_ENTRY, LINE_ENTRY)
    if (at === -1) return undefined
    const entry = entryIn(this.#index.bytes, at)
    const line = entry.length > 0 ? this.#results.peek(entry.start, entry.length) : undefined
    return line && this.#checked(position, entry, line)
  }

  /** The line; null where there is none. A line or an entry that was changed on disk is `CBS_STATE`. */
  async read(position: number): Promise<Buffer | null> {
    const bytes = await this.#index.read(position * LINE_ENTRY, LINE_ENTRY)
    if (bytes.length < LINE_ENTRY) throw this.#damaged(position)
    const entry = entryIn(bytes, 0)
    if (entry.length === 0) {
      this.#checked(position, entry, NO_LINE)
      return null
    }
    return this.#checked(position, entry, await this.#results.read(entry.start, entry.length))
  }

  #checked(position: number, { start, sum }: LineEntry, line: Buffer): Buffer {
    if (lineSum(position, start, line) !== sum) throw this.#damaged(position)
    return line
  }

  #damaged(position: number): BatchStreamError {
    return new BatchStreamError(
      'CBS_STATE',
      `result ${position + 1} of batch ${this.#number} is damaged on disk: ${this.#number}.results or ${this.#number}.lines was changed since it was written; see \`claude-batch-stream doctor\``,
    )
  }

  async close(): Promise<void> {
    for (const file of this.#files) await file.close()
  }
}

interface LineEntry {
  readonly start: number
  readonly length: number
  readonly sum: number
}

function entryIn(bytes: Buffer, at: number): LineEntry {
  return {
    start: bytes.readUIntLE(at, 6),
    length: bytes.readUInt32LE(at + 6),
    sum: bytes.readUInt32LE(at + 10),
  }
}
