import { SCANNER } from './scanner-bytes.ts'

/** Where bytes to be scanned begin in the scanner's memory. */
export const INPUT = 0x20000
/** The most bytes that are scanned at once; a longer line is not for the scanner. */
export const INPUT_BYTES: number = 1280 * 1024
/** The same for downloads, whose lines may be long. Memory that is not used yet costs nothing. */
export const DOWNLOAD_INPUT_BYTES: number = 16 * 1024 * 1024
/** Entries of the table at most. */
export const MOST_LINES = 1024
/** Numbers of a line's entry. */
export const STRIDE = 16

/** What an entry says, as indices of its numbers; a part has a start and, one number further, an end. */
export const ENTRY = {
  start: 0,
  end: 1,
  customId: 2,
  model: 4,
  stopReason: 6,
  usage: 8,
  text: 10,
  type: 12,
  lineNumber: 14,
  kind: 15,
} as const

/** What the scanner says of a line: it has to be judged by `ResultLine`, is proven, or is also an answer that succeeded with exactly one text. */
export const ODD = 0
export const PROVEN = 1
export const PLAIN = 2

const TABLE = 0x10000
const PAGE = 0x10000
/** Bytes that the scanner may read behind the last line. */
const SLACK = 64

interface Exports {
  readonly scan: (from: number, to: number, most: number) => number
  readonly rows: (count: number, records: number, to: number) => number
  readonly scanned: { readonly value: number }
}

/** The compiled scanner (scanner/scan.ts) and its memory, whose size is fixed. Whoever uses it does so in one go, without an await. */
export class Scanner {
  readonly bytes: Buffer
  /** The most bytes that this one scans at once. */
  readonly inputBytes: number
  /** The table of lines, `STRIDE` numbers each; places are indices of `bytes`. */
  readonly table: Int32Array
  readonly #numbers: Uint32Array
  readonly #exports: Exports

  private constructor(memory: WebAssembly.Memory, exports: Exports, inputBytes: number) {
    this.inputBytes = inputBytes
    this.bytes = Buffer.from(memory.buffer)
    this.table = new Int32Array(memory.buffer, TABLE, MOST_LINES * STRIDE)
    this.#numbers = new Uint32Array(memory.buffer, 0, 16)
    this.#exports = exports
  }

  /** Undefined where WebAssembly cannot be used: then all lines take the simple path. */
  static load(
    inputBytes: number = INPUT_BYTES,
    moduleOf: () => WebAssembly.Module = compiledOnce,
  ): Scanner | undefined {
    const pages = Math.ceil((INPUT + inputBytes + SLACK) / PAGE)
    try {
      const memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
      const { exports } = new WebAssembly.Instance(moduleOf(), { env: { memory } })
      // What scan.ts exports.
      return new Scanner(memory, exports as unknown as Exports, inputBytes)
    } catch {
      return undefined
    }
  }

  /** Scans the lines that end with a newline in [from, to) of `bytes`, so many as the table holds; gives how many these are. */
  scan(from: number, to: number): number {
    return this.#exports.scan(from, to, MOST_LINES)
  }

  /** Where the last scan stopped. */
  get scanned(): number {
    return this.#exports.scanned.value
  }

  /** Sets what stands between the parts of rows; false where that is too long. */
  label(labels: readonly Buffer[]): boolean {
    let at = 256
    for (const [index, label] of labels.entries()) {
      if (at + label.length + SLACK > TABLE) return false
      this.bytes.set(label, at)
      this.#numbers[2 * index] = at
      this.#numbers[2 * index + 1] = label.length
      at += label.length
    }
    return true
  }

  /**
   * Joins the records that begin at `records` and the lines of the first entries to rows from `to` on; gives their end. `type` of an
   * entry is where its line lies, and the other parts lie within the line.
   */
  rows(count: number, records: number, to: number): number {
    return this.#exports.rows(count, records, to)
  }
}

let compiled: WebAssembly.Module | undefined

/** All scanners share their code, each has memory of its own. */
function compiledOnce(): WebAssembly.Module {
  return (compiled ??= new WebAssembly.Module(Buffer.from(SCANNER, 'base64')))
}

/** A scanner for downloads that no download uses; a new one for each would cost a small download more than its lines. */
let idle: Scanner | undefined

/** Runs a download with a scanner that nobody else uses meanwhile. */
export async function withDownloadScanner<T>(
  use: (scanner: Scanner | undefined) => Promise<T>,
): Promise<T> {
  const taken = idle ?? Scanner.load(DOWNLOAD_INPUT_BYTES)
  idle = undefined
  try {
    return await use(taken)
  } finally {
    idle = taken
  }
}

/** A scanner of its own for somebody who uses its memory across an await; loaded when it is first needed. */
export function ownScanner(): () => Scanner | undefined {
  let own: Scanner | undefined | null = null
  return () => (own === null ? (own = Scanner.load()) : own)
}

/** The one scanner of the process. */
export const scanner: () => Scanner | undefined = ownScanner()
