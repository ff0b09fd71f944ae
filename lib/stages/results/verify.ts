import type { Counts } from '../../core/job/event.ts'
import { MAX_RESULT_LINE_BYTES } from '../../core/limits.ts'
import type { Ids } from '../../store/results/ids.ts'
import { LINE_ENTRY, lineSum, NO_LINE } from '../../store/results/lines.ts'
import { ResultLine } from '../../core/results/result-line.ts'
import type { Line } from '../../core/line-splitter.ts'
import { skipBlanks } from '../../core/json/scan.ts'

const MARK = Buffer.from('\ufeff')

/** What is wrong with a result set. `short`: lines are missing and nothing else; `dirty`: it cannot be trusted. */
export type Verdict =
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

/** Checks a result set line by line, and notes where each request's line lies. */
export class Verifier {
  readonly #ids: Ids
  readonly #requests: number
  readonly #counts: Counts
  readonly #tally = { succeeded: 0, errored: 0, canceled: 0, expired: 0 }
  readonly #index: Buffer
  #lines = 0
  #blankBytes = 0
  #dirt: string | undefined

  constructor(ids: Ids, requests: number, counts: Counts) {
    this.#ids = ids
    this.#requests = requests
    this.#counts = counts
    this.#index = Buffer.alloc(requests * LINE_ENTRY)
  }

  get lines(): number {
    return this.#lines
  }

  /** Where each request's line lies, once all lines are in. */
  get index(): Buffer {
    for (let position = 0; position < this.#requests; position++) {
      const at = position * LINE_ENTRY
      if (this.#index.readUInt32LE(at + 6) === 0)
        this.#index.writeUInt32LE(lineSum(position, 0, NO_LINE), at + 10)
    }
    return this.#index
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
    if (customId === undefined || type === undefined)
      return this.#soil(`the line at byte ${line.start} is no result`)
    const position = this.#ids.position(customId)
    if (position === -1)
      return this.#soil(
        `the line at byte ${line.start} has the custom_id ${customId}, which is not of this batch`,
      )
    const at = position * LINE_ENTRY
    if (position >= this.#requests)
      return this.#soil(`it has more lines than the batch has requests (${this.#requests})`)
    if (this.#index.readUInt32LE(at + 6) !== 0)
      return this.#soil(`the custom_id ${customId} comes twice`)
    this.#index.writeUIntLE(line.start, at, 6)
    this.#index.writeUInt32LE(line.bytes.length, at + 6)
    this.#index.writeUInt32LE(lineSum(position, line.start, line.bytes), at + 10)
    this.#lines += 1
    if (isKnown(type)) this.#tally[type] += 1
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
  end(): Verdict {
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
