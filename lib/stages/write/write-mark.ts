import type { Disk, DiskFile } from '../../store/disk.ts'

/** Two starts of a machine are further apart than this, and clock adjustments are smaller. */
const SAME_BOOT_S = 60

/** The fixed length of the mark, so that a shorter number overwrites a longer one completely. */
const MARK_BYTES = 64

/** The ends of an output file before and after a job's newest write. Any other end is that of an incomplete write, or not the job's. */
export interface WriteEnds {
  readonly before: number
  readonly after: number
}

/**
 * Where a job's newest write to an output file begins and ends, recorded in a small file before the write. Bytes after its end come
 * from another program. The mark is not synced; after a power failure it is ignored, since it may be older than the file.
 */
export class WriteMark {
  readonly #file: DiskFile
  readonly #bootedAt: number

  private constructor(file: DiskFile, bootedAt: number) {
    this.#file = file
    this.#bootedAt = bootedAt
  }

  /** Undefined if the disk does not know when the machine started. */
  static async open(disk: Disk, path: string): Promise<WriteMark | undefined> {
    const bootedAt = disk.bootedAt?.()
    if (bootedAt === undefined) return undefined
    return new WriteMark(await disk.open(path, 'update'), bootedAt)
  }

  /** The newest write of earlier runs; undefined if it is unknown. */
  async read(): Promise<WriteEnds | undefined> {
    const bytes = Buffer.alloc(MARK_BYTES)
    const count = await this.#file.read(bytes, 0)
    const [bootedAt, before, after] = bytes.toString('latin1', 0, count).split(' ').map(Number)
    const isSameBoot = Math.abs(Number(bootedAt) - this.#bootedAt) < SAME_BOOT_S
    if (!isSameBoot || !isSize(before) || !isSize(after)) return undefined
    return { before, after }
  }

  /** Records that the bytes between these ends are about to be written. */
  async move({ before, after }: WriteEnds): Promise<void> {
    const text = `${this.#bootedAt} ${before} ${after} `
    await this.#file.write(Buffer.from(text.padEnd(MARK_BYTES - 1) + '\n'), 0)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

function isSize(value: number | undefined): value is number {
  return Number.isSafeInteger(value)
}
