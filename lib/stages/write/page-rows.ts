import {
  ENTRY,
  INPUT,
  INPUT_BYTES,
  scanner,
  STRIDE,
  type Scanner,
} from '../../core/json/scanner.ts'
import type { ResultPage } from '../../core/results/result-page.ts'
import type { Result } from '../../core/results/result.ts'
import type { FieldNames } from './row-fields.ts'

/** Makes the rows of a page, line ends included. The bytes are good until the next page is made. */
export type PageRowsOf = (page: ResultPage) => Buffer

/** The rows of a page made one by one. */
export function eachRow(rowOf: (result: Result) => Buffer | undefined): PageRowsOf {
  return page => {
    const rows: Buffer[] = []
    for (const result of page) {
      const row = rowOf(result)
      if (row) rows.push(row)
    }
    return Buffer.concat(rows)
  }
}

/** Bytes beside parts and labels that a row may need: its line number, and what a copy of few bytes writes behind it. */
const ROW_SLACK = 32

/** The scanner's copies may read and write so far behind an end: it stands between lines and rows. */
const SLACK = 64

/**
 * Merged rows of pages, put together by the scanner: the record without its last brace, then the parts of the answer as the
 * API wrote them. A result that is not plain, and one whose record may hold the fields that rows add, is made by `rowOf`.
 */
export function mergedPageRows(
  { response, meta }: FieldNames,
  rowOf: (result: Result) => Buffer,
): PageRowsOf {
  const simple = eachRow(rowOf)
  const names = [response, ...(meta === undefined ? [] : [meta])]
  const own = names.map(name => Buffer.from(JSON.stringify(name)))
  // A name of other characters can be spelled with other escapes than \\u.
  if (meta === undefined || !names.every(name => /^\w+$/.test(name))) return simple
  return page => {
    const assembler = scanner()
    if (!assembler || !labelled(assembler, page, response, meta)) return simple(page)
    const mayHold = (bytes: Buffer): boolean =>
      own.some(name => bytes.includes(name)) || bytes.includes(ESCAPE)
    const { records, table } = page
    const isSafe = !mayHold(records)
    const isFast = (index: number): boolean => {
      if (!page.isPlain(index)) return false
      const start = table[index * STRIDE + ENTRY.start] as number
      // A record without a field needs no comma.
      if (records[start + 1] !== QUOTE) return false
      return isSafe || !mayHold(records.subarray(start, table[index * STRIDE + ENTRY.end]))
    }
    return assemble(assembler, page, isFast, rowOf)
  }
}

const ESCAPE = Buffer.from('\\u')
const QUOTE = 0x22

/** Sets what stands between the parts of the page's rows; false where it does not fit. */
function labelled(assembler: Scanner, page: ResultPage, response: string, meta: string): boolean {
  const { batch, source, count } = page
  const said = source === undefined ? '' : `,"source":${JSON.stringify(source)}`
  const labels = [
    `,${JSON.stringify(response)}:`,
    `,${JSON.stringify(meta)}:{"status":"succeeded","custom_id":`,
    ',"line":',
    `${said},"batch_id":${JSON.stringify(batch.id)},"attempt":${batch.attempt},"stop_reason":`,
    ',"model":',
    ',"usage":',
    '}}\n',
  ].map(label => Buffer.from(label))
  const size = labels.reduce((sum, label) => sum + label.length, ROW_SLACK)
  const needed = 2 * bytesOf(page) + (count + 1) * (size + SLACK)
  return needed <= INPUT_BYTES && assembler.label(labels)
}

/** Bytes of the records and lines of a page. */
function bytesOf({ records, table, count }: ResultPage): number {
  let bytes = records.length
  for (let entry = 0; entry < count * STRIDE; entry += STRIDE)
    // Every index is in range.
    bytes += (table[entry + ENTRY.type + 1] as number) - (table[entry + ENTRY.type] as number)
  return bytes
}

/** Makes the rows, those that follow each other and are fast at once. */
function assemble(
  assembler: Scanner,
  page: ResultPage,
  isFast: (index: number) => boolean,
  rowOf: (result: Result) => Buffer,
): Buffer {
  const { bytes, table } = assembler
  bytes.set(page.records, INPUT)
  const lines = INPUT + page.records.length
  let end = lines
  const pieces: Buffer[] = []
  for (let from = 0, to = 0; from < page.count; from = to) {
    while (to < page.count && isFast(to)) to++
    if (to === from) {
      pieces.push(rowOf(page.item(to++)))
      continue
    }
    table.set(page.table.subarray(from * STRIDE, to * STRIDE))
    end = putLines(page, to - from, assembler, end)
    const start = end + SLACK
    end = assembler.rows(to - from, INPUT, start)
    pieces.push(bytes.subarray(start, end))
  }
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
}

/** Puts the lines of the assembler's first entries into its memory; gives their end. */
function putLines(page: ResultPage, count: number, { bytes, table }: Scanner, to: number): number {
  for (let at = ENTRY.type; at < count * STRIDE; at += STRIDE) {
    // Every index is in range.
    const start = table[at] as number
    const end = table[at + 1] as number
    page.lines.copy(bytes, to, start, end)
    table[at] = to
    to += end - start
  }
  return to
}
