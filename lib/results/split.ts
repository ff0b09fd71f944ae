/** One line of a result set and where it begins. */
export interface Line {
  readonly start: number
  readonly bytes: Buffer
}

const NEWLINE = 0x0a
const RETURN = 0x0d

/**
 * Splits a download into lines in time linear in its bytes: pieces of a long line are joined once, when it ends. (The SDK's
 * decoder joins and scans again with each piece, which is quadratic.)
 */
export class Splitter {
  #start = 0
  #pieces: Buffer[] = []
  #held = 0;

  /** The lines that end in this chunk. They share its memory. */
  *push(chunk: Buffer): Generator<Line> {
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      yield this.#line(chunk.subarray(from, end), 1)
      from = end + 1
    }
    if (from < chunk.length) {
      this.#pieces.push(chunk.subarray(from))
      this.#held += chunk.length - from
    }
  }

  /** The last line, where no newline ends it. */
  *end(): Generator<Line> {
    if (this.#held > 0) yield this.#line(Buffer.alloc(0), 0)
  }

  #line(piece: Buffer, newline: number): Line {
    const whole = this.#held === 0 ? piece : Buffer.concat([...this.#pieces, piece])
    const start = this.#start
    this.#start += whole.length + newline
    this.#pieces = []
    this.#held = 0
    return { start, bytes: whole.at(-1) === RETURN ? whole.subarray(0, -1) : whole }
  }
}
