import { Splitter, type Line } from '../../core/line-splitter.ts'
import { INPUT, INPUT_BYTES, type Scanner } from '../../core/json/scanner.ts'

/** Who is given the lines of a download. */
export interface LineTaker {
  /** Takes a line, without its line end, which is good until this returns. */
  take(line: Line): void
  takeScanned(scanner: Scanner, lines: number, offset: number): void
  /** True once no further line is wanted. */
  readonly isDirty: boolean
}

const NEWLINE = 0x0a

/**
 * Feeds a download to the scanner, as many whole lines at a time as it holds; a line that is longer than the scanner's memory,
 * and every line where there is no scanner, is given on its own. What it holds between two chunks is the line that has begun.
 */
export class LineFeed {
  readonly #taker: LineTaker
  readonly #scanner: Scanner | undefined
  /** Splits what is not for the scanner; it holds something only while such a line has not ended. */
  readonly #splitter = new Splitter({ reuse: true })
  #splitBytes = 0
  /** What leads from the splitter's places to those of the download. */
  #shift = 0
  /** The line that has begun. */
  #held: Buffer = Buffer.alloc(0)
  #heldBytes = 0
  /** Bytes of the download that are given on or held. */
  #size = 0

  constructor(taker: LineTaker, scanner: Scanner | undefined) {
    this.#taker = taker
    this.#scanner = scanner
  }

  /** Bytes of the line that has begun and not ended. */
  get held(): number {
    return this.#heldBytes + this.#splitter.held
  }

  /** Bytes of the download so far. */
  get size(): number {
    return this.#size
  }

  push(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0 && !this.#taker.isDirty;) rest = this.#next(rest)
  }

  /** The last line, where no newline ends it. */
  end(): void {
    if (this.#heldBytes > 0) this.#split(this.#held.subarray(0, this.#heldBytes), 0)
    for (const { start, bytes } of this.#splitter.end())
      this.#taker.take({ start: start + this.#shift, bytes })
  }

  /** Takes what can be taken at once; gives the rest. */
  #next(rest: Buffer): Buffer {
    const scanner = this.#scanner
    const room = INPUT_BYTES - this.#heldBytes
    if (!scanner || this.#splitter.held > 0) return this.#lineOf(rest)
    const part = rest.length > room ? rest.subarray(0, room) : rest
    const newline = part.lastIndexOf(NEWLINE)
    if (newline !== -1) {
      this.#scan(scanner, part.subarray(0, newline + 1))
      return rest.subarray(newline + 1)
    }
    if (part === rest) {
      this.#hold(rest)
      return rest.subarray(rest.length)
    }
    return this.#lineOf(rest)
  }

  #scan(scanner: Scanner, part: Buffer): void {
    const { bytes } = scanner
    bytes.set(this.#held.subarray(0, this.#heldBytes), INPUT)
    bytes.set(part, INPUT + this.#heldBytes)
    const end = INPUT + this.#heldBytes + part.length
    const offset = this.#size - this.#heldBytes - INPUT
    for (let from = INPUT; from < end && !this.#taker.isDirty; from = scanner.scanned)
      this.#taker.takeScanned(scanner, scanner.scan(from, end), offset)
    this.#heldBytes = 0
    this.#size += part.length
  }

  #hold(part: Buffer): void {
    const needed = this.#heldBytes + part.length
    if (this.#held.length < needed) {
      const longer = Buffer.allocUnsafe(Math.max(needed, 2 * this.#held.length))
      this.#held.copy(longer, 0, 0, this.#heldBytes)
      this.#held = longer
    }
    part.copy(this.#held, this.#heldBytes)
    this.#heldBytes = needed
    this.#size += part.length
  }

  /** Gives the splitter the line that has begun, as far as it is here. */
  #lineOf(rest: Buffer): Buffer {
    if (this.#heldBytes > 0) {
      const held = this.#held.subarray(0, this.#heldBytes)
      this.#held = Buffer.alloc(0)
      this.#split(held, 0)
    }
    const newline = rest.indexOf(NEWLINE)
    const end = newline === -1 ? rest.length : newline + 1
    this.#split(rest.subarray(0, end), end)
    return rest.subarray(end)
  }

  /** Splits bytes of which so many have not been counted. */
  #split(bytes: Buffer, uncounted: number): void {
    if (this.#splitter.held === 0) this.#shift = this.#size - this.#heldBytes - this.#splitBytes
    this.#heldBytes = 0
    this.#size += uncounted
    this.#splitBytes += bytes.length
    for (const { start, bytes: line } of this.#splitter.push(bytes))
      this.#taker.take({ start: start + this.#shift, bytes: line })
  }
}
