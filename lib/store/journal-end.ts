import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../core/errors.ts'
import type { Disk, DiskFile } from './disk.ts'
import { readLines, type JournalRead } from './journal-line.ts'

/** The file of a job that names the end of its journal. */
export const JOURNAL_END = 'journal.end'

/** The fixed length of the file, so that each write replaces the previous one, in one sector. */
const MARK_BYTES = 64

/** A place in a journal: its offset, and the checksum of the line before it. */
export type JournalEnd = Pick<JournalRead, 'size' | 'sum'>

/**
 * The end of a journal that was synced, in a file of its own. It is written after each sync and not synced itself: it may be older than
 * the journal, but what it names was on disk. So a journal that ends before it has lost events, which no crash explains.
 */
export class EndMark {
  readonly #file: DiskFile

  private constructor(file: DiskFile) {
    this.#file = file
  }

  static async open(disk: Disk, path: string): Promise<EndMark> {
    return new EndMark(await disk.open(path, 'update'))
  }

  async read(): Promise<JournalEnd | undefined> {
    const bytes = Buffer.alloc(MARK_BYTES)
    await this.#file.read(bytes, 0)
    return endIn(bytes)
  }

  async move({ size, sum }: JournalEnd): Promise<void> {
    const text = `${size} ${sum}`
    const line = `${text} ${crc32(text)} `
    await this.#file.write(Buffer.from(`${line.padEnd(MARK_BYTES - 1)}\n`), 0)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** The end that a file names; undefined if it names none, or was changed. */
export function endIn(bytes: Buffer): JournalEnd | undefined {
  const [size, sum, check] = bytes.toString('latin1').split(' ')
  if (sum === undefined || Number(check) !== crc32(`${size} ${sum}`)) return undefined
  return { size: Number(size), sum }
}

/** Whether a journal contains what was synced. */
export function reaches(end: JournalEnd | undefined, bytes: Buffer, read: JournalRead): boolean {
  if (end === undefined) return true
  const upTo = read.size > end.size ? readLines(bytes.subarray(0, end.size)) : read
  return upTo.size === end.size && upTo.sum === end.sum
}

/** @throws BatchStreamError `CBS_STATE` for a journal that does not contain what was synced */
export function mustReach(end: JournalEnd | undefined, bytes: Buffer, read: JournalRead): void {
  if (end === undefined || reaches(end, bytes, read)) return
  throw new BatchStreamError(
    'CBS_STATE',
    `the job's journal has lost its end (it had ${end.size} bytes on disk, and ${read.size} of them are left) or is another one; nothing was sent: see \`claude-batch-stream doctor\``,
  )
}
