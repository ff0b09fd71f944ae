import { Splitter, type Line } from '../../core/line-splitter.ts'
import { INPUT, type Scanner } from '../../core/json/scanner.ts'

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
 * Feeds a download to a scanner that nobody else uses, as many whole lines at a time as it holds; a line that is longer than the scanner's memory,
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
  /** Bytes of the line that has begun, at the start of the scanner's input. */
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
    this.#splitHeld()
    for (const { start, bytes } of this.#splitter.end())
      this.#taker.take({ start: start + this.#shift, bytes })
  }

  /** Takes what can be taken at once; gives the rest. */
  #next(rest: Buffer): Buffer {
    const scanner = this.#scanner
    if (!scanner || this.#splitter.held > 0) return this.#lineOf(rest)
    const part = rest.subarray(0, scanner.inputBytes - this.#heldBytes)
    const newline = part.lastIndexOf(NEWLINE)
    if (newline === -1 && part.length < rest.length) return this.#lineOf(rest)
    this.#scan(scanner, part, newline)
    return rest.subarray(part.length)
  }

  /** Adds a part to the scanner's input, and gives the lines up to its last newline on. */
  #scan(scanner: Scanner, part: Buffer, newline: number): void {
    const { bytes } = scanner
    const start = INPUT + this.#heldBytes
    const offset = this.#size - start
    bytes.set(part, start)
    this.#size += part.length
    this.#heldBytes += part.length
    if (newline === -1) return
    const end = start + newline + 1
    for (let from = INPUT; from < end && !this.#taker.isDirty; from = scanner.scanned)
      this.#taker.takeScanned(scanner, scanner.scan(from, end), offset)
    bytes.copyWithin(INPUT, end, start + part.length)
    this.#heldBytes = start + part.length - end
  }

  /** Gives the splitter the line that has begun, as far as it is here. */
  #lineOf(rest: Buffer): Buffer {
    this.#splitHeld()
    const newline = rest.indexOf(NEWLINE)
    const end = newline === -1 ? rest.length : newline + 1
    this.#split(rest.subarray(0, end), end)
    return rest.subarray(end)
  }

  /** Gives the splitter what is in the scanner's input, which is written over by the next line. */
  #splitHeld(): void {
    const scanner = this.#scanner
    if (!scanner || this.#heldBytes === 0) return
    this.#split(Buffer.from(scanner.bytes.subarray(INPUT, INPUT + this.#heldBytes)), 0)
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
