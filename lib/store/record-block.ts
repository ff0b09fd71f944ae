// Records are stored in blocks with one checksum each: one per record would cost more than its bytes do.
import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../core/errors.ts'
import { PAGE_ITEMS } from '../core/pages.ts'

// An index entry is eight 32-bit numbers: the offset in records.jsonl (the lower half, then 16 more bits, with the entry's
// position in its block above them), the length, the length of the problem that follows, the line (halves as before, with
// the block's number of entries above), the source, and the checksum of the block, which all its entries have.
const WORDS = 8
const PLACE = 1
const COUNT = 5
const SUM = 7

/** Bytes of an index entry. */
export const ENTRY: number = 4 * WORDS

/** The index entry of a record. */
export interface RecordEntry {
  readonly start: number
  readonly length: number
  readonly problemLength: number
  readonly line: number
  /** The number of its source, from 1; 0 for none. */
  readonly source: number
}

/** The entries of the block that is being written. */
export class OpenBlock {
  readonly #words = new Uint32Array(WORDS * PAGE_ITEMS)
  #count = 0
  #bytes = 0
  #sum = 0

  get count(): number {
    return this.#count
  }

  /** Bytes of its records, including problems and newlines. */
  get bytes(): number {
    return this.#bytes
  }

  /** Adds the entry of the record with this ordinal. A block holds one page of entries. */
  add(entry: RecordEntry, ordinal: number): void {
    const { start, length, problemLength, line, source } = entry
    if (this.#count === 0) this.#sum = seedOf(ordinal)
    const at = this.#count * WORDS
    const words = this.#words
    words[at] = start
    words[at + PLACE] = high(start) | (this.#count << 16)
    words[at + 2] = length
    words[at + 3] = problemLength
    words[at + 4] = line
    words[at + COUNT] = high(line)
    words[at + 6] = source
    words[at + SUM] = 0
    this.#count += 1
  }

  /** Adds the bytes of the records whose entries were added. */
  addBytes(bytes: Uint8Array): void {
    this.#sum = crc32(bytes, this.#sum)
    this.#bytes += bytes.length
  }

  /** Returns the block's part of the index and empties the block. The bytes are valid until the next entry is added. */
  close(): Uint8Array {
    const words = this.#words.subarray(0, this.#count * WORDS)
    const bytes = bytesOf(words)
    for (let at = 0; at < words.length; at += WORDS)
      // Every index is in range.
      words[at + COUNT] = (words[at + COUNT] as number) | (this.#count << 16)
    const sum = crc32(bytes, this.#sum)
    for (let at = 0; at < words.length; at += WORDS) words[at + SUM] = sum
    this.#count = 0
    this.#bytes = 0
    return bytes
  }
}

/** The block of an entry: the ordinal of its first record, and its number of records. */
export function blockOf(
  entry: Uint8Array,
  ordinal: number,
): { readonly first: number; readonly count: number } {
  if (entry.length < ENTRY) throw damaged(ordinal)
  const words = wordsOf(entry)
  const first = ordinal - (at(words, PLACE) >>> 16)
  const count = at(words, COUNT) >>> 16
  if (first < 0 || ordinal >= first + count) throw damaged(ordinal)
  return { first, count }
}

/** The index of a block read from disk. */
export class BlockIndex {
  /** The ordinal of its first record. */
  readonly first: number
  readonly count: number
  /** The offset of its bytes in records.jsonl. */
  readonly start: number
  readonly length: number
  readonly #words: Uint32Array

  constructor(first: number, count: number, entries: Uint8Array) {
    if (entries.length < count * ENTRY) throw damaged(first)
    this.first = first
    this.count = count
    this.#words = wordsOf(entries)
    this.start = this.entry(first).start
    const last = this.entry(first + count - 1)
    this.length = last.start + last.length + last.problemLength + 1 - this.start
    if (this.length < 1) throw damaged(first)
  }

  has(ordinal: number): boolean {
    return ordinal >= this.first && ordinal < this.first + this.count
  }

  entry(ordinal: number): RecordEntry {
    const words = this.#words
    const from = (ordinal - this.first) * WORDS
    return {
      start: at(words, from) + (at(words, from + PLACE) & 0xffff) * 2 ** 32,
      length: at(words, from + 2),
      problemLength: at(words, from + 3),
      line: at(words, from + 4) + (at(words, from + COUNT) & 0xffff) * 2 ** 32,
      source: at(words, from + 6),
    }
  }

  /**
   * Verifies the block's checksum.
   *
   * @throws BatchStreamError `CBS_STATE` if the block was changed
   */
  verify(bytes: Uint8Array): void {
    const words = this.#words.slice()
    const sum = at(words, SUM)
    for (let from = SUM; from < words.length; from += WORDS) {
      if (words[from] !== sum) throw damaged(this.first, this.count)
      words[from] = 0
    }
    const found = crc32(bytesOf(words), crc32(bytes, seedOf(this.first)))
    if (bytes.length !== this.length || found !== sum) throw damaged(this.first, this.count)
  }
}

/** A checksum is seeded with the block's position in the index. */
function seedOf(ordinal: number): number {
  return ordinal >>> 0
}

function high(number: number): number {
  return Math.floor(number / 2 ** 32)
}

/** Every index that is read is in range. */
function at(words: Uint32Array, index: number): number {
  return words[index] as number
}

function bytesOf(words: Uint32Array): Buffer {
  return Buffer.from(words.buffer, words.byteOffset, words.byteLength)
}

/** A copy, since 32-bit numbers must be aligned. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const words = new Uint32Array(bytes.length / 4)
  bytesOf(words).set(bytes)
  return words
}

function damaged(ordinal: number, count = 1): BatchStreamError {
  const which =
    count === 1 ? `record ${ordinal + 1}` : `one of records ${ordinal + 1} to ${ordinal + count}`
  return new BatchStreamError(
    'CBS_STATE',
    `${which} of the job is damaged on disk: records.jsonl or records.index was changed since it was written; see \`claude-batch-stream doctor\``,
  )
}
