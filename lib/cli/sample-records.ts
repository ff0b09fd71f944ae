import { createHash } from 'node:crypto'
import { each } from '../core/chain.ts'
import { SourceRecord } from '../core/flow.ts'
import type { Stage } from '../core/stage.ts'
import { Records } from '../store/records.ts'
import { makeTemporaryFolder, temporaryDisk } from '../store/temporary.ts'

export interface RecordSampleOptions {
  /** The size of the sample. */
  readonly count: number
  /** The same seed and input give the same sample. */
  readonly seed: string
}

/**
 * A uniform sample of a stream, in its order, in one pass. Records that enter the sample, including those replaced later,
 * go to a temporary file: about `count * (1 + ln(records / count))` records. Memory holds one number per sampled record.
 */
export async function* sampleRecords(
  records: Stage<never, SourceRecord>,
  options: RecordSampleOptions,
): AsyncGenerator<SourceRecord> {
  const folder = await makeTemporaryFolder()
  const file = await Records.open(temporaryDisk, folder, { records: 0, bytes: 0 }, [])
  try {
    const sample = new Reservoir<number>(options)
    for await (const record of each(records)) {
      if (!sample.offer(() => file.append(record))) continue
      if (file.full) await file.flush()
    }
    await file.flush()
    const reader = file.reader()
    for (const place of sample.items.sort((a, b) => a - b)) {
      const { raw, line, source, problem } = await reader.read(place, 1)
      yield new SourceRecord(raw, { line, source, problem })
    }
  } finally {
    await file.close()
    await temporaryDisk.remove(folder)
  }
}

/** A uniform sample of a list, in its order. */
export function sampleItems<Item>(
  items: readonly Item[],
  options: RecordSampleOptions,
): readonly Item[] {
  const sample = new Reservoir<number>(options)
  for (const index of items.keys()) sample.offer(() => index)
  const chosen = new Set(sample.items)
  return items.filter((_, index) => chosen.has(index))
}

/** Algorithm R: each item so far is in the sample with equal probability. */
class Reservoir<Item> {
  readonly items: Item[] = []
  readonly #count: number
  readonly #random: () => number
  #seen = 0

  constructor({ count, seed }: RecordSampleOptions) {
    this.#count = count
    this.#random = randomNumbers(seed)
  }

  /** Offers the next item, which is created only if it enters the sample. */
  offer(make: () => Item): boolean {
    this.#seen += 1
    if (this.items.length < this.#count) {
      this.items.push(make())
      return true
    }
    const place = Math.floor(this.#random() * this.#seen)
    if (place >= this.#count) return false
    this.items[place] = make()
    return true
  }
}

/** Numbers from 0 to 1 with 53 random bits, from the generator sfc32 seeded with a hash. */
function randomNumbers(seed: string): () => number {
  const hash = createHash('sha256').update(seed).digest()
  let a = hash.readInt32LE(0)
  let b = hash.readInt32LE(4)
  let c = hash.readInt32LE(8)
  let counter = hash.readInt32LE(12)
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return sum >>> 0
  }
  return () => ((next() >>> 5) * 2 ** 26 + (next() >>> 6)) / 2 ** 53
}
