// The records of a batch that take the answer of an earlier job: which they are, and copies of the answers.
import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../core/errors.ts'
import { KEY_BYTES } from '../core/request-key.ts'
import type { AppendFile } from './append-file.ts'
import type { DiskFile } from './disk.ts'
import { ReadAheadFile } from './read-ahead-file.ts'
import { openStored, readSummed, type BatchFiles, type SummedBatch } from './sums.ts'

/** An answer of an earlier job: the API's line, and where it is from. */
export interface EarlierAnswer {
  /** The job that asked for it. */
  readonly job: string
  readonly batchId: string | null
  readonly raw: Buffer
}

// An entry: the record's ordinal (6 bytes), the key of its request, where its answer is in the file of answers (6), its
// length (4) and its checksum (4). Little-endian.
const ORDINAL = 0
const KEY = 6
const START = KEY + KEY_BYTES
const LENGTH = START + 6
const SUM = LENGTH + 4
const ENTRY = SUM + 4

const TAB = 0x09

/** Writes the two files. */
export class ReusedWriter {
  readonly #entries: AppendFile
  readonly #answers: AppendFile
  records = 0

  constructor(entries: AppendFile, answers: AppendFile) {
    this.#entries = entries
    this.#answers = answers
  }

  add(ordinal: number, key: Uint8Array, { job, batchId, raw }: EarlierAnswer): void {
    const head = Buffer.from(`${JSON.stringify([job, batchId])}\t`)
    const start = this.#answers.size
    const entry = Buffer.allocUnsafe(ENTRY)
    entry.writeUIntLE(ordinal, ORDINAL, 6)
    entry.set(key, KEY)
    entry.writeUIntLE(start, START, 6)
    entry.writeUInt32LE(head.length + raw.length, LENGTH)
    entry.writeUInt32LE(crc32(raw, crc32(head)), SUM)
    this.#entries.append(entry)
    for (const part of [head, raw, NEWLINE]) this.#answers.append(part)
    this.records += 1
  }

  get files(): readonly AppendFile[] {
    return [this.#entries, this.#answers]
  }
}

const NEWLINE = Buffer.from('\n')

/** The records of a batch that take an earlier answer, in input order: some 40 bytes each, of one batch at a time. */
export class Reused {
  readonly #entries: Buffer

  private constructor(entries: Buffer) {
    this.#entries = entries
  }

  static async of(files: BatchFiles, batch: SummedBatch): Promise<Reused> {
    return new Reused((await readSummed(files, batch, 'reused')) ?? Buffer.alloc(0))
  }

  get count(): number {
    return this.#entries.length / ENTRY
  }

  /** The record; undefined past the last. */
  ordinalAt(index: number): number | undefined {
    return index < this.count ? this.#entries.readUIntLE(index * ENTRY + ORDINAL, 6) : undefined
  }

  /** The records, each with its index. */
  *ordinals(): Generator<readonly [index: number, ordinal: number]> {
    for (let index = 0; index < this.count; index++)
      yield [index, this.#entries.readUIntLE(index * ENTRY + ORDINAL, 6)]
  }

  /** The keys of all of them, so many bytes apart. */
  get keys(): { readonly bytes: Buffer; readonly stride: number } {
    return { bytes: this.#entries.subarray(KEY), stride: ENTRY }
  }

  /** The key of its request. */
  keyAt(index: number): Buffer {
    const at = index * ENTRY + KEY
    return this.#entries.subarray(at, at + KEY_BYTES)
  }

  /** Where its answer is in the file of answers. */
  placeAt(index: number): {
    readonly start: number
    readonly length: number
    readonly sum: number
  } {
    const at = index * ENTRY
    return {
      start: this.#entries.readUIntLE(at + START, 6),
      length: this.#entries.readUInt32LE(at + LENGTH),
      sum: this.#entries.readUInt32LE(at + SUM),
    }
  }
}

/** Reads the answers of a batch's reused records. */
export class ReusedAnswers {
  readonly #number: number
  readonly #reused: Reused
  readonly #file: DiskFile
  readonly #answers: ReadAheadFile

  private constructor(number: number, reused: Reused, file: DiskFile) {
    this.#number = number
    this.#reused = reused
    this.#file = file
    this.#answers = new ReadAheadFile(file)
  }

  static async open(files: BatchFiles, number: number, reused: Reused): Promise<ReusedAnswers> {
    const file = await openStored(files.disk, files.path(number, 'answers'))
    return new ReusedAnswers(number, reused, file)
  }

  /** The answer if it is in memory already. */
  tryReadSync(index: number): EarlierAnswer | undefined {
    const { start, length } = this.#reused.placeAt(index)
    const bytes = this.#answers.tryReadSync(start, length)
    return bytes && this.#answer(index, bytes)
  }

  /** The answer; one that was changed on disk is `CBS_STATE`. */
  async read(index: number): Promise<EarlierAnswer> {
    const { start, length } = this.#reused.placeAt(index)
    return this.#answer(index, await this.#answers.read(start, length))
  }

  #answer(index: number, bytes: Buffer): EarlierAnswer {
    if (crc32(bytes) !== this.#reused.placeAt(index).sum)
      throw new BatchStreamError(
        'CBS_STATE',
        `reused answer ${index + 1} of batch ${this.#number} is damaged on disk: ${this.#number}.answers was changed since it was written; see \`claude-batch-stream doctor\``,
      )
    const tab = bytes.indexOf(TAB)
    // Written by ReusedWriter, as the checksum has proven.
    const [job, batchId] = JSON.parse(bytes.toString('utf8', 0, tab)) as [string, string | null]
    return { job, batchId, raw: bytes.subarray(tab + 1) }
  }

  async close(): Promise<void> {
    await this.#file.close()
  }
}
