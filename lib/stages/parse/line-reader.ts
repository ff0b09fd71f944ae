import type { RecordPage } from '../../core/record-page.ts'
import { DEFAULT_RECORD_BYTES } from '../../core/limits.ts'
import { wholeNumber } from '../../core/errors.ts'
import type { SourceRecord } from '../../core/flow.ts'
import type { RecordPlace } from './bad-record.ts'
import { Lines } from './lines.ts'
import type { RecordParser } from './record-stream.ts'

interface LineReaderOptions {
  readonly maxRecordBytes?: number | undefined
  readonly source?: string | undefined
}

/** A parser whose records are lines. */
export abstract class LineReader implements RecordParser {
  protected readonly lines: Lines
  protected readonly source: string | undefined
  /** Maximum bytes of a record. */
  protected readonly max: number

  constructor({ maxRecordBytes = DEFAULT_RECORD_BYTES, source }: LineReaderOptions = {}) {
    this.max = wholeNumber('maxRecordBytes', maxRecordBytes, 1, Infinity)
    this.source = source
    this.lines = new Lines({ maxRecordBytes, source })
  }

  write(chunk: Buffer): void {
    this.lines.write(chunk)
  }

  finish(): void {
    this.lines.finish()
  }

  next(_paged?: boolean): SourceRecord | RecordPage | undefined {
    const { lines } = this
    while (lines.next()) {
      const record = this.read(lines, { line: lines.number, source: this.source })
      if (record) return record
    }
    return undefined
  }

  /** The record of the current line; undefined to skip it. */
  protected abstract read(lines: Lines, place: RecordPlace): SourceRecord | undefined
}
