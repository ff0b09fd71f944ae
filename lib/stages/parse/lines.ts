import { isAscii, isUtf8 } from 'node:buffer'
import { Pieces } from './pieces.ts'
import { TextStart } from '../../core/text-start.ts'
import { cutCharacter } from '../../core/utf8.ts'

const LF = 0x0a
const CR = 0x0d
const NOTHING = Buffer.alloc(0)

/** Bytes kept of an overlong line: enough for 1,000 characters of any kind. */
const HEAD_BYTES = 4000

/** How lines are split. */
export interface LinesOptions {
  /** Maximum bytes of a line; of a longer one only the first 4,000 are kept. */
  readonly maxRecordBytes: number
  /** The name of the input in errors. */
  readonly source?: string | undefined
}

/**
 * Splits bytes into lines with their physical numbers, independent of chunks. LF, CRLF and a lone CR end a line. Its cost
 * is linear in the length of a line, and its memory bounded by `maxRecordBytes`.
 *
 * For speed it is a pull interface: after `write`, call `next` until it returns false. While it returns true, the line is
 * in `bytes` from `from` to `to`. Those bytes are the chunk itself (or a copy, for a line across chunks), and stay valid
 * unless the caller overwrites its chunks.
 */
export class Lines {
  bytes: Buffer = NOTHING
  from = 0
  to = 0
  /** Physical number of the current line, from 1. */
  number = 0
  /** Whether the current line is too long, so that only its start is available. */
  tooLong = false

  readonly #max: number
  readonly #start: TextStart
  #chunk: Buffer = NOTHING
  #at = 0
  // The next LF and CR of the chunk, or its length. Both are remembered: searching again for every line would be quadratic
  // for a chunk of many CRs and no LF.
  #lf = 0
  #cr = 0
  #afterCr = false
  #finished = false
  readonly #pending = new Pieces()
  // The full length of the unfinished line, even if it is not all kept.
  #pendingBytes = 0
  // Set once the text of a line was requested.
  #ascii: string | false | undefined
  #valid: boolean | undefined

  constructor({ maxRecordBytes, source }: LinesOptions) {
    this.#max = maxRecordBytes
    this.#start = new TextStart(source)
  }

  /**
   * Takes the next chunk, only after `next` returned false.
   * @throws BatchStreamError `CBS_INPUT` for UTF-16 and UTF-32
   */
  write(chunk: Buffer): void {
    const bytes = this.#start.write(chunk)
    if (bytes) this.#open(bytes)
  }

  /** Ends the input: `next` then returns a last line without a line end. */
  finish(): void {
    this.#open(this.#start.end())
    this.#finished = true
  }

  next(): boolean {
    const chunk = this.#chunk
    const at = this.#at
    if (this.#lf < at) this.#lf = this.#find(LF)
    if (this.#cr < at) this.#cr = this.#find(CR)
    const to = Math.min(this.#lf, this.#cr)
    if (to === chunk.length) return this.#rest()

    this.#at = to + 1
    if (to === this.#cr) {
      if (this.#at === chunk.length) this.#afterCr = true
      else if (this.#lf === this.#at) this.#at++
    }
    this.#give(at, to)
    return true
  }

  /** The current line, or part of it, as text; undefined if it is not valid UTF-8. */
  text(from: number = this.from, to: number = this.to): string | undefined {
    const { bytes } = this
    if (bytes !== this.#chunk) return validText(bytes, from, to)
    // One check of the chunk replaces one per line; slicing a string is cheaper than decoding bytes.
    this.#ascii ??= isAscii(bytes) ? bytes.toString('latin1') : false
    if (this.#ascii !== false) return this.#ascii.slice(from, to)
    this.#valid ??= isUtf8(bytes.subarray(from, bytes.length - cutCharacter(bytes)))
    return this.#valid ? bytes.toString('utf8', from, to) : validText(bytes, from, to)
  }

  /** Whether the current line and its LF lie in a chunk that is UTF-8, except for a character that is cut at its end. */
  get isInChunk(): boolean {
    const { bytes, to } = this
    if (this.tooLong || bytes !== this.#chunk || bytes[to] !== LF) return false
    this.#valid ??= isUtf8(bytes.subarray(this.from, bytes.length - cutCharacter(bytes)))
    return this.#valid
  }

  #open(chunk: Buffer): void {
    if (chunk.length === 0) return
    this.#chunk = chunk
    this.#at = this.#afterCr && chunk[0] === LF ? 1 : 0
    this.#afterCr = false
    this.#lf = this.#find(LF)
    this.#cr = this.#find(CR)
    this.#ascii = undefined
    this.#valid = undefined
  }

  #find(byte: number): number {
    const found = this.#chunk.indexOf(byte, this.#at)
    return found === -1 ? this.#chunk.length : found
  }

  #give(from: number, to: number): void {
    this.number++
    this.tooLong = this.#pendingBytes + to - from > this.#max
    if (this.#pendingBytes === 0) {
      this.bytes = this.#chunk
      this.from = from
      this.to = to
      return
    }
    this.#keep(this.#chunk.subarray(from, to))
    this.bytes = this.#pending.take()
    this.from = 0
    this.to = this.bytes.length
    this.#pendingBytes = 0
  }

  #rest(): boolean {
    const end = this.#chunk.length
    if (this.#at < end) this.#keep(this.#chunk.subarray(this.#at))
    this.#at = end
    if (!this.#finished || this.#pendingBytes === 0) return false
    this.#give(end, end)
    return true
  }

  #keep(piece: Buffer): void {
    const before = this.#pendingBytes
    const limit = Math.max(this.#max, HEAD_BYTES)
    this.#pendingBytes += piece.length
    if (before > limit) return
    this.#pending.push(piece)
    if (this.#pendingBytes > limit) this.#pending.cut(HEAD_BYTES)
  }
}

function validText(bytes: Buffer, from: number, to: number): string | undefined {
  return isUtf8(bytes.subarray(from, to)) ? bytes.toString('utf8', from, to) : undefined
}
