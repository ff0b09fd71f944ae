// The answers of a job by record, in files that are read by ordinal. `diff` compares two jobs with them.
import { AppendFile } from '../store/append-file.ts'
import type { Disk, DiskFile } from '../store/disk.ts'
import { keyOf, KEY_BYTES } from '../core/request-key.ts'
import { AnswerIndex, type KeyBlock } from '../store/results/answer-index.ts'
import { OrdinalSet } from '../store/ordinal-set.ts'

/** A record's answer in one of two jobs. */
export interface Side {
  readonly status: string
  /** The JSON of the text, or of the value if the job has a schema; `null` if there is none. */
  readonly response: string
  /** Null if the price is unknown. */
  readonly cost_usd: number | null
}

// Per record: the digest of its bytes, the offset of its side (6 bytes, little-endian) and its length (4 bytes), 0 for none.
const PLACE = KEY_BYTES + 10

/** How many entries are read at a time. */
const BLOCK = 4096

/** How many identical records are matched one by one. */
const ALIKE = 1000

/** The sides of a job on disk. Each is taken once. */
export class StoredSides {
  readonly #disk: Disk
  readonly #folder: string
  readonly #files: readonly DiskFile[]
  readonly #places: AppendFile
  readonly #sides: AppendFile
  readonly #taken = new OrdinalSet()
  #index: AnswerIndex | undefined
  /** Records below this one are written. */
  #next = 0
  #count = 0
  #matched = 0

  private constructor(disk: Disk, folder: string, [places, sides]: [DiskFile, DiskFile]) {
    this.#disk = disk
    this.#folder = folder
    this.#files = [places, sides]
    this.#places = new AppendFile(places, 0)
    this.#sides = new AppendFile(sides, 0)
  }

  static async create(disk: Disk, folder: string): Promise<StoredSides> {
    const places = await disk.open(`${folder}/places`, 'create')
    const sides = await disk.open(`${folder}/sides`, 'create')
    return new StoredSides(disk, folder, [places, sides])
  }

  /** Adds the side of a record; ordinals ascend. */
  async add(ordinal: number, raw: Buffer, side: Side): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(side))
    for (; this.#next < ordinal; this.#next++) this.#places.append(Buffer.alloc(PLACE))
    const place = Buffer.alloc(PLACE)
    place.set(keyOf(raw))
    place.writeUIntLE(this.#sides.size, KEY_BYTES, 6)
    place.writeUInt32LE(bytes.length, KEY_BYTES + 6)
    this.#places.append(place)
    this.#sides.append(bytes)
    this.#next = ordinal + 1
    this.#count += 1
    if (this.#sides.full) await this.#sides.flush()
    if (this.#places.full) await this.#places.flush()
  }

  async flush(): Promise<void> {
    await this.#places.flush()
    await this.#sides.flush()
  }

  /** Sides that no record of the other job has taken. */
  get left(): number {
    return this.#count - this.#matched
  }

  /** The side of the same record: the one at the same place, or else any other with the same bytes. */
  async take(ordinal: number, raw: Buffer): Promise<Side | undefined> {
    const key = keyOf(raw)
    const near = await this.#takeAt(ordinal, key)
    if (near) return near
    // The index is needed only if the inputs differ.
    this.#index ??= await AnswerIndex.create(
      this.#disk,
      `${this.#folder}/index`,
      this.#next,
      () => this.#keys(),
      { most: ALIKE },
    )
    for (const other of await this.#index.read(key)) {
      const found = await this.#takeAt(other, key)
      if (found) return found
    }
    return undefined
  }

  async #takeAt(ordinal: number, key: Buffer): Promise<Side | undefined> {
    if (ordinal >= this.#next || this.#taken.has(ordinal)) return undefined
    const place = await this.#read(0, ordinal * PLACE, PLACE)
    const length = place.readUInt32LE(KEY_BYTES + 6)
    if (length === 0 || !place.subarray(0, KEY_BYTES).equals(key)) return undefined
    this.#taken.add(ordinal)
    this.#matched += 1
    const bytes = await this.#read(1, place.readUIntLE(KEY_BYTES, 6), length)
    // Written by `add`.
    return JSON.parse(bytes.toString('utf8')) as Side
  }

  async *#keys(): AsyncGenerator<KeyBlock> {
    for (let number = 0; number < this.#next; number += BLOCK) {
      const count = Math.min(BLOCK, this.#next - number)
      const bytes = await this.#read(0, number * PLACE, count * PLACE)
      yield { bytes, stride: PLACE, count, number }
    }
  }

  async #read(file: 0 | 1, start: number, length: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(length)
    // Both files stay open until `close`.
    const handle = this.#files[file] as DiskFile
    if (!handle.readSync?.(bytes, start)) await handle.read(bytes, start)
    return bytes
  }

  async close(): Promise<void> {
    await this.#index?.close()
    for (const file of this.#files) await file.close()
  }
}
