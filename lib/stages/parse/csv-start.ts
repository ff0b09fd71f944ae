// The start of a CSV input: its delimiter, and whether its first line only declares it (`sep=;`).
import type { RecordPlace } from './bad-record.ts'
import { behindComments, isCommentStart } from './csv-comments.ts'
import { behindBreak, behindBreaks, CR, isBreak } from './line-breaks.ts'
import type { InputNote } from './note.ts'
import { Pieces } from './pieces.ts'

/** Maximum bytes examined to detect a delimiter. */
const LOOK_BYTES = 65_536

/** Delimiters that are detected; the first of equally good ones wins. */
const DETECTED = [',', ';', '\t', '|'] as const
const NAMES = new Map<string, string>([
  [';', 'semicolons'],
  ['\t', 'tabs'],
  ['|', 'vertical bars'],
])

/** Length of `sep=` and one character. */
const LONGEST_SEP = 8

const QUOTE = 0x22

/** What the start of an input reveals. */
export interface CsvBeginning {
  readonly delimiter: string
  /** The basis: an option, the rows, or a line that declares it. */
  readonly by: 'option' | 'rows' | 'line'
  /** All bytes so far, and the index of the first row, after a line `sep=;`. */
  readonly bytes: Buffer
  readonly from: number
  /** Whether the previous line ends with a CR whose LF may follow. */
  readonly cutBreak: boolean
}

export interface CsvStartOptions {
  /** Undefined if it is to be detected. */
  readonly delimiter: string | undefined
  /** The number of named columns; undefined if unknown. */
  readonly columns: number | undefined
  readonly header: boolean
  readonly comment: string | undefined
}

/**
 * Holds back the first bytes of an input until the delimiter is known. The first one or two rows decide, read with each
 * delimiter as the parser would, so that the result does not depend on chunks.
 *
 * A comma is preferred: another delimiter is chosen only if commas do not separate the first row, or give the second
 * another number of columns.
 */
export class CsvStart {
  readonly #options: CsvStartOptions
  readonly #comment: Buffer | undefined
  readonly #held = new Pieces()
  readonly #counters: readonly RowCounter[]
  /** The start of the first row. */
  #rowAt: number | undefined

  constructor(options: CsvStartOptions) {
    const { delimiter, comment } = options
    this.#options = options
    this.#comment = comment === undefined ? undefined : Buffer.from(comment)
    const possible =
      delimiter === undefined
        ? DETECTED.filter(one => one === ',' || this.#isPossible(one))
        : DETECTED.slice(0, 1)
    this.#counters = possible.map(one => new RowCounter(one, this.#comment))
  }

  /** Undefined while more bytes are needed. */
  write(chunk: Buffer): CsvBeginning | undefined {
    const look = chunk.subarray(0, LOOK_BYTES - this.#held.bytes)
    this.#held.push(chunk)
    for (const counter of this.#counters) counter.take(look)
    return this.#found(this.#held.bytes >= LOOK_BYTES)
  }

  /** The same at the end of the input. */
  end(): CsvBeginning {
    for (const counter of this.#counters) counter.end()
    // At the end it is always decided.
    return this.#found(true) as CsvBeginning
  }

  #isPossible(delimiter: string): boolean {
    const { comment } = this.#options
    return comment === undefined || isCommentStart(comment, delimiter)
  }

  #found(enough: boolean): CsvBeginning | undefined {
    const line = this.#sepLine(enough)
    if (line === 'unknown') return undefined
    if (line) return line
    const given = this.#options.delimiter
    const delimiter = given ?? this.#detected(enough)
    if (delimiter === undefined) return undefined
    const by = given === undefined ? 'rows' : 'option'
    return { delimiter, by, bytes: this.#held.take(), from: 0, cutBreak: false }
  }

  /** A first line such as `sep=;` is not a row, even if the delimiter was given. */
  #sepLine(enough: boolean): CsvBeginning | 'unknown' | undefined {
    if (!this.#counters[0]?.hasBegun) return enough ? undefined : 'unknown'
    const bytes = this.#held.joined()
    const at = (this.#rowAt ??= this.#comment
      ? behindComments(bytes, 0, this.#comment)
      : behindBreaks(bytes, 0))
    const head = bytes.subarray(at, at + LONGEST_SEP + 1)
    const length = head.findIndex(isBreak)
    const line = (length === -1 ? head : head.subarray(0, length)).toString('utf8')
    if (length === -1 && head.length <= LONGEST_SEP && !enough)
      return 'sep='.startsWith(line.slice(0, 4).toLowerCase()) ? 'unknown' : undefined
    const [, named] = /^sep=([^"])$/iu.exec(line) ?? []
    if (named === undefined || !this.#isPossible(named)) return undefined
    const end = length === -1 ? bytes.length : behindBreak(bytes, at + length)
    const cutBreak = end === bytes.length && bytes[end - 1] === CR
    const { delimiter = named } = this.#options
    const by = this.#options.delimiter === undefined ? 'line' : 'option'
    return { delimiter, by, bytes: this.#held.take(), from: end, cutBreak }
  }

  /** Undefined while another row is needed. */
  #detected(enough: boolean): string | undefined {
    if (!enough && this.#counters.some(({ first }) => first === undefined)) return undefined
    // The comma is always the first.
    const [comma, ...others] = this.#counters as [RowCounter, ...RowCounter[]]
    const several = others
      .filter(({ columns }) => columns > 1)
      // Sorting is stable.
      .sort((a, b) => b.columns - a.columns)
    if (several.length === 0) return ','
    const { columns: wanted, header } = this.#options
    if (wanted !== undefined) {
      const fitting = [comma, ...several].find(({ columns }) => columns === wanted)
      return (fitting ?? comma).delimiter
    }
    const isKnown = [comma, ...several].every(({ second }) => second !== undefined)
    if (!isKnown && !enough) return undefined
    const hasCommas = comma.columns > 1
    if (!isKnown) return (hasCommas ? comma : several[0])?.delimiter
    if (hasCommas && comma.isEven) return ','
    const even = several.find(({ isEven }) => isEven)
    // A header without commas is unlikely to be text in which such a character occurs by chance.
    const likely = hasCommas || !header ? undefined : several.find(({ second = 1 }) => second > 1)
    return (even ?? likely ?? comma).delimiter
  }
}

/** Counts the columns of the first two rows, as csv-parse reads them with one delimiter. */
class RowCounter {
  readonly delimiter: string
  readonly #byte: number
  readonly #comment: Buffer | undefined
  #counts: number[] = []
  /** Columns of the unfinished row. */
  #columns = 0
  #state: 'field' | 'text' | 'quoted' | 'closing' | 'comment' = 'field'
  /** Bytes of a comment prefix at the start of this line. */
  #matched = 0

  constructor(delimiter: string, comment: Buffer | undefined) {
    this.delimiter = delimiter
    this.#byte = delimiter.charCodeAt(0)
    this.#comment = comment
  }

  get first(): number | undefined {
    return this.#counts[0]
  }

  get second(): number | undefined {
    return this.#counts[1]
  }

  /** Columns of the first row, as far as it was read. */
  get columns(): number {
    return this.first ?? this.#columns
  }

  get hasBegun(): boolean {
    return this.columns > 0
  }

  get isEven(): boolean {
    return this.first === this.second
  }

  take(bytes: Buffer): void {
    for (const byte of bytes) {
      if (this.#counts.length === 2) return
      if (this.#columns === 0 && this.#comment && this.#takesComment(byte, this.#comment)) continue
      this.#take(byte)
    }
  }

  end(): void {
    this.#giveBack(this.#comment)
    if (this.#columns > 0) this.#counts.push(this.#columns)
  }

  #takesComment(byte: number, comment: Buffer): boolean {
    if (this.#state === 'comment') {
      if (isBreak(byte)) this.#state = 'field'
      return true
    }
    if (byte !== comment[this.#matched]) {
      this.#giveBack(comment)
      return false
    }
    if (++this.#matched < comment.length) return true
    this.#matched = 0
    this.#state = 'comment'
    return true
  }

  /** Treats a partial comment prefix as the start of a row. */
  #giveBack(comment: Buffer | undefined): void {
    const count = this.#matched
    this.#matched = 0
    for (const byte of comment?.subarray(0, count) ?? []) this.#take(byte)
  }

  #take(byte: number): void {
    if (this.#state === 'quoted') {
      if (byte === QUOTE) this.#state = 'closing'
      return
    }
    if (this.#state === 'closing' && byte === QUOTE) {
      this.#state = 'quoted'
      return
    }
    if (isBreak(byte)) {
      if (this.#columns > 0) this.#counts.push(this.#columns)
      this.#columns = 0
      this.#state = 'field'
      return
    }
    this.#columns ||= 1
    if (byte === this.#byte) {
      this.#columns++
      this.#state = 'field'
    } else this.#state = byte === QUOTE && this.#state === 'field' ? 'quoted' : 'text'
  }
}

/** The note about a detected delimiter; none for a comma. */
export function delimiterNote(
  { delimiter, by }: Pick<CsvBeginning, 'delimiter' | 'by'>,
  source: RecordPlace['source'],
): InputNote | undefined {
  if (by === 'option' || delimiter === ',') return undefined
  const name = NAMES.get(delimiter) ?? JSON.stringify(delimiter)
  const how = by === 'line' ? 'as its first line says' : 'as its first rows show'
  const message = `${source ?? 'the input'} has ${name} between its fields, ${how}`
  return { type: 'delimiter', message }
}
