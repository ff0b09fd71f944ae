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
import type { RecordReader } from './record-stream.ts'
import { onlyTablesHave, type TableOption } from './table-options.ts'
import { TextReader } from './text.ts'

/** Bytes that are looked at before a format is guessed, at most. */
const HEAD_BYTES = 65_536

/** What the reader of each format must know. */
export interface AnySettings {
  readonly name: string | undefined
  readonly csv: CsvSettings
  /** An option that says that the input is a table. */
  readonly tableOption: TableOption | undefined
  readonly json: JsonSettings
  readonly onGuess: ((guess: Guess) => void) | undefined
}

/** The reader of one format. TSV has its delimiter in the settings. */
export function readerOf(format: GuessedFormat, { csv, json }: AnySettings): RecordReader {
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

/** An option of tables would be ignored in any other format, or make a record of what it is meant to skip. */
function onlyTables({ format, why }: Guess, option: TableOption, source: string | undefined): void {
  if (format === 'csv' || format === 'tsv') return
  const message = `${source ?? 'the input'} is taken for ${format} (${why}), and ${onlyTablesHave(option)}; leave \`${option}\` out, or say that it is csv or tsv`
  throw new BatchStreamError('CBS_INPUT', message, { place: { source } })
}

/** A reader that looks at the beginning of the input (64 KB at most) and then is the reader of its format. */
export class GuessingReader implements RecordReader {
  readonly #settings: AnySettings
  readonly #head = new Pieces()
  #chosen: RecordReader | undefined

  constructor(settings: AnySettings) {
    this.#settings = settings
  }

  write(chunk: Buffer): void {
    if (this.#chosen) return this.#chosen.write(chunk)
    const first = this.#head.bytes === 0
    this.#head.push(chunk)
    // A line end is what a guess waits for; a look at each byte of a long line would cost its square.
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
    // A table with a delimiter of its own is often named .txt.
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
