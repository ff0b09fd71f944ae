import { CR, LF, endsLine } from './line-breaks.ts'
import { cutCharacter } from '../../core/utf8.ts'

/** Bytes of one slice at most. */
const SLICE_BYTES = 16_384

const BETWEEN = /[^,\]}\r\n]*[,\]}\r\n]?/y
const INSIDE = /[^\]}\r\n]*[\]}\r\n]?/y

/**
 * Cuts JSON bytes into slices that end where something may end: at a line end, at `}` and `]`, and between elements at a
 * comma. So each slice lies in one line and holds parts of one element only, and a fault costs no element before it. Where
 * it cuts has no other meaning; it may be inside a string.
 */
export class JsonSlices {
  /** Physical line of the current slice, from 1. */
  line = 1
  /** Offset of the current slice in the input. */
  offset = 0
  #bytes: Buffer = Buffer.alloc(0)
  // One character for each byte, for the patterns.
  #characters = ''
  #at = 0
  // Where the pattern stopped: searched again for each slice, a long string would cost the square of a chunk.
  #stop = 0
  #last: Buffer = Buffer.alloc(0)

  /** Gives it the next bytes, once `next` has given nothing. */
  write(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.rest(), chunk])
    this.#characters = this.#bytes.toString('latin1')
    this.#at = 0
    this.#stop = 0
  }

  /** The next slice; undefined when there is none, but perhaps a character that is cut off. */
  next(between: boolean): Buffer | undefined {
    if (this.#at >= this.#stop) {
      const pattern = between ? BETWEEN : INSIDE
      pattern.lastIndex = this.#at
      pattern.test(this.#characters)
      this.#stop = pattern.lastIndex
    }
    const bytes = this.#bytes.subarray(this.#at, Math.min(this.#stop, this.#at + SLICE_BYTES))
    const slice = bytes.subarray(0, bytes.length - cutCharacter(bytes))
    if (slice.length === 0) return undefined
    this.#at += slice.length
    this.offset += this.#last.length
    if (endsLine(this.#last, this.#last.length) && !halves(this.#last, slice)) this.line++
    this.#last = slice
    return slice
  }

  /** What is left: nothing, or a character that is cut off. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at)
  }
}

/** Whether the slices hold the halves of one CRLF. */
function halves(before: Buffer, after: Buffer): boolean {
  return before.at(-1) === CR && after[0] === LF
}
