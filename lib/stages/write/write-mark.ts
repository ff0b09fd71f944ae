import type { Disk, DiskFile } from '../../store/disk.ts'

/** Two starts of one machine are further apart than this; its clock may be adjusted by less. */
const SAME_BOOT_S = 60

/** The mark always has this length, so that a shorter number leaves nothing of a longer one. */
const MARK_BYTES = 64

/**
 * How far a job may have written to an output file, noted before each write in a small file of the job. Bytes behind it come
 * from another program. The mark is not synced: after a power cut it says nothing, since it may be older than the file.
 */
export class WriteMark {
  readonly #file: DiskFile
  readonly #bootedAt: number

  private constructor(file: DiskFile, bootedAt: number) {
    this.#file = file
    this.#bootedAt = bootedAt
  }

  /** Undefined on a disk that does not say when its machine started. */
  static async open(disk: Disk, path: string): Promise<WriteMark | undefined> {
    const bootedAt = disk.bootedAt?.()
    if (bootedAt === undefined) return undefined
    return new WriteMark(await disk.open(path, 'update'), bootedAt)
  }

  /** Where the bytes of earlier runs end at most; undefined where that is unknown. */
  async read(): Promise<number | undefined> {
    const bytes = Buffer.alloc(MARK_BYTES)
    const count = await this.#file.read(bytes, 0)
    const [bootedAt, end] = bytes.toString('latin1', 0, count).split(' ').map(Number)
    const isSameBoot = Math.abs(Number(bootedAt) - this.#bootedAt) < SAME_BOOT_S
    return isSameBoot && Number.isSafeInteger(end) ? end : undefined
  }

  /** Notes that bytes up to `end` are about to be written. */
  async move(end: number): Promise<void> {
    const text = `${this.#bootedAt} ${end} `
    await this.#file.write(Buffer.from(text.padEnd(MARK_BYTES - 1) + '\n'), 0)
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}
