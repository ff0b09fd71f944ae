import type { Counts } from '../../core/job/event.ts'
import { MAX_RESULT_LINE_BYTES } from '../../core/limits.ts'
import type { Ids } from '../../store/results/ids.ts'
import type { ResultFile } from '../../store/results/result-file.ts'
import { ResultLine } from '../../core/results/result-line.ts'
import type { Line } from '../../core/line-splitter.ts'
import { skipBlanks } from '../../core/json/scan.ts'
import { ENTRY, ODD, PLAIN, STRIDE, type Scanner } from '../../core/json/scanner.ts'

const MARK = Buffer.from('\ufeff')

/** What is wrong with a result set. `short`: lines are missing and nothing else; `dirty`: it cannot be trusted. */
export type ResultSetVerdict =
  | { readonly kind: 'whole' }
  | { readonly kind: 'short' }
  | { readonly kind: 'dirty'; readonly why: string }

const TYPES = ['succeeded', 'errored', 'canceled', 'expired'] as const

function isKnown(type: string): type is (typeof TYPES)[number] {
  const types: readonly string[] = TYPES
  return types.includes(type)
}

/** Bytes of blank lines at most. */
const MAX_BLANK_BYTES = 1_000_000

/** Characters of a reason at most: it may name a custom_id of any length. */
const MAX_REASON = 300

/** Checks a result set line by line, and adds each request's line to the file of results. */
export class Verifier {
  readonly #ids: Ids
  readonly #requests: number
  readonly #counts: Counts
  readonly #tally = { succeeded: 0, errored: 0, canceled: 0, expired: 0 }
  readonly #file: ResultFile
  #lines = 0
  #blankBytes = 0
  #dirt: string | undefined

  constructor(ids: Ids, requests: number, counts: Counts, file: ResultFile) {
    this.#ids = ids
    this.#requests = requests
    this.#counts = counts
    this.#file = file
  }

  get lines(): number {
    return this.#lines
  }

  take(given: Line): void {
    const line = given.start === 0 ? withoutMark(given) : given
    if (skipBlanks(line.bytes, 0) === line.bytes.length) {
      this.#blankBytes += line.bytes.length + 1
      if (this.#blankBytes > MAX_BLANK_BYTES) this.#soil('it has blank lines without an end')
      return
    }
    if (line.bytes.length > MAX_RESULT_LINE_BYTES) return this.tooLong(line.start)
    const read = ResultLine.check(line.bytes)
    const customId = read?.string(read.customId)
    const type = read?.string(read.type)
    if (customId === undefined || type === undefined) return this.#refuse(line)
    if (this.#add(this.#ids.position(customId), line, customId) && isKnown(type))
      this.#tally[type] += 1
  }

  /**
   * Takes lines that were scanned, as far as they are good; those that are odd are judged one by one. `offset` leads from the
   * scanner's places to those of the download.
   */
  takeScanned({ bytes, table }: Scanner, lines: number, offset: number): void {
    for (let entry = 0; entry < lines * STRIDE && !this.isDirty; entry += STRIDE) {
      // Each of them is a number of the entry.
      const start = table[entry + ENTRY.start]!
      const line = { start: start + offset, bytes: bytes.subarray(start, table[entry + ENTRY.end]) }
      const kind = table[entry + ENTRY.kind]
      if (kind === ODD) this.take(line)
      else this.#addScanned(line, bytes, table, entry, kind === PLAIN)
    }
  }

  #addScanned(line: Line, bytes: Buffer, table: Int32Array, entry: number, plain: boolean): void {
    const from = table[entry + ENTRY.customId]! + 1
    const to = table[entry + ENTRY.customId + 1]! - 1
    const position =
      this.#ids.positionIn?.(bytes, from, to) ??
      this.#ids.position(bytes.toString('utf8', from, to))
    const isGood =
      position >= 0 && position < this.#requests && !this.#file.has(position)
        ? this.#keep(position, line.bytes, plain ? table : undefined, entry)
        : this.#add(position, line, bytes.toString('utf8', from, to))
    if (!isGood) return
    if (plain) {
      this.#tally.succeeded += 1
      return
    }
    const type = bytes.toString(
      'utf8',
      table[entry + ENTRY.type]! + 1,
      table[entry + ENTRY.type + 1]! - 1,
    )
    if (isKnown(type)) this.#tally[type] += 1
  }

  #refuse({ start, bytes }: Line): void {
    this.#soil(`the line at byte ${start} is no result`)
    this.#file.append(bytes)
  }

  /** Adds a line unless something is wrong with it. */
  #add(position: number, line: Line, customId: string): boolean {
    const { start, bytes } = line
    if (position === -1)
      this.#soil(
        `the line at byte ${start} has the custom_id ${customId}, which is not of this batch`,
      )
    else if (position >= this.#requests)
      this.#soil(`it has more lines than the batch has requests (${this.#requests})`)
    else if (this.#file.has(position)) this.#soil(`the custom_id ${customId} comes twice`)
    else return this.#keep(position, bytes)
    // Who looks at what is kept finds the line that made it dirty.
    this.#file.append(bytes)
    return false
  }

  #keep(position: number, line: Buffer, parts?: Int32Array, entry?: number): true {
    this.#file.add(position, line, parts, entry)
    this.#lines += 1
    return true
  }

  /** True once no further line can make the set good. */
  get isDirty(): boolean {
    return this.#dirt !== undefined
  }

  /** Takes in that a line is longer than any answer. */
  tooLong(start: number): void {
    this.#soil(`the line at byte ${start} is longer than ${MAX_RESULT_LINE_BYTES} bytes`)
  }

  /** The verdict once all lines are in, or the set is dirty. */
  end(): ResultSetVerdict {
    if (this.#dirt !== undefined) return { kind: 'dirty', why: this.#dirt }
    if (this.#lines < this.#requests) return { kind: 'short' }
    const unknown = this.#lines - TYPES.reduce((sum, type) => sum + this.#tally[type], 0)
    for (const type of TYPES) {
      const lines = this.#tally[type]
      // A type that this version does not know is counted somewhere: then the tallies prove nothing.
      if (unknown === 0 && lines !== this.#counts[type]) {
        return {
          kind: 'dirty',
          why: `it has ${lines} lines of type ${type}, the batch says ${this.#counts[type]}`,
        }
      }
    }
    return { kind: 'whole' }
  }

  #soil(why: string): void {
    this.#dirt ??= why.length > MAX_REASON ? `${why.slice(0, MAX_REASON)}…` : why
  }
}

/** A byte order mark before the first line, which a proxy may put there, is no part of it. */
function withoutMark({ start, bytes }: Line): Line {
  const isMarked = bytes.subarray(0, MARK.length).equals(MARK)
  return isMarked ? { start: MARK.length, bytes: bytes.subarray(MARK.length) } : { start, bytes }
}
