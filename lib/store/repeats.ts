import { readSummed, type BatchFiles, type SummedBatch } from './sums.ts'

// An entry: the record's ordinal (6 bytes), and the ordinal of the earlier record that asks the same (6). Little-endian.
const HALF = 6
const ENTRY = 2 * HALF

/** One line of a batch's `.repeats` file: a record that is not asked, and the one whose answer it shares. */
export function repeatEntry(ordinal: number, of: number): Buffer {
  const entry = Buffer.allocUnsafe(ENTRY)
  entry.writeUIntLE(ordinal, 0, HALF)
  entry.writeUIntLE(of, HALF, HALF)
  return entry
}

/** Records of a batch whose request an earlier record asks, in input order: 12 bytes each, of one batch at a time. */
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

  /** The record that is asked in its place. */
  firstAt(index: number): number {
    return this.#entries.readUIntLE(index * ENTRY + HALF, HALF)
  }

  /** The records, and the one that each repeats. */
  *[Symbol.iterator](): Generator<{ readonly ordinal: number; readonly of: number }> {
    for (let at = 0; at < this.#entries.length; at += ENTRY)
      yield {
        ordinal: this.#entries.readUIntLE(at, HALF),
        of: this.#entries.readUIntLE(at + HALF, HALF),
      }
  }
}
