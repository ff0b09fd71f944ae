import { CR, LF, endsLine } from './line-breaks.ts'
import { cutCharacter } from '../../core/utf8.ts'

/** Maximum bytes of a slice. */
const SLICE_BYTES = 16_384

const BETWEEN = /[^,\]}\r\n]*[,\]}\r\n]?/y
const INSIDE = /[^\]}\r\n]*[\]}\r\n]?/y

/**
 * Cuts JSON bytes into slices that end at a line end, at `}` or `]`, or at a comma between elements. Each slice lies in one
 * line and contains parts of only one element, so a fault affects no earlier element. Cuts have no other meaning and may be
 * inside a string.
 */
export class JsonSlices {
  /** Physical line of the current slice, from 1. */
  line = 1
  /** Offset of the current slice in the input. */
  offset = 0
  #bytes: Buffer = Buffer.alloc(0)
  // One character per byte, for the patterns.
  #characters = ''
  #at = 0
  // Where the pattern stopped: restarting for each slice of a long string would be quadratic.
  #stop = 0
  #last: Buffer = Buffer.alloc(0)

  /** Passes the next bytes, after `next` returned nothing. */
  write(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.rest(), chunk])
    this.#characters = this.#bytes.toString('latin1')
    this.#at = 0
    this.#stop = 0
  }

  /** The next slice; undefined if there is none except perhaps an incomplete character. */
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

  /** The rest: nothing, or an incomplete character. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#at)
  }
}

/** Whether the slices contain the halves of one CRLF. */
function halves(before: Buffer, after: Buffer): boolean {
  return before.at(-1) === CR && after[0] === LF
}
