import { callSync } from '../../core/assert-sync.ts'
import { BatchStreamError } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import type { RecordPage } from '../../core/record-page.ts'
import { CsvReader, type CsvSettings } from './csv-reader.ts'
import { delimiterNote } from './csv-start.ts'
import { guess, type Guess, type GuessedFormat } from './guess.ts'
import { JsonReader, type JsonSettings } from './json-reader.ts'
import { JsonlReader } from './jsonl.ts'
import { isBreak } from './line-breaks.ts'
import { tellNote } from './note.ts'
import { Pieces } from './pieces.ts'
import type { RecordParser } from './record-stream.ts'
import { onlyTablesHave, type TableOption } from './table-options.ts'
import { TextReader } from './text.ts'

/** Maximum bytes examined to detect the format. */
const HEAD_BYTES = 65_536

/** The settings of all readers. */
export interface AnySettings {
  readonly name: string | undefined
  readonly csv: CsvSettings
  /** An option that implies a table. */
  readonly tableOption: TableOption | undefined
  readonly json: JsonSettings
  readonly onGuess: ((guess: Guess) => void) | undefined
}

/** The reader of a format. The settings contain TSV's delimiter. */
export function readerOf(format: GuessedFormat, { csv, json }: AnySettings): RecordParser {
  switch (format) {
    case 'csv':
    case 'tsv':
      return new CsvReader(format === 'tsv' ? { ...csv, delimiter: csv.delimiter ?? '\t' } : csv)
    case 'json':
      return new JsonReader(json)
    case 'jsonl':
      return new JsonlReader(json)
    case 'text':
      return new TextReader(json)
  }
}

/** Rejects a table option for another format, which would ignore it or make a record of what it should skip. */
function onlyTables({ format, why }: Guess, option: TableOption, source: string | undefined): void {
  if (format === 'csv' || format === 'tsv') return
  const message = `${source ?? 'the input'} is taken for ${format} (${why}), and ${onlyTablesHave(option)}; leave \`${option}\` out, or say that it is csv or tsv`
  throw new BatchStreamError('CBS_INPUT', message, { place: { source } })
}

/** Examines the start of the input (up to 64 KB) and then acts as the reader of its format. */
export class GuessingReader implements RecordParser {
  readonly #settings: AnySettings
  readonly #head = new Pieces()
  #chosen: RecordParser | undefined

  constructor(settings: AnySettings) {
    this.#settings = settings
  }

  write(chunk: Buffer): void {
    if (this.#chosen) return this.#chosen.write(chunk)
    const first = this.#head.bytes === 0
    this.#head.push(chunk)
    // A guess waits for a line end; examining each byte of a long line again would be quadratic.
    if (first || this.#head.bytes >= HEAD_BYTES || chunk.some(isBreak))
      this.#choose(this.#head.bytes >= HEAD_BYTES)
  }

  finish(): void {
    this.#choose(true)
    this.#chosen?.finish()
  }

  next(paged?: boolean): SourceRecord | RecordPage | undefined {
    return this.#chosen?.next(paged)
  }

  #choose(enough: boolean): void {
    if (this.#chosen) return
    const head = this.#head
      .joined()
      .toString('utf8', 0, HEAD_BYTES)
      .replace(/^\ufeff/, '')
    const { name, csv } = this.#settings
    const seen = guess({ name, head, comment: csv.comment, enough })
    if (!seen) return
    // A table with its own delimiter is often named .txt.
    const isTable = csv.delimiter !== undefined && seen.format === 'text'
    const guessed: Guess = isTable
      ? { format: 'csv', why: 'its delimiter is given', by: 'option' }
      : seen
    const { tableOption } = this.#settings
    if (tableOption) onlyTables(guessed, tableOption, csv.source)
    const { onGuess } = this.#settings
    if (onGuess) callSync('onGuess', onGuess, guessed)
    const hasTabs = guessed.format === 'tsv' && guessed.by === 'bytes' && !csv.delimiter
    const note = hasTabs && delimiterNote({ delimiter: '\t', by: 'rows' }, csv.source)
    if (note) tellNote(csv, note)
    this.#chosen = readerOf(guessed.format, this.#settings)
    this.#chosen.write(this.#head.take())
  }
}
