import { isUtf8 } from 'node:buffer'
import type { Counts } from '../../core/job/event.ts'
import { MAX_RESULT_LINE_BYTES } from '../../core/limits.ts'
import type { Ids } from '../../store/results/ids.ts'
import type { ResultFile } from '../../store/results/result-file.ts'
import { ResultLine } from '../../core/results/result-line.ts'
import { withoutMark, type Line } from '../../core/line-splitter.ts'
import { withoutSecrets } from '../../core/without-keys.ts'
import { skipBlanks } from '../../core/json/scan.ts'
import { ENTRY, ODD, PLAIN, STRIDE, type Scanner } from '../../core/json/scanner.ts'

const SUCCEEDED = Buffer.from('"succeeded"')
/** Why an answer ended, if the API says no more about it. */
const PLAIN_STOPS = ['end_turn', 'stop_sequence', 'tool_use', 'max_tokens'].map(one =>
  Buffer.from(`"${one}"`),
)
/** Backslash, percent sign and ampersand, with which escapes begin. */
const ESCAPES = [0x5c, 0x25, 0x26]

/** The verdict on a result set. `incomplete`: lines are missing and nothing else is wrong; `invalid`: it cannot be trusted. */
export type ResultSetVerdict =
  | { readonly kind: 'complete' }
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'invalid'; readonly why: string }

const TYPES = ['succeeded', 'errored', 'canceled', 'expired'] as const

/** How many lines a set has of each result type that this version knows. */
export type Tally = Record<(typeof TYPES)[number], number>

export function emptyTally(): Tally {
  return { succeeded: 0, errored: 0, canceled: 0, expired: 0 }
}

export function isKnown(type: string): type is keyof Tally {
  const types: readonly string[] = TYPES
  return types.includes(type)
}

/**
 * How a set contradicts the batch's own counts; undefined if it does not. What counts is that no answer is missing: a gateway may count
 * failures under other types. A result type that this version does not know may be counted as a success.
 */
export function contradictionIn(
  tally: Tally,
  requests: number,
  counts: Counts,
): string | undefined {
  const failed = tally.errored + tally.canceled + tally.expired
  if (failed <= requests - counts.succeeded) return undefined
  return `${failed} of its lines have no answer, but the batch reports ${counts.succeeded} answers to ${requests} requests`
}

/** The most bytes of blank lines that a result set may have. */
const MAX_BLANK_BYTES = 1_000_000

/** Far more bytes than an error of the API has. The key is removed from an error, which takes many times the size of its line. */
const MAX_FAILURE_BYTES = 1_000_000

/** The first bytes of a line that does not belong to the set: what is kept of it for inspection. */
const SHOWN_BYTES = 64 * 1024

/** More bytes than any form of a key has, so that none is cut before it is removed. */
const MOST_OF_KEY = 16 * 1024

/** The most characters of a reason, which may name a custom_id of any length. */
const MAX_REASON = 300

/** So many lines that do not belong to the set may be skipped, besides one for each request. */
const MAX_SKIPPED = 1000

/** A line whose error is too long to be kept. A gateway may repeat a whole request in it. */
function withoutError({ length }: Buffer, customId: string, type: string): Buffer {
  const message = `the error is not kept, since its line has ${length} bytes`
  const error = { type: 'error', error: { type: 'error_too_long', message } }
  return Buffer.from(JSON.stringify({ custom_id: customId, result: { type, error } }))
}

/** Checks a result set line by line and adds each request's line to the result file. */
export class Verifier {
  readonly #ids: Ids
  readonly #requests: number
  readonly #counts: Counts
  readonly #tally = emptyTally()
  readonly #file: ResultFile
  /**
   * The forms of the key, which is removed from lines that are not answers: a gateway may echo it in an error. Answers keep their bytes:
   * no model knows the key.
   */
  secrets: readonly string[] = []
  readonly #isAdopted: boolean
  #lines = 0
  #skipped = 0
  #blankBytes = 0
  #invalidReason: string | undefined

  /** `isAdopted`: the user has decided that the set is the batch's, so that its valid lines count and the others are skipped. */
  constructor(ids: Ids, requests: number, counts: Counts, file: ResultFile, isAdopted = false) {
    this.#ids = ids
    this.#requests = requests
    this.#counts = counts
    this.#file = file
    this.#isAdopted = isAdopted
  }

  get lines(): number {
    return this.#lines
  }

  take(given: Line): void {
    const line = withoutMark(given)
    if (skipBlanks(line.bytes, 0) === line.bytes.length) {
      this.#blankBytes += line.bytes.length + 1
      if (this.#blankBytes > MAX_BLANK_BYTES)
        this.#markInvalid(`it has more than ${MAX_BLANK_BYTES} bytes of blank lines`)
      return
    }
    if (line.bytes.length > MAX_RESULT_LINE_BYTES) return this.tooLong(line.start)
    // A proxy may have changed the encoding, and characters of answers would be lost.
    if (!isUtf8(line.bytes)) return this.#reject(line, 'is not UTF-8')
    const read = ResultLine.check(line.bytes)
    const customId = read?.string(read.customId)
    const type = read?.string(read.type)
    if (!read || customId === undefined || type === undefined) return this.#reject(line)
    const isAnswer = type === 'succeeded'
    const bytes = isAnswer
      ? this.#cleanStop(line.bytes, read)
      : line.bytes.length > MAX_FAILURE_BYTES
        ? withoutError(line.bytes, customId, type)
        : this.#clean(line.bytes)
    const kept = bytes === line.bytes ? line : { ...line, bytes }
    if (this.#add(this.#ids.position(customId), kept, customId) && isKnown(type))
      this.#tally[type] += 1
  }

  /**
   * Checks lines that the scanner has proven. Lines that it found odd are checked one by one. `offset` is added to a place in
   * the scanner's memory to get the place in the download.
   */
  takeScanned({ bytes, table }: Scanner, lines: number, offset: number): void {
    const last = (lines - 1) * STRIDE
    const areUtf8 = isUtf8(bytes.subarray(table[ENTRY.start], table[last + ENTRY.end]))
    for (let entry = 0; entry < lines * STRIDE && !this.isInvalid; entry += STRIDE) {
      // Every index is in range.
      const start = table[entry + ENTRY.start]!
      const line = { start: start + offset, bytes: bytes.subarray(start, table[entry + ENTRY.end]) }
      const kind = table[entry + ENTRY.kind]
      const isOdd =
        !areUtf8 ||
        kind === ODD ||
        (kind !== PLAIN && this.#isEcho(line.bytes, bytes, table, entry)) ||
        this.#mayEchoStop(line.bytes, bytes, table, entry)
      if (isOdd) this.take(line)
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

  #reject({ start, bytes }: Line, why = 'is not a result'): void {
    this.#refuse(`the line at byte ${start} ${why}`)
    this.#show(bytes)
  }

  /** Marks the set invalid because of a line, unless such lines are skipped. */
  #refuse(why: string): void {
    this.#skipped += 1
    if (!this.#isAdopted || this.#skipped > this.#requests + MAX_SKIPPED) this.#markInvalid(why)
  }

  /** Whether a line that the scanner has proven is no answer and may contain the key. */
  #isEcho(line: Buffer, bytes: Buffer, table: Int32Array, entry: number): boolean {
    const type = table[entry + ENTRY.type]!
    const isAnswer =
      bytes.compare(SUCCEEDED, 0, undefined, type, table[entry + ENTRY.type + 1]) === 0
    return !isAnswer && this.#mayHaveSecret(line)
  }

  /** Whether an answer did not simply end, and may contain the key where it says why. */
  #mayEchoStop(line: Buffer, bytes: Buffer, table: Int32Array, entry: number): boolean {
    const from = table[entry + ENTRY.stopReason]!
    const to = table[entry + ENTRY.stopReason + 1]
    if (PLAIN_STOPS.some(stop => bytes.compare(stop, 0, undefined, from, to) === 0)) return false
    return this.#mayHaveSecret(line)
  }

  #mayHaveSecret(bytes: Buffer): boolean {
    const { secrets } = this
    if (secrets.length > 0 && ESCAPES.some(byte => bytes.includes(byte))) return true
    return secrets.some(secret => bytes.includes(secret))
  }

  #clean(bytes: Buffer): Buffer {
    if (!this.#mayHaveSecret(bytes)) return bytes
    // A header, and so a key, is Latin-1, and every byte is a character of it.
    const text = bytes.toString('latin1')
    const clean = withoutSecrets(text, this.secrets)
    return clean === text ? bytes : Buffer.from(clean, 'latin1')
  }

  /** An answer keeps its bytes, but for the key in what a gateway says about its end, which becomes the message of an error. */
  #cleanStop(bytes: Buffer, { stopReason, stopDetails }: ResultLine): Buffer {
    let clean = bytes
    // The later one first, so that the place of the other one stays.
    const places = [stopReason, stopDetails].filter(place => place !== undefined)
    for (const { start, end } of places.sort((a, b) => b.start - a.start)) {
      const own = bytes.subarray(start, end)
      const part = this.#clean(own)
      if (part === own) continue
      clean = Buffer.concat([clean.subarray(0, start), part, clean.subarray(end)])
    }
    return clean
  }

  /** Adds a line to the file if its request is known and has no line yet. */
  #add(position: number, line: Line, customId: string): boolean {
    const { start, bytes } = line
    if (position === -1)
      this.#refuse(
        `the line at byte ${start} has the custom_id ${customId}, which does not belong to this batch`,
      )
    else if (position >= this.#requests)
      this.#refuse(`it has more lines than the batch has requests (${this.#requests})`)
    else if (this.#file.has(position)) this.#refuse(`the custom_id ${customId} occurs twice`)
    else return this.#keep(position, bytes)
    this.#show(bytes)
    return false
  }

  /** The file that is kept for inspection includes the start of the line that made the set invalid. */
  #show(bytes: Buffer): void {
    if (!this.isInvalid) return
    const start = this.#clean(bytes.subarray(0, SHOWN_BYTES + MOST_OF_KEY))
    const isWhole = bytes.length <= SHOWN_BYTES + MOST_OF_KEY
    this.#file.append(isWhole ? start : start.subarray(0, Math.max(0, start.length - MOST_OF_KEY)))
  }

  #keep(position: number, line: Buffer, parts?: Int32Array, entry?: number): true {
    this.#file.add(position, line, parts, entry)
    this.#lines += 1
    return true
  }

  /** True once the set is invalid, whatever lines follow. */
  get isInvalid(): boolean {
    return this.#invalidReason !== undefined
  }

  /** Marks the set invalid because of a line that is longer than any answer. */
  tooLong(start: number): void {
    this.#markInvalid(`the line at byte ${start} is longer than ${MAX_RESULT_LINE_BYTES} bytes`)
  }

  /** The verdict, once all lines were taken or the set is invalid. */
  end(): ResultSetVerdict {
    if (this.#invalidReason !== undefined) return { kind: 'invalid', why: this.#invalidReason }
    if (this.#lines < this.#requests) return { kind: 'incomplete' }
    const why = contradictionIn(this.#tally, this.#requests, this.#counts)
    return why === undefined || this.#isAdopted ? { kind: 'complete' } : { kind: 'invalid', why }
  }

  #markInvalid(given: string): void {
    const why = withoutSecrets(given.slice(0, SHOWN_BYTES), this.secrets)
    this.#invalidReason ??= why.length > MAX_REASON ? `${why.slice(0, MAX_REASON)}…` : why
  }
}
