// What holds for any record at all, whatever it is made of.
import { stringify } from 'csv-stringify/sync'
import fc from 'fast-check'
import { Readable } from 'node:stream'
import t from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { parseCsv } from '../../../lib/stages/parse/csv.ts'
import { parseJsonl } from '../../../lib/stages/parse/jsonl.ts'
import type { Stage } from '../../../lib/core/stage.ts'
import { writeCsv } from '../../../lib/stages/write/csv.ts'
import { jsonlRow } from '../../../lib/stages/write/jsonl.ts'
import { said } from '../write/made.ts'

// The same cases in every run, so that nothing depends on luck.
const EACH = { numRuns: 150, seed: 20261121 }

async function recordsOf(
  parser: Stage<Uint8Array, SourceRecord>,
  bytes: string | Buffer,
): Promise<SourceRecord[]> {
  const records: SourceRecord[] = []
  for await (const record of each(from([Buffer.from(bytes)], parser))) records.push(record)
  return records
}

async function table(records: readonly SourceRecord[], response: string): Promise<Buffer> {
  const rows: Buffer[] = []
  const results = records.map(record => said(response, record))
  for await (const row of each(from(Readable.from(results), writeCsv()))) rows.push(row)
  return Buffer.concat(rows)
}

// A lone surrogate has no UTF-8, so no file holds one; a byte order mark in front is not part of the first name.
const cell = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('"', ',', '\n', '\r', '\r\n', ' ', '\t', ';', 'a', '=', 'é') }),
)
const name = cell.filter(text => text !== '' && !text.startsWith('\uFEFF') && !ADDED.includes(text))
const ADDED = ['response', 'status', 'error']
const sheet = fc.uniqueArray(name, { minLength: 2, maxLength: 6 }).chain(columns =>
  fc.record({
    columns: fc.constant(columns),
    rows: fc.array(fc.array(cell, { minLength: columns.length, maxLength: columns.length }), {
      minLength: 1,
      maxLength: 5,
    }),
  }),
)

void t.test('any record survives from CSV to a row and back to CSV', async t => {
  const survives = fc.asyncProperty(sheet, cell, async ({ columns, rows }, response) => {
    const input = stringify([columns, ...rows], { quoted: true })
    const expected = rows.map(row => columns.map((column, at) => [column, row[at]]))
    const records = await recordsOf(parseCsv(), input)
    t.strictSame(records.map(asCells), expected.map(sorted))
    const output = await table(records, response)
    const again = await recordsOf(parseCsv(), output)
    const added = [
      ['response', response],
      ['status', 'succeeded'],
      ['error', ''],
    ]
    t.strictSame(
      again.map(asCells),
      expected.map(cells => sorted([...cells, ...added])),
    )
  })
  await fc.assert(survives, EACH)
})

// What stands between two rows: blank lines, and comments of anything at all.
const comment = fc.string({
  unit: fc.oneof(
    fc.constantFrom('#', '"', ',', ' ', 'é'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }).filter(text => !/[\r\n]/.test(text)),
  ),
})
const between = fc.array(
  fc.oneof(
    fc.constant(''),
    comment.map(text => `#${text}`),
  ),
)

void t.test('comments between rows change only line numbers, however they arrive', async t => {
  const cases = sheet.chain(({ columns, rows }) =>
    fc.record({
      columns: fc.constant(columns),
      rows: fc.constant(rows),
      gaps: fc.array(between, { minLength: rows.length + 2, maxLength: rows.length + 2 }),
      end: fc.constantFrom('\n', '\r\n', '\r'),
      size: fc.integer({ min: 1, max: 40 }),
    }),
  )
  const same = fc.asyncProperty(cases, async ({ columns, rows, gaps, end, size }) => {
    let text = ''
    const lines: number[] = []
    for (const [at, gap] of gaps.entries()) {
      text += gap.map(line => line + end).join('')
      lines.push(text.split(/\r\n|\r|\n/).length)
      const row = [columns, ...rows][at]
      if (row) text += stringify([row], { quoted: true, record_delimiter: end })
    }
    const bytes = Buffer.from(text)
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, at) =>
      bytes.subarray(at * size, (at + 1) * size),
    )
    const plain = await recordsOf(parseCsv(), stringify([columns, ...rows], { quoted: true }))
    const found: SourceRecord[] = []
    for await (const record of each(from(chunks, parseCsv({ comment: '#' })))) found.push(record)
    t.strictSame(found.map(asCells), plain.map(asCells))
    t.strictSame(
      found.map(({ line }) => line),
      lines.slice(1, -1),
    )
  })
  await fc.assert(same, EACH)
})

function asCells({ fields, problem }: SourceRecord): unknown {
  return problem ?? sorted(Object.entries(fields))
}

/** An object puts names that are numbers first. */
function sorted<Cells extends readonly (readonly unknown[])[]>(cells: Cells): unknown {
  return [...cells].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1))
}

const field = fc.string({ unit: 'grapheme' }).filter(key => key !== 'response' && key !== '_batch')
const object = fc.dictionary(field, fc.jsonValue({ noUnicodeString: false }), {
  noNullPrototype: true,
})

void t.test(
  'any JSON object appears in its row byte for byte, apart from replaced fields',
  async t => {
    const rowOf = jsonlRow()
    const survives = fc.asyncProperty(object, fc.string(), async (value, response) => {
      const line = JSON.stringify(value)
      const [record] = await recordsOf(parseJsonl(), `${line}\n`)
      if (!record) return t.fail(line)
      t.equal(record.raw.toString(), line)
      const row = rowOf(said(response, record)).toString()
      t.ok(row.startsWith(line.slice(0, -1)))
      const { response: told, _batch, ...rest } = JSON.parse(row)
      t.strictSame(rest, JSON.parse(line))
      t.equal(told, response)
      t.equal(_batch.status, 'succeeded')
    })
    await fc.assert(survives, EACH)
  },
)

void t.test(
  'digits, duplicate keys, their order and lone surrogates survive unchanged',
  async t => {
    for (const line of [
      '{"n":12345678901234567890,"x":1.0,"e":1E400,"m":-0}',
      '{"a":1,"a":2,"b":{"a":1,"a":2}}',
      '{"2":0,"1":0,"z":0,"a":0}',
      '{"high":"\\ud83d","low":"\\ude00","both":"\\ud83d\\ude00"}',
      '{ "blank" :\t[ 1 , 2 ] }',
      '{"__proto__":{"x":1},"constructor":2}',
    ]) {
      const [record] = await recordsOf(parseJsonl(), line)
      if (!record) return t.fail(line)
      t.ok(jsonlRow()(said('x', record)).toString().startsWith(line.slice(0, -1).trimEnd()), line)
    }
  },
)
