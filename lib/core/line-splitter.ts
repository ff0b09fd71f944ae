/** A line of a result set and its offset. */
export interface Line {
  readonly start: number
  readonly bytes: Buffer
}

/** A line without a byte order mark, which a proxy may have put before the first one. */
export function withoutMark(line: Line): Line {
  const { start, bytes } = line
  if (start > 0 || !bytes.subarray(0, MARK.length).equals(MARK)) return line
  return { start: MARK.length, bytes: bytes.subarray(MARK.length) }
}

const MARK = Buffer.from('\ufeff')
const NEWLINE = 0x0a
const RETURN = 0x0d

/**
 * Splits a download into lines in linear time. (The SDK's decoder joins and rescans the pieces of a line with each new piece,
 * which is quadratic.) Chunks are not kept: the pieces of a line are copied to memory that all lines share.
 */
export class Splitter {
  /** Its first `#held` bytes are the unfinished line. */
  #memory = Buffer.alloc(0)
  #held = 0
  #start = 0

  /** Bytes of the unfinished line. */
  get held(): number {
    return this.#held
  }

  /** The lines that end in this chunk. Each is valid until the next one is requested. */
  *push(chunk: Buffer): Generator<Line> {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      yield this.#line(chunk.subarray(from, end), 1)
      from = end + 1
    }
    this.#hold(chunk.subarray(from))
  }

  /** The last line, if it has no newline. */
  *end(): Generator<Line> {
    if (this.#held > 0) yield this.#line(Buffer.alloc(0), 0)
  }

  #line(piece: Buffer, newline: number): Line {
    let whole = piece
    if (this.#held > 0) {
      this.#hold(piece)
      whole = this.#memory.subarray(0, this.#held)
      this.#held = 0
    }
    const start = this.#start
    this.#start += whole.length + newline
    return { start, bytes: whole[whole.length - 1] === RETURN ? whole.subarray(0, -1) : whole }
  }

  #hold(piece: Buffer): void {
    const size = this.#held + piece.length
    if (this.#memory.length < size) {
      // Doubling it keeps the work linear.
      const larger = Buffer.allocUnsafeSlow(Math.max(size, 2 * this.#memory.length))
      this.#memory.copy(larger, 0, 0, this.#held)
      this.#memory = larger
    }
    piece.copy(this.#memory, this.#held)
    this.#held = size
  }
}
