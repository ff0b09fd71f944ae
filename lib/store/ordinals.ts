import type { DiskFile } from './disk.ts'
import type { AppendFile } from './append-file.ts'
import { openSummed, type BatchFiles, type SummedBatch } from './sums.ts'
import { ReadAheadFile } from './read-ahead-file.ts'

const WIDTH = 6

/** A file of ascending record ordinals, six bytes each: which records a batch asks about, in the order of its body. */
export class OrdinalWriter {
  readonly #file: AppendFile

  constructor(file: AppendFile) {
    this.#file = file
  }

  append(ordinal: number): void {
    const at = this.#file.reserve(WIDTH)
    this.#file.gathering.writeUIntLE(ordinal, at, WIDTH)
  }

  async flush(): Promise<void> {
    await this.#file.flush()
  }

  async sync(): Promise<void> {
    await this.#file.sync()
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}

/** Reads such a file by position, and finds an ordinal's position in it. */
export class OrdinalReader {
  readonly #window: ReadAheadFile
  readonly count: number

  private constructor(file: DiskFile, count: number) {
    this.#window = new ReadAheadFile(file)
    this.count = count
  }

  /** Opens the file of a batch, once it has been checked, for as long as `use` takes. */
  static async use<T>(
    files: BatchFiles,
    batch: SummedBatch,
    use: (reader: OrdinalReader) => Promise<T>,
  ): Promise<T> {
    return await openSummed(files, batch, 'members', async file =>
      use(new OrdinalReader(file, (await file.size()) / WIDTH)),
    )
  }

  async at(position: number): Promise<number> {
    return this.#peek(position) ?? (await this.#read(position))
  }

  /** All of them, as numbers: 8 bytes for each request of one batch. */
  async all(): Promise<Float64Array> {
    const ordinals = new Float64Array(this.count)
    for (let position = 0; position < this.count; position++)
      // A promise for each of them would cost more than all else here.
      ordinals[position] = this.#peek(position) ?? (await this.#read(position))
    return ordinals
  }

  #peek(position: number): number | undefined {
    const at = this.#window.find(position * WIDTH, WIDTH)
    return at === -1 ? undefined : this.#window.bytes.readUIntLE(at, WIDTH)
  }

  async #read(position: number): Promise<number> {
    return (await this.#window.read(position * WIDTH, WIDTH)).readUIntLE(0, WIDTH)
  }
}

/** The position of a number in ascending numbers; -1 where it is not among them. */
export function positionOf(ordinal: number, ascending: Float64Array): number {
  // Most batches lack none of their records, and then a number's place follows from the first.
  const near = ordinal - (ascending[0] ?? 0)
  if (ascending[near] === ordinal) return near
  let low = 0
  let high = ascending.length - 1
  while (low <= high) {
    const middle = (low + high) >>> 1
    // In range by the loop's condition.
    const here = ascending[middle] as number
    if (here === ordinal) return middle
    if (here < ordinal) low = middle + 1
    else high = middle - 1
  }
  return -1
}
