/** A line of a result set and its offset. */
export interface Line {
  readonly start: number
  readonly bytes: Buffer
}

const NEWLINE = 0x0a
const RETURN = 0x0d

/**
 * Splits a download into lines in linear time: the pieces of a long line are joined once, at its end. (The SDK's decoder
 * joins and rescans with each piece, which is quadratic.)
 */
export class Splitter {
  readonly #reuses: boolean
  #joined = Buffer.alloc(0)
  #start = 0
  #pieces: Buffer[] = []
  #held = 0

  /** With `reuse` a line is valid until the next chunk, so that long lines share one buffer. */
  constructor({ reuse = false }: { readonly reuse?: boolean } = {}) {
    this.#reuses = reuse
  }

  /** The lines that end in this chunk. They share the memory of their chunks. */
  push(chunk: Buffer): Line[] {
    const lines: Line[] = []
    let from = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, from)) {
      lines.push(this.#line(chunk.subarray(from, end), 1))
      from = end + 1
    }
    if (from < chunk.length) {
      this.#pieces.push(chunk.subarray(from))
      this.#held += chunk.length - from
    }
    return lines
  }

  /** Bytes of the unfinished line. */
  get held(): number {
    return this.#held
  }

  /** The last line, if it has no newline. */
  end(): Line[] {
    return this.#held > 0 ? [this.#line(Buffer.alloc(0), 0)] : []
  }

  #line(piece: Buffer, newline: number): Line {
    const whole = this.#held === 0 ? piece : this.#join(piece)
    const start = this.#start
    this.#start += whole.length + newline
    this.#pieces = []
    this.#held = 0
    return { start, bytes: whole[whole.length - 1] === RETURN ? whole.subarray(0, -1) : whole }
  }

  #join(piece: Buffer): Buffer {
    this.#pieces.push(piece)
    if (!this.#reuses) return Buffer.concat(this.#pieces)
    const size = this.#held + piece.length
    if (this.#joined.length < size) this.#joined = Buffer.allocUnsafeSlow(size)
    let at = 0
    for (const part of this.#pieces) at += part.copy(this.#joined, at)
    return this.#joined.subarray(0, size)
  }
}
