// The index of a result set: a header, three counts (requests, blocks, a checksum of what follows), an entry of 32-bit numbers for
// each request, and one for each block of the file of results. Written and read as a whole. What stands where in an entry:
import { crc32 } from 'node:zlib'

/** The block that holds the request's line. */
export const BLOCK = 0
/** Where in the block the line begins. */
export const OFFSET = 1
/** Its length in bytes; 0 where the request has no line. */
export const LENGTH = 2
/**
 * Of a plain answer, where its parts lie in the line (custom_id, model, stop_reason, usage, text), each by its start and end; else
 * zeros.
 */
export const PARTS = 3
export const PART_NUMBERS = 10
export const NUMBERS: number = PARTS + PART_NUMBERS

/** Of a block, where it begins in the file of results: the low 32 bits, and those above them. */
export const START = 0
export const START_HIGH = 1
/** Its length in bytes. */
export const SIZE = 2
/** The checksum of its bytes. */
export const SUM = 3
export const BLOCK_NUMBERS = 4

/** What the index begins with: the format's name and version. */
const HEADER: Buffer = Buffer.from('claude-batch-stream lines 3\n    ')

const COUNTS_BYTES = 3 * 4

/** An index in memory. */
export interface LineIndex {
  readonly entries: Uint32Array
  readonly blocks: Uint32Array
}

/** The bytes of an index. */
export function indexBytes({ entries, blocks }: LineIndex): Buffer {
  const tables = [bytesOf(entries), bytesOf(blocks)] as const
  const counts = [
    entries.length / NUMBERS,
    blocks.length / BLOCK_NUMBERS,
    crc32(tables[1], crc32(tables[0])),
  ]
  return Buffer.concat([HEADER, bytesOf(new Uint32Array(counts)), ...tables])
}

/** Reads an index; 'foreign' where another version wrote it, 'damaged' where it was changed since it was written. */
export function indexIn(bytes: Buffer, requests: number): LineIndex | 'foreign' | 'damaged' {
  if (!bytes.subarray(0, HEADER.length).equals(HEADER)) return 'foreign'
  const start = HEADER.length + COUNTS_BYTES
  if (bytes.length < start) return 'damaged'
  const [count, blockCount, sum] = numbersIn(bytes.subarray(HEADER.length, start))
  const blocksAt = start + requests * NUMBERS * 4
  if (count !== requests || bytes.length !== blocksAt + blockCount! * BLOCK_NUMBERS * 4)
    return 'damaged'
  if (crc32(bytes.subarray(start)) !== sum) return 'damaged'
  return {
    entries: numbersIn(bytes.subarray(start, blocksAt)),
    blocks: numbersIn(bytes.subarray(blocksAt)),
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

function numbersIn(bytes: Buffer): Uint32Array {
  // A view wants an address that is a multiple of four.
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes)
  return new Uint32Array(aligned.buffer, aligned.byteOffset, bytes.length / 4)
}
