import type { DiskFile } from './disk.ts'
import type { AppendFile } from './append-file.ts'
import { openSummed, type BatchFiles, type SummedBatch } from './sums.ts'
import { ReadAheadFile } from './read-ahead-file.ts'

const WIDTH = 6

/** A file of ascending record ordinals, six bytes each: the records of a batch's requests, in the order of its body. */
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

/** Reads such a file by position, and finds the position of an ordinal. */
export class OrdinalReader {
  readonly #window: ReadAheadFile
  readonly count: number

  private constructor(file: DiskFile, count: number) {
    this.#window = new ReadAheadFile(file)
    this.count = count
  }

  /** Verifies and opens the file of a batch for the duration of `use`. */
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
    return this.#tryReadSync(position) ?? (await this.#read(position))
  }

  /** All ordinals: 8 bytes for each request of one batch. */
  async all(): Promise<Float64Array> {
    const ordinals = new Float64Array(this.count)
    for (let position = 0; position < this.count; position++)
      // A promise per ordinal would cost more than everything else here.
      ordinals[position] = this.#tryReadSync(position) ?? (await this.#read(position))
    return ordinals
  }

  #tryReadSync(position: number): number | undefined {
    const at = this.#window.find(position * WIDTH, WIDTH)
    return at === -1 ? undefined : this.#window.bytes.readUIntLE(at, WIDTH)
  }

  async #read(position: number): Promise<number> {
    return (await this.#window.read(position * WIDTH, WIDTH)).readUIntLE(0, WIDTH)
  }
}

/** The position of a number in an ascending list; -1 if it is not in it. */
export function positionOf(ordinal: number, ascending: Float64Array): number {
  // Most batches have no gaps, so the position follows from the first number.
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
