import { readSummed, type BatchFiles, type SummedBatch } from './sums.ts'

// An entry: the record's ordinal (6 bytes) and the ordinal of the earlier record with the same request (6 bytes),
// little-endian.
const HALF = 6
const ENTRY = 2 * HALF

/** An entry of a batch's `.repeats` file: a record without a request, and the record whose answer it shares. */
export function repeatEntry(ordinal: number, of: number): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY)
  entry.writeUIntLE(ordinal, 0, HALF)
  entry.writeUIntLE(of, HALF, HALF)
  return entry
}

/** The repeated records of a batch in input order: 12 bytes each, one batch at a time. */
export class Repeats {
  readonly #entries: Buffer

  private constructor(entries: Buffer) {
    this.#entries = entries
  }

  static async of(files: BatchFiles, batch: SummedBatch): Promise<Repeats> {
    return new Repeats((await readSummed(files, batch, 'repeats')) ?? Buffer.alloc(0))
  }

  get count(): number {
    return this.#entries.length / ENTRY
  }

  /** The record itself; undefined past the last. */
  ordinalAt(index: number): number | undefined {
    return index < this.count ? this.#entries.readUIntLE(index * ENTRY, HALF) : undefined
  }

  /** The record whose answer it shares. */
  firstAt(index: number): number {
    return this.#entries.readUIntLE(index * ENTRY + HALF, HALF)
  }

  /** Each record and the one that it repeats. */
  *[Symbol.iterator](): Generator<{ readonly ordinal: number; readonly of: number }> {
    for (let at = 0; at < this.#entries.length; at += ENTRY)
      yield {
        ordinal: this.#entries.readUIntLE(at, HALF),
        of: this.#entries.readUIntLE(at + HALF, HALF),
      }
  }
}
