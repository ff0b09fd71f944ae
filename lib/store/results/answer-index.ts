import { KEY_BYTES } from '../../core/request-key.ts'
import { AppendFile } from '../append-file.ts'
import type { Disk, DiskFile } from '../disk.ts'
import { ReadAheadFile } from '../read-ahead-file.ts'

// An entry of the file: a key, and the number of its answer (6 bytes, little-endian).
const ENTRY = KEY_BYTES + 6

/** Entries per block. A block is read at once, and the first key of each is in memory. */
const BLOCK = 128

/** Keys sorted at once, about 15 MB. */
const SLICE = 2 ** 19

/** How many answers to one request are kept, the newest first. */
const ANSWERS = 4

/** Consecutive keys, `stride` bytes apart, and the number of the first key's answer. */
export interface KeyBlock {
  readonly bytes: Buffer
  readonly stride: number
  readonly count: number
  readonly number: number
}

/**
 * Finds the answers of earlier jobs by the keys of their requests. A sorted file, with one number per block in memory. It is
 * built in several passes over the keys, each of which sorts a part of them, so memory does not grow with their number.
 */
export class AnswerIndex {
  readonly #disk: Disk
  readonly #path: string
  readonly #handle: DiskFile
  readonly #file: ReadAheadFile
  /** The first four bytes of the first key of each block. */
  readonly #starts: Uint32Array
  readonly #count: number

  private constructor(
    disk: Disk,
    path: string,
    handle: DiskFile,
    { starts, count }: { readonly starts: readonly number[]; readonly count: number },
  ) {
    this.#disk = disk
    this.#path = path
    this.#handle = handle
    // Lookups are random, so nothing is read ahead.
    this.#file = new ReadAheadFile(handle, -1)
    this.#starts = Uint32Array.from(starts)
    this.#count = count
  }

  /** Builds the index of at most `total` keys. Each call of `keys` yields all of them, those of the newest answers first. */
  static async create(
    disk: Disk,
    path: string,
    total: number,
    keys: () => AsyncIterable<KeyBlock>,
    { slice = SLICE, most = ANSWERS }: { readonly slice?: number; readonly most?: number } = {},
  ): Promise<AnswerIndex> {
    const handle = await disk.open(path, 'create')
    try {
      const file = new AppendFile(handle, 0)
      const passes = Math.max(1, Math.ceil(total / slice))
      const starts: number[] = []
      let count = 0
      // All passes use the same memory: a sorter for each would be freed only some time later.
      const sorter = new Sorter(Math.ceil(total / passes), most)
      for (let pass = 0; pass < passes; pass++) {
        sorter.clear()
        const from = (pass * 2 ** 32) / passes
        const to = ((pass + 1) * 2 ** 32) / passes
        for await (const block of keys()) sorter.take(block, from, to)
        for (const entry of sorter.sorted()) {
          if (count % BLOCK === 0) starts.push(entry.readUInt32BE())
          file.append(entry)
          if (file.full) await file.flush()
          count += 1
        }
      }
      await file.flush()
      return new AnswerIndex(disk, path, handle, { starts, count })
    } catch (cause) {
      await handle.close()
      await disk.remove(path)
      throw cause
    }
  }

  get count(): number {
    return this.#count
  }

  /** The numbers of the answers to a request, newest first; undefined if a block must be read first. */
  tryReadSync(key: Buffer): number[] | undefined {
    const found: number[] = []
    for (let block = this.#blockOf(key); block < this.#starts.length; block++) {
      const bytes = this.#file.tryReadSync(...this.#rangeOf(block))
      if (!bytes) return undefined
      if (!collect(bytes, key, found)) break
    }
    return found
  }

  async read(key: Buffer): Promise<number[]> {
    const found: number[] = []
    for (let block = this.#blockOf(key); block < this.#starts.length; block++) {
      const bytes = await this.#file.read(...this.#rangeOf(block))
      if (!collect(bytes, key, found)) break
    }
    return found
  }

  /** Closes and deletes the index, which no other process can use. */
  async close(): Promise<void> {
    await this.#handle.close()
    await this.#disk.remove(this.#path)
  }

  /** The block in which a key would start: the last one whose first key is lower in its first four bytes. */
  #blockOf(key: Buffer): number {
    const wanted = key.readUInt32BE()
    let low = 0
    let high = this.#starts.length
    while (low < high) {
      const middle = (low + high) >>> 1
      // In range by the loop's condition.
      if ((this.#starts[middle] as number) < wanted) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  #rangeOf(block: number): [start: number, length: number] {
    const first = block * BLOCK
    return [first * ENTRY, Math.min(BLOCK, this.#count - first) * ENTRY]
  }
}

/** Adds the numbers that a block has for a key; false if no later block can have more. */
function collect(bytes: Buffer, key: Buffer, found: number[]): boolean {
  const wanted = key.readUInt32BE()
  for (let at = 0; at < bytes.length; at += ENTRY) {
    const start = bytes.readUInt32BE(at)
    if (start < wanted) continue
    if (start > wanted) return false
    if (bytes.compare(key, 0, KEY_BYTES, at, at + KEY_BYTES) === 0)
      found.push(bytes.readUIntLE(at + KEY_BYTES, 6))
  }
  return true
}

/** Sorts the entries with keys in a range. */
class Sorter {
  #entries: Buffer
  /** The first four bytes of each key, with its place: numbers sort many times faster than bytes. */
  #order: Float64Array
  #count = 0
  readonly #most: number

  constructor(expected: number, most: number) {
    this.#most = most
    // Keys are evenly distributed, so this is almost enough.
    const room = Math.ceil(expected * 1.02) + 1024
    this.#entries = Buffer.allocUnsafeSlow(room * ENTRY)
    this.#order = new Float64Array(room)
  }

  clear(): void {
    this.#count = 0
  }

  take({ bytes, stride, count, number }: KeyBlock, from: number, to: number): void {
    for (let index = 0; index < count; index++) {
      const at = index * stride
      const start = bytes.readUInt32BE(at)
      if (start < from || start >= to) continue
      if (this.#count === this.#order.length) this.#makeRoom()
      const entry = this.#count * ENTRY
      bytes.copy(this.#entries, entry, at, at + KEY_BYTES)
      this.#entries.writeUIntLE(number + index, entry + KEY_BYTES, 6)
      this.#order[this.#count] = start * PLACES + this.#count
      this.#count += 1
    }
  }

  /** The entries in the order of their keys; of one key, the first few in the order of arrival. */
  *sorted(): Generator<Buffer> {
    const order = this.#order.subarray(0, this.#count).sort()
    let from = 0
    while (from < order.length) {
      let to = from + 1
      const start = startIn(order, from)
      while (to < order.length && startIn(order, to) === start) to += 1
      yield* this.#alike(order.subarray(from, to))
      from = to
    }
  }

  /** Entries whose keys start with the same four bytes: almost always one key. */
  *#alike(order: Float64Array): Generator<Buffer> {
    const seen = new Map<string, number>()
    for (const placed of order) {
      const at = (placed % PLACES) * ENTRY
      const entry = this.#entries.subarray(at, at + ENTRY)
      const key = order.length === 1 ? '' : entry.toString('latin1', 0, KEY_BYTES)
      const answers = seen.get(key) ?? 0
      if (answers < this.#most) yield entry
      seen.set(key, answers + 1)
    }
  }

  /** Drops surplus answers to one request. If few can be dropped, the memory grows. */
  #makeRoom(): void {
    const kept = [...this.sorted()]
    const room = kept.length * 2 > this.#count ? this.#count * 2 : this.#count
    const entries = Buffer.allocUnsafeSlow(room * ENTRY)
    const order = new Float64Array(room)
    for (const [index, entry] of kept.entries()) {
      entries.set(entry, index * ENTRY)
      order[index] = entry.readUInt32BE() * PLACES + index
    }
    this.#entries = entries
    this.#order = order
    this.#count = kept.length
  }
}

/** More than the entries sorted at once; a four-byte number times this is still an exact number. */
const PLACES = 2 ** 21

function startIn(order: Float64Array, index: number): number {
  // Callers pass indexes of entries.
  return Math.floor((order[index] as number) / PLACES)
}
