// The index of a result set: a header, and for each request an entry of nine 32-bit numbers. What stands where in an entry:
import { crc32 } from 'node:zlib'

/** Where the line begins in the file of results: the low 32 bits, and the bits above them. */
export const START = 0
export const START_HIGH = 1
/** Its length in bytes; 0 where the request has no line. */
export const LENGTH = 2
/** The checksum of the entry, its place and the line. */
export const SUM = 3
/**
 * Of a plain answer on a short line: where its parts lie in the line (custom_id, model, stop_reason, usage, text), the start in
 * the low 16 bits and the end in the high ones; else zeros.
 */
export const PARTS = 4
export const PART_COUNT = 5
export const NUMBERS: number = PARTS + PART_COUNT
export const ENTRY_BYTES: number = NUMBERS * 4

/** What the index begins with: the format's name and version. */
export const HEADER: Buffer = Buffer.from('claude-batch-stream lines 2\n    ')

/** What stands for a line where there is none: an entry of zeros is damage. */
export const NO_LINE: Buffer = Buffer.from('none')

/** The checksum of the entry that begins at `at`, and of its line. */
export function entrySum(
  index: Uint32Array,
  at: number,
  position: number,
  line: Uint8Array,
): number {
  let seed = position
  for (let number = 0; number < NUMBERS; number++)
    if (number !== SUM) seed = (Math.imul(seed, 0x9e3779b1) + index[at + number]!) | 0
  return crc32(line, seed >>> 0)
}

export function startIn(index: Uint32Array, at: number): number {
  return index[at + START]! + index[at + START_HIGH]! * 2 ** 32
}
