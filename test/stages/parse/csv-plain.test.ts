// Rows that are read without csv-parse are what csv-parse makes of them. A comment that never occurs leaves all rows to csv-parse.
import fc from 'fast-check'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { PAGE_BYTES, PAGE_ITEMS, takePages } from '../../../lib/core/pages.ts'
import { RecordPage } from '../../../lib/core/record-page.ts'
import { parseCsv, type CsvOptions } from '../../../lib/stages/parse/csv.ts'
import { parseJson } from '../../../lib/stages/parse/json.ts'
import { parseJsonl } from '../../../lib/stages/parse/jsonl.ts'
import { until } from '../../support/waiting.ts'
import { cuts, read, seen, type Parser, type Reading } from './feeding.ts'

const NO_COMMENT = '\u0001never'

function tell({ records, error }: Reading): string {
  return JSON.stringify([records.map(seen), error?.message])
}

const parser =
  (options: CsvOptions): Parser =>
  () =>
    parseCsv(options)

async function isSame(input: Buffer, chunks: readonly Buffer[], options: CsvOptions) {
  const plain = tell(await read(parser(options), chunks))
  const whole = tell(await read(parser({ ...options, comment: NO_COMMENT }), [input]))
  return plain === whole ? undefined : `${plain} instead of ${whole}`
}

const ODD = [
  'a,b\n1,2\n\n\r\n3,4\r\n5,"6"\r\n',
  'a,b\n1,"x\ny\r\nz\rw"\n"2",3\n',
  'a,b\n1,"say ""hi"""\n"",""\n"""",","\n',
  'a,b\n1\n1,2,3\n4,5\n',
  'a,b\n5" pipe,x\n"q"r,1\n6,7\n',
  'a,b\r1,2\r3,4\r',
  'a,b\n1,2\r3,4\n5,6\r\n\r7,8\n',
  'a,b\n1,"never closed\n2,3\n4,5\n',
  'a,b\n"1",2',
  'a,b\n1,2\r',
  'a\n\n""\n1\n"2"\n',
  'a,b\n\u0000,\u0007\n\\,\t\n\u007f,\u2028é😀\n',
  'a,b\n' + `${'x'.repeat(40)},${'"y\n"'.repeat(3)}\n`.repeat(3) + '1,2\n',
]

void t.test('unusual rows, cut anywhere, are what csv-parse makes of them', async t => {
  for (const [number, text] of ODD.entries())
    for (const chunks of cuts(Buffer.from(text)))
      t.equal(await isSame(Buffer.from(text), chunks, {}), undefined, `input ${number}`)
})

const piece = fc.constantFrom<(string | number)[]>(
  ...['"', '""', ',', '\n', '\r\n', '\r', ' ', 'a', 'bc', '\\', '\t', 'é', '😀', '\u0000'],
  ...['1,2\n', '"x",y\n', '"x,\n",y\r\n', 0xff, 0xc3],
)
const soup = fc
  .array(piece, { maxLength: 40 })
  .map(pieces =>
    Buffer.concat(pieces.map(one => Buffer.from(typeof one === 'number' ? [one] : one))),
  )

void t.test('whatever the bytes and the chunks, the records and errors are the same', async t => {
  const same = fc.asyncProperty(
    soup,
    fc.array(fc.nat(100), { maxLength: 4 }),
    fc.constantFrom<CsvOptions>(
      { columns: ['a', 'b'] },
      { columns: ['a', 'b'], maxRecordBytes: 9 },
      { header: true, delimiter: ',' },
      { columns: ['a'], delimiter: '\t' },
      { columns: ['a', 'b'], delimiter: '\\' },
    ),
    async (input, at, options) => {
      const places = [0, ...at.sort((a, b) => a - b), input.length]
      const chunks = places
        .slice(1)
        .map((to, index) => input.subarray(places[index], to))
        .filter(({ length }) => length > 0)
      t.equal(await isSame(input, chunks, options), undefined)
    },
  )
  await fc.assert(same, { numRuns: 1500, seed: 20261128 })
})

/** What a reader that takes pages is given. */
async function paged(stage: ReturnType<Parser>, chunks: Buffer[]): Promise<unknown[]> {
  const given: unknown[] = []
  const sink = new Writable({
    objectMode: true,
    write(chunk: unknown, _encoding, done) {
      given.push(chunk)
      done()
    },
  })
  takePages(sink)
  await pipeline(Readable.from(chunks, { objectMode: false }), stage, sink)
  return given
}

function itemsOf(given: readonly unknown[]): SourceRecord[] {
  return given.flatMap(one => (one instanceof RecordPage ? [...one] : [one as SourceRecord]))
}

void t.test('a reader that takes pages receives the same records', async t => {
  const long = `"${'x'.repeat(PAGE_BYTES)}",2\n`
  const rows = `1,"a\nb"\n${'3,4\n'.repeat(300)}${long}5,6\n1,2,3\n7,8\n${long}`
  const input = Buffer.from(`a,b\n${rows}`)
  const chunks = Array.from({ length: Math.ceil(input.length / 65_536) }, (_, at) =>
    input.subarray(at * 65_536, (at + 1) * 65_536),
  )
  const given = await paged(parseCsv({ source: 'a.csv' }), chunks)
  const { records } = await read(parser({ source: 'a.csv' }), chunks)
  t.same(itemsOf(given).map(seen), records.map(seen))
  const pages = given.filter(one => one instanceof RecordPage)
  t.ok(pages.length < 12, `${pages.length} pages`)
  for (const { count, bytes, source } of pages) {
    t.ok(count <= PAGE_ITEMS && (count === 1 || bytes.length <= PAGE_BYTES))
    t.equal(source, 'a.csv')
  }
  t.same(
    given.filter(one => !(one instanceof RecordPage)).map(one => seen(one as SourceRecord)[2]),
    ['wrong_column_count'],
    'but a record with a problem comes alone',
  )
})

void t.test('fields may be longer than a page', async t => {
  const long = 'x"\n'.repeat(PAGE_BYTES)
  const text = 'z'.repeat(5 * PAGE_BYTES)
  const input = Buffer.from(
    `a,b,c\n"${text}",0,0\n"${long.replaceAll('"', '""')}",${'y\\'.repeat(PAGE_BYTES)},"${text}"\n1,2,3\n`,
  )
  const given = await paged(parseCsv(), [input])
  t.same(
    itemsOf(given).map(({ fields }) => fields),
    [
      { a: text, b: '0', c: '0' },
      { a: long, b: 'y\\'.repeat(PAGE_BYTES), c: text },
      { a: '1', b: '2', c: '3' },
    ],
  )
})

void t.test('the rows of each chunk are emitted before the next chunk arrives', async t => {
  const stage = parseCsv()
  const given: unknown[] = []
  const sink = new Writable({
    objectMode: true,
    write(chunk: RecordPage, _encoding, done) {
      given.push(...chunk)
      done()
    },
  })
  takePages(sink)
  stage.pipe(sink)
  for (const [at, chunk] of ['a,b\n1,2\n3', ',4\n5,6\n', '7,8\n'].entries()) {
    await new Promise(resolve => stage.write(Buffer.from(chunk), resolve))
    const count = [1, 3, 4][at]
    await until(() => given.length === count)
    t.equal(given.length, count)
  }
  stage.destroy()
})

const MANY = 2 * PAGE_ITEMS + 44

void t.test(
  'records of JSON lines are emitted in pages, and those with a problem alone',
  async t => {
    const lines = ['{"a":1}', '{"a":"é"}', 'no', '{"a":3}', '7', ...Array(MANY).fill('{"b":0}')]
    const given = await paged(parseJsonl({ source: 'a' }), [Buffer.from(`${lines.join('\n')}\n`)])
    t.same(
      itemsOf(given).map(({ line }) => line),
      lines.map((_, at) => at + 1),
    )
    t.same(
      itemsOf(given).map(({ raw }) => String(raw)),
      lines.map(line => (line === 'no' ? '{"input":"no"}' : line === '7' ? '{"input":7}' : line)),
    )
    t.same(
      given.map(one => (one instanceof RecordPage ? one.count : 'alone')),
      [2, 'alone', 1, 1, PAGE_ITEMS, PAGE_ITEMS, 44],
    )
  },
)

void t.test('lines of any kind, cut anywhere, are the same in pages and alone', async t => {
  const lines = [
    ...['{"a":1}', ' {"a":2}', '{"a":"\\u00e9"}', '', '{"a":[1]}', '{"a":3}\r', '7', 'no'],
    ...[
      '{"a":1}',
      '',
      '{"a":2}',
      '{"a":"é"}',
      `{"a":"${'x'.repeat(90)}"}`,
      '{"a":4}',
      '{"a":4} ',
      '{"a":5}',
    ],
  ]
  const texts = [lines.join('\n'), `\ufeff${lines.toReversed().join('\n')}\n`]
  for (const input of [
    ...texts.map(text => Buffer.from(text)),
    Buffer.from(texts[0] ?? '', 'latin1'),
  ])
    for (const options of [{}, { maxRecordBytes: 60 }])
      for (const chunks of cuts(input)) {
        const given = itemsOf(await paged(parseJsonl(options), chunks))
        const { records } = await read(() => parseJsonl(options), [input])
        t.strictSame(given.map(seen), records.map(seen))
      }
})

void t.test('rows before an error are emitted before it', async t => {
  const given: unknown[] = []
  const stage = parseJson()
  const sink = new Writable({
    objectMode: true,
    write(chunk: unknown, _encoding, done) {
      given.push(chunk)
      done()
    },
  })
  takePages(sink)
  await t.rejects(pipeline([Buffer.from('[{"a":1},{"a":2},{"a":3}}')], stage, sink), {
    code: 'CBS_INPUT',
  })
  t.same(
    itemsOf(given).map(({ raw }) => String(raw)),
    ['{"a":1}', '{"a":2}', '{"a":3}'],
  )
})
