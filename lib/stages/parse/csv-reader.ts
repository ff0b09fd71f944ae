import { isUtf8 } from 'node:buffer'
import type { SourceRecord } from '../../core/flow.ts'
import { MAX_CSV_COLUMNS } from '../../core/limits.ts'
import { cutCharacter } from '../../core/utf8.ts'
import { KEPT_CHARACTERS, type RecordPlace } from './bad-record.ts'
import { headerColumns, numberedColumns, type Columns } from './csv-columns.ts'
import { behindComments } from './csv-comments.ts'
import { badHeader, brokenRecord, rowRecord, tooManyColumns, unreadable } from './csv-row.ts'
import { CsvRows, LAG_BYTES } from './csv-rows.ts'
import { CsvStart, delimiterNote, type CsvBeginning } from './csv-start.ts'
import {
  CR,
  LF,
  behindBreaks,
  countBreaks,
  endsLine,
  isBreak,
  lineBody,
  nextLine,
} from './line-breaks.ts'
import { tellHeader, tellNote, type NoteOptions } from './note.ts'
import { Pieces } from './pieces.ts'
import type { RecordPage } from '../../core/record-page.ts'
import { PlainCsv } from './csv-plain.ts'
import type { RecordParser } from './record-stream.ts'
import { TextStart } from '../../core/text-start.ts'

/** Bytes passed to csv-parse at once. It emits all rows of its input immediately, so this bounds the rows that wait. */
const SLICE_BYTES = 16_384

/** Bytes of an overlong record that are always examined: enough for the characters that are kept. */
const HEAD_BYTES = 4 * KEPT_CHARACTERS

/** Bytes of a row that are read again with the next chunk; a longer row is left to csv-parse, which reads each byte once. */
const MOST_HELD = 16_384

/** The same for small chunks, as a multiple of their size. */
const HELD_CHUNKS = 64

/** The checked settings of the reader. */
export interface CsvSettings extends NoteOptions {
  /** Undefined if it is to be detected. */
  readonly delimiter: string | undefined
  /** Undefined if the first row names them (`header`), or if they are numbered. */
  readonly columns: Columns | undefined
  readonly header: boolean
  readonly maxRecordBytes: number
  /** The prefix of comment lines. */
  readonly comment: string | undefined
  readonly source: string | undefined
  readonly onHeader?: ((columns: readonly string[]) => void) | undefined
}

/**
 * Reads CSV records from bytes, without a stream. csv-parse reports the byte at which a row ends; the bytes since the
 * previous row are kept for its line number, raw text and encoding check.
 */
export class CsvReader implements RecordParser {
  readonly #settings: CsvSettings
  readonly #limit: number
  readonly #comment: Buffer | undefined
  readonly #textStart: TextStart
  /** Undefined once the delimiter is known. */
  #start: CsvStart | undefined
  #delimiter = ','
  #rows: CsvRows | undefined
  #columns: Columns | undefined
  #input: Buffer[] = []
  #finished = false
  #flushed = false
  #ready: SourceRecord[] = []
  #taken = 0
  /** Created once the columns are known; undefined if no row is plain. */
  #plain: PlainCsv | undefined
  /** Whether the next bytes may be plain rows. */
  #mayBePlain = false
  /** Whether the available bytes are less than a row. */
  #needsMore = false
  #page: RecordPage | undefined
  #given = 0
  // The start of the window and the end of the last row, as offsets in csv-parse's input.
  readonly #unread = new Pieces()
  #unreadAt = 0
  #rowsEnd = 0
  #examined: ExaminedBytes | undefined
  /** The line on which the next row starts, after blank lines and comments. */
  #line = 1
  /** What to skip: the rest of a line, or the LF of a CRLF. */
  #skip: 'line' | 'lf' | undefined

  constructor(settings: CsvSettings) {
    this.#settings = settings
    this.#limit = Math.max(settings.maxRecordBytes, HEAD_BYTES) + LAG_BYTES
    this.#comment = settings.comment === undefined ? undefined : Buffer.from(settings.comment)
    this.#textStart = new TextStart(settings.source)
    this.#start = new CsvStart({ ...settings, columns: settings.columns?.count })
    this.#columns = settings.columns
  }

  write(chunk: Buffer): void {
    const bytes = this.#textStart.write(chunk)
    if (bytes) this.#write(bytes)
  }

  finish(): void {
    this.#write(this.#textStart.end())
    if (this.#start) this.#begin(this.#start.end())
    this.#finished = true
    this.#mayBePlain = false
    this.#needsMore = false
  }

  next(paged = false): SourceRecord | RecordPage | undefined {
    for (;;) {
      const page = this.#page
      if (page) {
        const index = this.#given
        const isWhole = paged && index === 0
        this.#given = isWhole ? page.count : index + 1
        if (this.#given === page.count) this.#page = undefined
        return isWhole ? page : page.item(index)
      }
      if (this.#taken < this.#ready.length) return this.#ready[this.#taken++]
      this.#ready = []
      this.#taken = 0
      if (!this.#readOn()) return undefined
    }
  }

  #write(bytes: Buffer): void {
    if (!this.#start) return this.#add(bytes)
    const beginning = this.#start.write(bytes)
    if (beginning) this.#begin(beginning)
  }

  #begin(beginning: CsvBeginning): void {
    const { delimiter, bytes, from, cutBreak } = beginning
    this.#start = undefined
    this.#delimiter = delimiter
    this.#line += countBreaks(bytes, 0, from)
    if (cutBreak) this.#skip = 'lf'
    this.#add(bytes.subarray(from))
    const note = delimiterNote(beginning, this.#settings.source)
    if (note) tellNote(this.#settings, note)
  }

  #add(bytes: Buffer): void {
    const held = this.#needsMore ? this.#input.pop() : undefined
    this.#input.push(held ? Buffer.concat([held, bytes]) : bytes)
    this.#needsMore = false
    const most = Math.min(MOST_HELD, HELD_CHUNKS * bytes.length)
    this.#mayBePlain = (held?.length ?? 0) + this.#unread.bytes <= most
  }

  #newRows(): CsvRows {
    const { comment } = this.#settings
    const delimiter = this.#delimiter
    // Two handlers, so that files without comments have no cost per row.
    return comment === undefined
      ? new CsvRows(delimiter, row => this.#onRow(row))
      : new CsvRows(delimiter, row => this.#onRowBehindComments(row), comment)
  }

  /** Reads one slice; false if there is nothing to read. */
  #readOn(): boolean {
    if (this.#needsMore) return false
    const bytes = this.#input[0]
    const plain = this.#mayBePlain && !this.#skip ? this.#plainCsv() : undefined
    // csv-parse holds back its last row until it knows what follows.
    if (plain && (bytes || this.#unread.bytes > 0)) return this.#readPlain(plain, bytes)
    if (!bytes) return this.#finished && this.#flush()
    // A slice never crosses the limit of a record, so that records break up the same way for any chunks.
    const size = Math.min(SLICE_BYTES, this.#limit - this.#unread.bytes)
    if (bytes.length > size) this.#input[0] = bytes.subarray(size)
    else this.#input.shift()
    const slice = this.#passOver(bytes.subarray(0, size))
    if (slice.length === 0) return true

    this.#unread.push(slice)
    this.#csvRows.parse(slice)
    this.#dropRows()
    if (this.#unread.bytes >= this.#limit) this.#breakUp()
    return true
  }

  get #csvRows(): CsvRows {
    return (this.#rows ??= this.#newRows())
  }

  /** The reader of plain rows; undefined while the columns are unknown, and if the options make every row unusual. */
  #plainCsv(): PlainCsv | undefined {
    const { comment, maxRecordBytes, source } = this.#settings
    const columns = this.#columns
    const delimiter = this.#delimiter
    if (!columns || comment !== undefined || !/^[\x00-\x7f]$/.test(delimiter)) return undefined
    return (this.#plain ??= new PlainCsv({ columns, delimiter, maxRecordBytes, source }))
  }

  /** Reads a page of plain rows. An unfinished row in csv-parse is read again. */
  #readPlain(plain: PlainCsv, bytes: Buffer = Buffer.alloc(0)): boolean {
    const begun = this.#unread.take()
    if (this.#rows) this.#startRows()
    const all = begun.length > 0 ? Buffer.concat([begun, bytes]) : bytes
    const { page, end, line, stop } = plain.read(all, 0, this.#line)
    this.#page = page
    this.#given = 0
    this.#line = line
    if (end < all.length) this.#input[0] = all.subarray(end)
    else this.#input.shift()
    // The rest of this chunk is probably unusual too.
    if (stop === 'unusual') this.#mayBePlain = false
    this.#needsMore = stop === 'more' && end < all.length
    return true
  }

  #flush(): boolean {
    if (this.#flushed) return false
    this.#flushed = this.#csvRows.finish()
    this.#dropRows()
    // The bytes after an unclosed quote are read again, and then the end is repeated.
    if (!this.#flushed) this.#breakUp()
    return true
  }

  #onRow(row: readonly string[]): void {
    const { bytes, hasCr, isUtf8 } = (this.#examined ??= examine(this.#unread.joined()))
    const at = this.#rowsEnd - this.#unreadAt
    this.#rowsEnd = this.#csvRows.rowsEnd
    const to = this.#rowsEnd - this.#unreadAt
    const from = behindBreaks(bytes, at)
    if (from > at) this.#line += countBreaks(bytes, at, from)
    const place = { line: this.#line, source: this.#settings.source }
    this.#line += !hasCr && bytes.indexOf(LF, from) === to - 1 ? 1 : countBreaks(bytes, from, to)
    const columns = this.#columns
    const isReadable = isUtf8 && bytes[from] !== 0 && to - from <= this.#settings.maxRecordBytes
    // Nearly every row is good, and then its bytes are not needed.
    if (columns && isReadable && row.length === columns.count)
      this.#ready.push(columns.record(row, place))
    else this.#give(row, lineBody(bytes, from, to), place)
  }

  /** Comments before a row are not part of it, but count as lines. */
  #onRowBehindComments(row: readonly string[]): void {
    const { bytes } = (this.#examined ??= examine(this.#unread.joined()))
    const at = this.#rowsEnd - this.#unreadAt
    const from = this.#behindNoRows(bytes, at)
    this.#line += countBreaks(bytes, at, from)
    this.#rowsEnd += from - at
    this.#onRow(row)
  }

  #behindNoRows(bytes: Buffer, from: number): number {
    return this.#comment ? behindComments(bytes, from, this.#comment) : behindBreaks(bytes, from)
  }

  #give(row: readonly string[], bytes: Buffer, place: RecordPlace): void {
    const bad = unreadable(bytes, this.#settings.maxRecordBytes, place)
    if (this.#columns === undefined && row.length > MAX_CSV_COLUMNS)
      throw tooManyColumns(row, place)
    if (this.#columns === undefined && this.#settings.header) {
      if (bad) throw badHeader(bad, place)
      const { columns, note } = headerColumns(row, place)
      this.#columns = columns
      if (note) tellNote(this.#settings, note)
      tellHeader(this.#settings, columns.names)
      return
    }
    this.#columns ??= numberedColumns(row)
    this.#ready.push(bad ?? rowRecord(this.#columns, row, bytes, place))
  }

  #dropRows(): void {
    this.#unread.drop(this.#rowsEnd - this.#unreadAt)
    this.#unreadAt = this.#rowsEnd
    this.#examined = undefined
    if (isBreak(this.#unread.first) || (this.#comment && this.#unread.startWith(this.#comment)))
      this.#dropNoRows()
  }

  /** Drops blank lines and comments, which must not count as bytes of the next row. */
  #dropNoRows(): void {
    const bytes = this.#unread.joined()
    const end = this.#behindNoRows(bytes, 0)
    // A CR at the end may be half of a line end.
    const count = end === bytes.length && bytes[end - 1] === CR ? end - 1 : end
    this.#line += countBreaks(bytes, 0, count)
    this.#unread.drop(count)
    this.#unreadAt += count
    this.#rowsEnd = this.#unreadAt
    // The rest of a comment, which may be endless, is skipped: csv-parse has not started a row.
    if (count === bytes.length && !endsLine(bytes, count)) {
      this.#skip = 'line'
      this.#startRows()
    }
  }

  #startRows(): void {
    this.#rows = undefined
    this.#unreadAt = 0
    this.#rowsEnd = 0
    this.#examined = undefined
  }

  /** Ends a record that does not end by itself: it is too long, or a quote in it is never closed. */
  #breakUp(): void {
    const { maxRecordBytes, source } = this.#settings
    const delimiter = this.#delimiter
    const bytes = this.#unread.take()
    const place = { line: this.#line, source }
    const { record, end } = brokenRecord(bytes, { delimiter, maxRecordBytes }, place)
    if (this.#columns === undefined && this.#settings.header) throw badHeader(record, place)
    this.#ready.push(record)

    this.#line += countBreaks(bytes, 0, end)
    if (!endsLine(bytes, end)) this.#skip = 'line'
    else if (end === bytes.length && bytes[end - 1] === CR) this.#skip = 'lf'
    this.#input.unshift(bytes.subarray(end))
    this.#startRows()
  }

  #passOver(bytes: Buffer): Buffer {
    const skip = this.#skip
    if (!skip || bytes.length === 0) return bytes
    this.#skip = undefined
    if (skip === 'lf') return bytes[0] === LF ? bytes.subarray(1) : bytes
    const end = nextLine(bytes, 0)
    if (!endsLine(bytes, end)) this.#skip = 'line'
    else {
      this.#line++
      if (end === bytes.length && bytes[end - 1] === CR) this.#skip = 'lf'
    }
    return bytes.subarray(end)
  }
}

/** The bytes without a row from csv-parse yet, with properties of all of them. */
interface ExaminedBytes {
  readonly bytes: Buffer
  readonly hasCr: boolean
  readonly isUtf8: boolean
}

/** Examines bytes once for all their rows; the last character may be incomplete. */
function examine(bytes: Buffer): ExaminedBytes {
  const whole = bytes.subarray(0, bytes.length - cutCharacter(bytes))
  return { bytes, hasCr: bytes.includes(CR), isUtf8: isUtf8(whole) }
}
