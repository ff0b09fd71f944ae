import { SCANNER } from './scanner-bytes.ts'

/** The start of the input in the scanner's memory. */
export const INPUT = 0x20000
/** The maximum bytes per scan; longer lines are not scanned. */
export const INPUT_BYTES: number = 1280 * 1024
/** The same for downloads, whose lines may be long. Unused memory costs nothing. */
export const DOWNLOAD_INPUT_BYTES: number = 16 * 1024 * 1024
/** The maximum entries of the table. */
export const MOST_LINES = 1024
/** The numbers per entry. */
export const STRIDE = 16

/** The indices of the numbers of an entry. A part has a start and, in the next number, an end. */
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

/**
 * The kinds of lines: `ResultLine` must judge it, it is proven to be valid, or it is also a succeeded answer with exactly one
 * text block.
 */
export const ODD = 0
export const PROVEN = 1
export const PLAIN = 2

const TABLE = 0x10000
const PAGE = 0x10000
/** Bytes that the scanner may read past the last line. */
const SLACK = 64

interface Exports {
  readonly scan: (from: number, to: number, most: number) => number
  readonly rows: (count: number, records: number, to: number) => number
  readonly scanned: { readonly value: number }
}

/** The compiled scanner (scanner/scan.ts) and its memory, which has a fixed size. It must be used without an await in between. */
export class Scanner {
  readonly bytes: Buffer
  /** The maximum bytes per scan of this scanner. */
  readonly inputBytes: number
  /** The table of lines, `STRIDE` numbers each; positions are indices of `bytes`. */
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

  /** Undefined if WebAssembly cannot be used; then all lines take the simple path. */
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

  /** Scans the lines that end with a newline in [from, to) of `bytes`, up to `MOST_LINES`; returns their number. */
  scan(from: number, to: number): number {
    return this.#exports.scan(from, to, MOST_LINES)
  }

  /** Where the last scan stopped. */
  get scanned(): number {
    return this.#exports.scanned.value
  }

  /** Sets the texts between the parts of rows. Returns false if they are too long. */
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
   * Joins the records at `records` and the lines of the first `count` entries into rows at `to`; returns their end. `type` of an
   * entry is the position of its line; the other parts are relative to it.
   */
  rows(count: number, records: number, to: number): number {
    return this.#exports.rows(count, records, to)
  }
}

let compiled: WebAssembly.Module | undefined

/** All scanners share the compiled code; each has its own memory. */
function compiledOnce(): WebAssembly.Module {
  return (compiled ??= new WebAssembly.Module(Buffer.from(SCANNER, 'base64')))
}

/** An idle scanner for downloads: creating one for a small download would cost more than its lines. */
let idle: Scanner | undefined

/** Runs a download with exclusive use of a scanner. */
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

/** A private scanner, for callers that use its memory across an await; loaded on first use. */
export function ownScanner(): () => Scanner | undefined {
  let own: Scanner | undefined | null = null
  return () => (own === null ? (own = Scanner.load()) : own)
}

/** The shared scanner of the process. */
export const scanner: () => Scanner | undefined = ownScanner()
