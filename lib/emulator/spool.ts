import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wrapError } from '../core/errors.ts'

/** Approximate block size for reading and writing: few system calls and little memory. */
const BLOCK_BYTES = 256 * 1024

/** Each item is preceded by its length, so that it may contain any bytes. */
const LENGTH_BYTES = 4

/** The position of a run of items in its file. */
export interface ItemSpan {
  readonly offset: number
  readonly bytes: number
  readonly items: number
}

/** The emulator's private folder of temporary files: requests and results. */
export class EmulatorSpool {
  readonly folder: string
  #files = 0

  private constructor(folder: string) {
    this.folder = folder
  }

  static async open(): Promise<EmulatorSpool> {
    // mkdtemp makes the folder 0700.
    const prefix = join(tmpdir(), 'claude-batch-stream-emulator-')
    const folder = await mkdtemp(prefix).catch(cause => {
      throw wrapError('CBS_DISK', `the emulator cannot make a folder ${prefix}...`, cause)
    })
    return new EmulatorSpool(folder)
  }

  async create(): Promise<SpoolWriter> {
    const path = join(this.folder, `${this.#files++}.spool`)
    return new SpoolWriter(path, await open(path, 'wx', 0o600))
  }

  /** Deletes everything. It retries, since a running download may be about to open its file. */
  async close(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 })
  }
}

/** Appends items to a file. */
export class SpoolWriter {
  readonly #path: string
  readonly #file: FileHandle
  readonly #blocks: ItemSpan[] = []
  #block: Buffer = Buffer.allocUnsafe(BLOCK_BYTES)
  #used = 0
  #items = 0
  #offset = 0

  constructor(path: string, file: FileHandle) {
    this.#path = path
    this.#file = file
  }

  /** Adds an item; returns a promise only if the disk must be awaited. */
  add(item: Buffer): Promise<void> | undefined {
    const size = LENGTH_BYTES + item.length
    if (this.#used + size <= BLOCK_BYTES) {
      this.#put(item)
      return undefined
    }
    return this.#flush().then(() => {
      if (size > BLOCK_BYTES) this.#block = Buffer.allocUnsafe(size)
      this.#put(item)
    })
  }

  #put(item: Buffer): void {
    this.#block.writeUInt32LE(item.length, this.#used)
    item.copy(this.#block, this.#used + LENGTH_BYTES)
    this.#used += LENGTH_BYTES + item.length
    this.#items++
  }

  async #flush(): Promise<void> {
    if (this.#items === 0) return
    await this.#file.write(this.#block, 0, this.#used, this.#offset)
    this.#blocks.push({ offset: this.#offset, bytes: this.#used, items: this.#items })
    this.#offset += this.#used
    this.#used = 0
    this.#items = 0
    if (this.#block.length > BLOCK_BYTES) this.#block = Buffer.allocUnsafe(BLOCK_BYTES)
  }

  async end(): Promise<SpoolFile> {
    await this.#flush()
    await this.#file.close()
    return new SpoolFile(this.#path, this.#blocks)
  }

  async discard(): Promise<void> {
    await this.#file.close()
    await rm(this.#path, { force: true })
  }
}

/** Written items, read block by block. */
export class SpoolFile {
  readonly path: string
  readonly blocks: readonly ItemSpan[]

  constructor(path: string, blocks: readonly ItemSpan[]) {
    this.path = path
    this.blocks = blocks
  }

  /** The items of each block, in the given order of blocks. */
  async *read(order: readonly ItemSpan[] = this.blocks): AsyncGenerator<Buffer[]> {
    const file = await open(this.path)
    try {
      for (const block of order) yield await readBlock(file, block)
    } finally {
      await file.close()
    }
  }

  async remove(): Promise<void> {
    await rm(this.path, { force: true })
  }
}

async function readBlock(file: FileHandle, block: ItemSpan): Promise<Buffer[]> {
  const bytes = Buffer.allocUnsafe(block.bytes)
  await file.read(bytes, 0, block.bytes, block.offset)
  const items: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const start = at + LENGTH_BYTES
    const end = start + bytes.readUInt32LE(at)
    items.push(bytes.subarray(start, end))
    at = end
  }
  return items
}
