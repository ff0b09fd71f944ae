import { Splitter, type Line } from '../../core/line-splitter.ts'
import { INPUT, type Scanner } from '../../core/json/scanner.ts'

/** Receives the lines of a download. */
export interface LineTaker {
  /** Takes a line without its line end. Its bytes are valid until this returns. */
  take(line: Line): void
  /** Takes lines of the scanner's table; `offset` is added to their places to get those of the download. */
  takeScanned(scanner: Scanner, lines: number, offset: number): void
  /** True once no further line is needed. */
  readonly isInvalid: boolean
}

const NEWLINE = 0x0a

/**
 * Feeds a download to a scanner of its own, as many whole lines at a time as fit. A line longer than the scanner's memory, and
 * every line if there is no scanner, goes through a splitter. Between two chunks it holds the unfinished line.
 */
export class LineFeed {
  readonly #taker: LineTaker
  readonly #scanner: Scanner | undefined
  /** Splits lines that bypass the scanner; it holds bytes only while such a line is unfinished. */
  readonly #splitter = new Splitter()
  #splitBytes = 0
  /** Added to a place in the splitter's bytes to get the place in the download. */
  #shift = 0
  /** Bytes of the unfinished line, at the start of the scanner's input. */
  #heldBytes = 0
  /** Bytes received so far. */
  #size = 0

  constructor(taker: LineTaker, scanner: Scanner | undefined) {
    this.#taker = taker
    this.#scanner = scanner
  }

  /** Bytes of the unfinished line. */
  get held(): number {
    return this.#heldBytes + this.#splitter.held
  }

  /** Bytes received so far. */
  get size(): number {
    return this.#size
  }

  push(chunk: Buffer): void {
    for (let rest = chunk; rest.length > 0 && !this.#taker.isInvalid;) rest = this.#next(rest)
  }

  /** Passes on the last line if no newline ends it. */
  end(): void {
    this.#splitHeld()
    for (const { start, bytes } of this.#splitter.end())
      this.#taker.take({ start: start + this.#shift, bytes })
  }

  /** Consumes as much as it can at once; returns the rest. */
  #next(rest: Buffer): Buffer {
    const scanner = this.#scanner
    if (!scanner || this.#splitter.held > 0) return this.#lineOf(rest)
    const part = rest.subarray(0, scanner.inputBytes - this.#heldBytes)
    const newline = part.lastIndexOf(NEWLINE)
    if (newline === -1 && part.length < rest.length) return this.#lineOf(rest)
    this.#scan(scanner, part, newline)
    return rest.subarray(part.length)
  }

  /** Adds a part to the scanner's input and passes on the lines up to its last newline. */
  #scan(scanner: Scanner, part: Buffer, newline: number): void {
    const { bytes } = scanner
    const start = INPUT + this.#heldBytes
    const offset = this.#size - start
    bytes.set(part, start)
    this.#size += part.length
    this.#heldBytes += part.length
    if (newline === -1) return
    const end = start + newline + 1
    for (let from = INPUT; from < end && !this.#taker.isInvalid; from = scanner.scanned)
      this.#taker.takeScanned(scanner, scanner.scan(from, end), offset)
    bytes.copyWithin(INPUT, end, start + part.length)
    this.#heldBytes = start + part.length - end
  }

  /** Moves the unfinished line, as far as it has arrived, to the splitter. */
  #lineOf(rest: Buffer): Buffer {
    this.#splitHeld()
    const newline = rest.indexOf(NEWLINE)
    const end = newline === -1 ? rest.length : newline + 1
    this.#split(rest.subarray(0, end), end)
    return rest.subarray(end)
  }

  /** Copies the scanner's input to the splitter, since the next line will overwrite it. */
  #splitHeld(): void {
    const scanner = this.#scanner
    if (!scanner || this.#heldBytes === 0) return
    this.#split(Buffer.from(scanner.bytes.subarray(INPUT, INPUT + this.#heldBytes)), 0)
  }

  /** Splits bytes of which `uncounted` are not yet part of `size`. */
  #split(bytes: Buffer, uncounted: number): void {
    if (this.#splitter.held === 0) this.#shift = this.#size - this.#heldBytes - this.#splitBytes
    this.#heldBytes = 0
    this.#size += uncounted
    this.#splitBytes += bytes.length
    for (const { start, bytes: line } of this.#splitter.push(bytes))
      this.#taker.take({ start: start + this.#shift, bytes: line })
  }
}
