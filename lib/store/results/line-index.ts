// The index of a result set: a header, three counts (requests, blocks, checksum of the rest), an entry of 32-bit numbers per
// request, and one per block of the result file. It is written and read as a whole. The numbers of an entry:
import { crc32 } from 'node:zlib'

/** The number of the block with the request's line. */
export const BLOCK = 0
/** The offset of the line in its block. */
export const OFFSET = 1
/** The length of the line in bytes; 0 if the request has none. */
export const LENGTH = 2
/**
 * Start and end of each part (custom_id, model, stop_reason, usage, text) in the line of a plain answer; zeros for every other
 * line.
 */
export const PARTS = 3
export const PART_NUMBERS = 10
export const NUMBERS: number = PARTS + PART_NUMBERS

/** The offset of a block in the result file: the low 32 bits and the high 32 bits. */
export const START = 0
export const START_HIGH = 1
/** The length of the block in bytes. */
export const SIZE = 2
/** The CRC-32 of the block. */
export const SUM = 3
export const BLOCK_NUMBERS = 4

/** The first bytes of the index: the name and version of the format. */
const HEADER: Buffer = Buffer.from('claude-batch-stream lines 3\n    ')

const COUNTS_BYTES = 3 * 4

/** An index in memory. */
export interface LineIndex {
  readonly entries: Uint32Array
  readonly blocks: Uint32Array
}

/** The number of requests that have a line. */
export function lineCount({ entries }: LineIndex): number {
  let lines = 0
  for (let at = LENGTH; at < entries.length; at += NUMBERS) if (entries[at] !== 0) lines += 1
  return lines
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

/** Reads an index; 'foreign' if another version wrote it, 'damaged' if it has changed since it was written. */
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

/** The offset is a multiple of four, as Uint32Array demands: the header is padded, and Node aligns its buffers. */
function numbersIn({ buffer, byteOffset, length }: Buffer): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length / 4)
}
