import { ENTRY, INPUT, INPUT_BYTES, STRIDE, type Scanner } from '../../core/json/scanner.ts'
import type { ResultPage } from '../../core/results/result-page.ts'
import type { Result } from '../../core/results/result.ts'
import type { FieldNames } from './row-fields.ts'

/**
 * Makes the rows of a page, including newlines. A buffer is valid until the next page is made; the slices of a long row stay
 * valid.
 */
export type PageRowsOf = (page: ResultPage) => Buffer | readonly Buffer[]

/** Makes the rows of a page one by one. */
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

/** Bytes that a row may need besides parts and labels: its line number, and what short copies write past the end. */
const ROW_SLACK = 32

/** The gap between lines and rows: the scanner's copies may read and write this far past an end. */
const SLACK = 64

/**
 * Makes merged rows of pages with a scanner: the record without its last brace, then the parts of the answer as the API wrote
 * them. `rowOf` makes the rows of results that are not plain, or whose record may have the added fields.
 */
export function mergedPageRows(
  { response, meta }: FieldNames,
  rowOf: (result: Result) => Buffer,
  assemblerOf: () => Scanner | undefined,
): PageRowsOf {
  const simple = eachRow(rowOf)
  const names = [response, ...(meta === undefined ? [] : [meta])]
  const own = names.map(name => Buffer.from(JSON.stringify(name)))
  // A name with other characters can be written with other escapes than \\u.
  if (meta === undefined || !names.every(name => /^\w+$/.test(name))) return simple
  return page => {
    const assembler = assemblerOf()
    const labels = labelsOf(page, response, meta)
    const mayHold = (bytes: Buffer): boolean =>
      own.some(name => bytes.includes(name)) || bytes.includes(ESCAPE)
    const { records, table } = page
    const isSafe = !mayHold(records)
    const isFast = (index: number): boolean => {
      if (!page.isPlain(index)) return false
      // Every index is in range.
      const start = table[index * STRIDE + ENTRY.start] as number
      // A record without fields needs no comma.
      if (records[start + 1] !== QUOTE) return false
      return isSafe || !mayHold(records.subarray(start, table[index * STRIDE + ENTRY.end]))
    }
    if (page.count === 1 && lineLength(page, 0) > LONG && isFast(0)) return slicesOf(page, labels)
    if (!assembler || !fits(page, labels) || !assembler.label(labels)) return simple(page)
    return assemble(assembler, page, isFast, rowOf)
  }
}

const ESCAPE = Buffer.from('\\u')
const QUOTE = 0x22

/** The texts between the parts of rows. */
function labelsOf({ batch, source }: ResultPage, response: string, meta: string): Buffer[] {
  const said = source === undefined ? '' : `,"source":${JSON.stringify(source)}`
  return [
    `,${JSON.stringify(response)}:`,
    `,${JSON.stringify(meta)}:{"status":"succeeded","custom_id":`,
    ',"line":',
    `${said},"batch_id":${JSON.stringify(batch.id)},"attempt":${batch.attempt},"stop_reason":`,
    ',"model":',
    ',"usage":',
    '}}\n',
  ].map(label => Buffer.from(label))
}

/** Whether the rows of a page and their parts fit into the scanner's memory. */
function fits(page: ResultPage, labels: readonly Buffer[]): boolean {
  const { records, count } = page
  const size = labels.reduce((sum, label) => sum + label.length, ROW_SLACK)
  let bytes = records.length
  for (let index = 0; index < count; index++) bytes += lineLength(page, index)
  return 2 * bytes + (count + 1) * (size + SLACK) <= INPUT_BYTES
}

function lineLength({ table }: ResultPage, index: number): number {
  const at = index * STRIDE + ENTRY.type
  // Every index is in range.
  return (table[at + 1] as number) - (table[at] as number)
}

/** Lines longer than this are not copied. */
const LONG = 32 * 1024

/** The row of a page with one long line: slices of the line and the texts between them. */
function slicesOf({ records, lines, table }: ResultPage, labels: readonly Buffer[]): Buffer[] {
  // Every index is in range.
  const line = table[ENTRY.type] as number
  const part = (at: number): Buffer =>
    lines.subarray(line + (table[at] as number), line + (table[at + 1] as number))
  const label = (at: number): Buffer => labels[at] as Buffer
  const head = [records.subarray(table[ENTRY.start], (table[ENTRY.end] as number) - 1), label(0)]
  const tail = [
    label(1),
    part(ENTRY.customId),
    label(2),
    Buffer.from(String(table[ENTRY.lineNumber])),
    label(3),
    part(ENTRY.stopReason),
    label(4),
    part(ENTRY.model),
    label(5),
    part(ENTRY.usage),
    label(6),
  ]
  return [Buffer.concat(head), part(ENTRY.text), Buffer.concat(tail)]
}

/** Makes the rows; consecutive fast ones are made in one call. */
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
  // There is exactly one.
  return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)
}

/** Copies the lines of the assembler's first entries into its memory and returns their end. */
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
