import type { Disk, DiskFile } from '../../store/disk.ts'
import { DedupePage, PAGE_BYTES } from './dedupe-page.ts'

/** Maximum pages in memory: 8 MB, enough for about 170,000 requests without disk reads. */
const IN_MEMORY = 2048

/**
 * Maps each request to the first record with it: a hash table in a file with a fixed number of pages in memory. It grows by
 * doubling, which splits each page by one more bit of its keys. It is derived from the files of batches and rebuilt by each
 * process, so it need not be durable.
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

  /** Whether `find` and `put` may be called for a key. */
  isReady(key: Buffer): boolean {
    return !this.#full && this.#pages.has(this.#pageOf(key))
  }

  /** Loads the page of a key, so that `isReady(key)` is true. */
  async prepare(key: Buffer): Promise<void> {
    if (this.#full) await this.#grow()
    await this.#page(this.#pageOf(key))
  }

  /** The first record with this request; undefined if there is none. The key must be ready. */
  find(key: Buffer): number | undefined {
    return this.#pages.get(this.#pageOf(key))?.find(key)
  }

  /** Adds the first record with a request. The key must be ready and new. */
  put(key: Buffer, ordinal: number): void {
    // Pages are split when half full, before the next key is prepared, so none ever overflows.
    if (this.#pages.get(this.#pageOf(key))?.put(key, ordinal)) this.#full = true
  }

  /** Deletes the table, which no other process uses. */
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
      const [stay, go] = page.split(key => key.readUInt32LE() % (2 * before) === number)
      this.#pages.delete(number)
      await this.#add(number, stay)
      await this.#add(number + before, go)
    }
    this.#count = 2 * before
    this.#full = false
  }
}
