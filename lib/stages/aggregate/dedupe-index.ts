import type { Disk, DiskFile } from '../../store/disk.ts'
import { DedupePage, PAGE_BYTES } from './dedupe-page.ts'

/** Pages in memory at most: 8 MB, which holds some 170,000 requests without a look at the disk. */
const IN_MEMORY = 2048

/**
 * Which record was the first to ask a request: a hash table in a file, of which a fixed part is in memory. It grows by
 * doubling: each page then is divided in two by one more bit of its keys. It is derived from the batches' own files and
 * made anew by each process, so nothing of it has to be safe.
 */
export class DedupeIndex {
  readonly #disk: Disk
  readonly #path: string
  readonly #file: DiskFile
  /** The least recently used first. */
  readonly #pages = new Map<number, DedupePage>()
  readonly #inMemory: number
  #count = 1
  /** Whether a page has as many keys as it should have. */
  #full = false

  private constructor(disk: Disk, path: string, file: DiskFile, inMemory: number) {
    this.#disk = disk
    this.#path = path
    this.#file = file
    this.#inMemory = inMemory
  }

  static async create(
    disk: Disk,
    path: string,
    inMemory: number = IN_MEMORY,
  ): Promise<DedupeIndex> {
    return new DedupeIndex(disk, path, await disk.open(path, 'create'), inMemory)
  }

  /** True when a key can be looked up and put without a promise. */
  ready(key: Buffer): boolean {
    return !this.#full && this.#pages.has(this.#pageOf(key))
  }

  /** Makes it so. */
  async prepare(key: Buffer): Promise<void> {
    if (this.#full) await this.#grow()
    await this.#page(this.#pageOf(key))
  }

  /** The record that asked this first; undefined where nobody did. Only for a key that is ready. */
  find(key: Buffer): number | undefined {
    return this.#pages.get(this.#pageOf(key))?.find(key)
  }

  /** Remembers who asked this first. Only for a key that is ready and not there. */
  put(key: Buffer, ordinal: number): void {
    // Divided when half of its slots are taken, a page never overflows: the next key has to be prepared first.
    if (this.#pages.get(this.#pageOf(key))?.put(key, ordinal)) this.#full = true
  }

  /** The table is of no use to anybody else. */
  async close(): Promise<void> {
    await this.#file.close()
    await this.#disk.remove(this.#path)
  }

  #pageOf(key: Buffer): number {
    return key.readUInt32LE() % this.#count
  }

  async #page(number: number): Promise<DedupePage> {
    const here = this.#pages.get(number)
    if (here) {
      this.#pages.delete(number)
      this.#pages.set(number, here)
      return here
    }
    const bytes = Buffer.alloc(PAGE_BYTES)
    await this.#file.read(bytes, number * PAGE_BYTES)
    return await this.#add(number, new DedupePage(bytes))
  }

  async #add(number: number, page: DedupePage): Promise<DedupePage> {
    this.#pages.set(number, page)
    for (const [oldest, old] of this.#pages) {
      if (this.#pages.size <= this.#inMemory) break
      this.#pages.delete(oldest)
      if (old.changed) await this.#file.write(old.bytes, oldest * PAGE_BYTES)
    }
    return page
  }

  async #grow(): Promise<void> {
    const before = this.#count
    for (let number = 0; number < before; number++) {
      const page = await this.#page(number)
      const [stay, go] = page.divide(key => key.readUInt32LE() % (2 * before) === number)
      this.#pages.delete(number)
      await this.#add(number, stay)
      await this.#add(number + before, go)
    }
    this.#count = 2 * before
    this.#full = false
  }
}
