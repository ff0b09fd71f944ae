import type { Disk, DiskFile } from '../../store/disk.ts'

/** Two starts of a machine are further apart than this, and clock adjustments are smaller. */
const SAME_BOOT_S = 60

/** The fixed length of the mark, so that a shorter number overwrites a longer one completely. */
const MARK_BYTES = 64

/**
 * How far a job may have written to an output file, recorded in a small file before each write. Bytes after it come from
 * another program. The mark is not synced; after a power failure it is ignored, since it may be older than the file.
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

  /** The latest possible end of the bytes of earlier runs; undefined if it is unknown. */
  async read(): Promise<number | undefined> {
    const bytes = Buffer.alloc(MARK_BYTES)
    const count = await this.#file.read(bytes, 0)
    const [bootedAt, end] = bytes.toString('latin1', 0, count).split(' ').map(Number)
    const isSameBoot = Math.abs(Number(bootedAt) - this.#bootedAt) < SAME_BOOT_S
    return isSameBoot && Number.isSafeInteger(end) ? end : undefined
  }

  /** Records that bytes up to `end` are about to be written. */
  async move(end: number): Promise<void> {
    const text = `${this.#bootedAt} ${end} `
    await this.#file.write(Buffer.from(text.padEnd(MARK_BYTES - 1) + '\n'), 0)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}
