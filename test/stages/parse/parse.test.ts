import { Readable } from 'node:stream'
import { createInflateRaw, gzipSync } from 'node:zlib'
import t from 'tap'
import type { BatchStreamError } from '../../../lib/core/errors.ts'
import { each, from } from '../../../lib/core/chain.ts'
import { parseCsv } from '../../../lib/stages/parse/csv.ts'
import { parse, type ParseOptions } from '../../../lib/stages/parse/parse.ts'
import { differenceByCut, read, records, seen, type Parser } from './feeding.ts'

const any =
  (options?: ParseOptions): Parser =>
  () =>
    parse(options)

t.test('the format is detected from the bytes and reported (I15)', async t => {
  const cases: [string, string, string][] = [
    ['a,b\n1,2\n', 'csv', '{"a":"1","b":"2"}'],
    ['a\tb\n1\t2\n', 'tsv', '{"a":"1","b":"2"}'],
    ['prompt\nhello\n', 'csv', '{"prompt":"hello"}'],
    ['{"a":1.0}\n', 'jsonl', '{"a":1.0}'],
    ['\ufeff{"a":1.0}\n', 'jsonl', '{"a":1.0}'],
    ['[{"a": 1.0}]', 'json', '{"a":1.0}'],
    ['{\n"a": 1.0\n}', 'json', '{"a":1.0}'],
  ]
  for (const [input, format, raw] of cases) {
    const told: string[] = []
    const found = await records(any({ onGuess: guess => told.push(guess.format) }), input)
    t.same([told, found.map(([, text]) => text)], [[format], [raw]], input)
    t.equal(await differenceByCut(any(), input), undefined)
  }
})

t.test('a file name or a given format takes precedence over the bytes', async t => {
  t.same(await records(any({ name: 'a.txt' }), 'a,b\n'), [[1, '{"input":"a,b"}']])
  t.same(await records(any({ from: 'text' }), '{"a":1}\n'), [[1, '{"input":"{\\"a\\":1}"}']])
  t.same(await records(any({ from: 'json', path: 'x' }), '{"x":[{}]}'), [[1, '{}']])
  t.same(await records(any({ path: 'x' }), '{"x":[{}]}'), [[1, '{}']])
  t.same(await records(any({ from: 'csv', columns: ['A'] }), '{}\n'), [[1, '{"A":"{}"}']])
  t.same(await records(any({ delimiter: ';' }), 'a;b\n1;2\n'), [[2, '{"a":"1","b":"2"}']])
  t.same(await records(any({ from: 'tsv' }), 'a\tb\n1\t2\n'), [[2, '{"a":"1","b":"2"}']])
  t.same(await records(any({ from: 'tsv', delimiter: ';' }), 'a;b\n1;2\n'), [
    [2, '{"a":"1","b":"2"}'],
  ])
  for (const from of ['jsonl', 'requests'] as const) {
    t.same(await records(any({ from }), '{"custom_id":"a","params":{}}'), [
      [1, '{"custom_id":"a","params":{}}'],
    ])
  }
  const { records: named } = await read(any({ name: 'dir/a.csv' }), [Buffer.from('a\n1\n')])
  t.equal(named[0]?.source, 'dir/a.csv', 'the name is the source')
})

t.test('with comments, the first other line decides between CSV and TSV', async t => {
  const cases: [string, string, string][] = [
    ['# a\tb, c\n\n#\na,b\n#x\n1,2\n', 'csv', '{"a":"1","b":"2"}'],
    ['\ufeff#\r\na\tb\r\n1\t2\r\n', 'tsv', '{"a":"1","b":"2"}'],
    ['#{}\nprompt\nhello', 'csv', '{"prompt":"hello"}'],
  ]
  for (const [input, format, raw] of cases) {
    const told: string[] = []
    const options: ParseOptions = { comment: '#', onGuess: guess => told.push(guess.format) }
    const found = await records(any(options), input)
    t.same([told, found.map(([, text]) => text)], [[format], [raw]], input)
    t.equal(await differenceByCut(any({ comment: '#' }), input), undefined)
  }
  t.same(await records(any({ comment: '#' }), '# a\n#'), [], 'nothing but comments')
  for (const more of [{ from: 'csv' }, { name: 'a.csv' }, { delimiter: ';' }] as const) {
    const options: ParseOptions = { ...more, comment: '#' }
    t.same(await records(any(options), '#\na\n#\n1'), [[4, '{"a":"1"}']], JSON.stringify(more))
  }
  const tabs: ParseOptions = { from: 'tsv', comment: '#' }
  t.same(await records(any(tabs), '#\na\tb\n#\n1\t2'), [[4, '{"a":"1","b":"2"}']])
})

t.test('delimiter, columns and header are options of tables only', async t => {
  const options: [ParseOptions, string][] = [
    [{ delimiter: ';' }, '`delimiter` must be left out: only CSV and TSV have delimiters, got ";"'],
    [
      { columns: ['a'] },
      '`columns` must be left out: only CSV and TSV have columns to name, got ["a"]',
    ],
    [{ header: false }, '`header` must be left out: only CSV and TSV have headers, got false'],
  ]
  for (const [one, message] of options) {
    for (const more of [{ from: 'jsonl' }, { from: 'text' }, { path: 'x' }] as const)
      t.throws(() => parse({ ...one, ...more }), { code: 'CBS_OPTION', message })
    for (const input of ['{"a":1}\n{"a":2}\n', '[{"a":1}]', '{\n"a":1}\n']) {
      const { records: found, error } = await read(any(one), [Buffer.from(input)])
      t.same(found, [], 'the first line is no header')
      t.match(error, { code: 'CBS_INPUT', message: /^the input is taken for json/ })
    }
  }
  t.same(await records(any({ name: 'a.txt', delimiter: '|' }), 'a|b\n1|2\n'), [
    [2, '{"a":"1","b":"2"}'],
  ])
  t.same(await records(any({ name: 'a.tsv', delimiter: '|' }), 'a|b\n1|2\n'), [
    [2, '{"a":"1","b":"2"}'],
  ])
})

t.test('only tables have comments', async t => {
  const from = ['jsonl', 'json', 'text', 'requests'] as const
  for (const options of [...from.map(format => ({ from: format })), { path: 'x' }]) {
    t.throws(() => parse({ ...options, comment: '#' }), {
      code: 'CBS_OPTION',
      message: '`comment` must be left out: only CSV and TSV have comments, got "#"',
    })
  }
  const told: string[] = []
  const json = any({ comment: '#', source: 'x', onGuess: guess => told.push(guess.format) })
  const { records: found, error } = await read(json, [Buffer.from('#\n{"a":1}\n{"a":2}\n')])
  t.same([found, told], [[], []])
  t.match(error, { code: 'CBS_INPUT', place: { source: 'x' } })
  t.equal(
    error?.message,
    'x is taken for jsonl (its first line is a JSON object), and only CSV and TSV have comments; leave `comment` out, or say that it is csv or tsv',
  )
  const { error: unnamed } = await read(any({ comment: '#' }), [Buffer.from('[1]')])
  t.match(unnamed?.message, /^the input is taken for json /)
  const { error: named } = await read(any({ comment: '#', name: 'a.txt' }), [Buffer.from('#')])
  t.match(named?.message, /^a.txt is taken for text \(its name ends in .txt\)/)
})

t.test('the first record is emitted with its first line', async t => {
  const stage = parse()
  stage.write(Buffer.from('{"a":1}\n'))
  await new Promise(resolve => stage.once('readable', resolve))
  t.same(seen(stage.read()), [1, '{"a":1}'])
  stage.destroy()
})

t.test('detection reads at most 64 KB', async t => {
  const told: string[] = []
  const long = `{"a":"${'x'.repeat(100_000)}"}\n`
  const chunks = Array.from({ length: 11 }, (_, index) =>
    Buffer.from(long.slice(index * 10_000, (index + 1) * 10_000)),
  )
  const { records: found } = await read(any({ onGuess: guess => told.push(guess.why) }), chunks)
  t.same(told, ['its first line is a JSON object'])
  t.equal(found.length, 1)
})

t.test('an empty input gives no records (I19)', async t => {
  for (const input of ['', '\n', '\ufeff'])
    t.same(await records(any(), input), [], JSON.stringify(input))
  t.same(await records(any(), gzipSync('')), [])
})

t.test('gzip is decompressed, however it arrives', async t => {
  const input = Buffer.concat([gzipSync('a,b\n1,'), gzipSync('2\n3,4\n')])
  t.same(await records(any({ name: 'a.csv.gz' }), input), [
    [2, '{"a":"1","b":"2"}'],
    [3, '{"a":"3","b":"4"}'],
  ])
  t.equal(await differenceByCut(any(), input), undefined)
})

const lines = Array.from({ length: 30_000 }, (_, index) => `{"n":${index * 7919}}`)
const whole = gzipSync(lines.join('\n'))

t.test(
  'truncated gzip gives the whole records, then an error that names the position (I16)',
  async t => {
    const { records: found, error } = await read(any({ name: 'a.jsonl.gz' }), [
      whole.subarray(0, 60_000),
    ])
    t.ok(found.length > 10_000, `${found.length} records`)
    t.same(
      found.map(record => record.raw.toString()),
      lines.slice(0, found.length),
    )
    t.match(error, { code: 'CBS_INPUT', place: { source: 'a.jsonl.gz', line: found.length } })
    t.match(error?.message, `the last record read whole began on line ${found.length}`)
    const early = await read(any(), [whole.subarray(0, 10)])
    t.match(
      early.error?.message,
      /break off within its first 10 bytes; get the whole file and run it again$/,
    )
  },
)

t.test('with onBroken truncated input ends the stream as if it had ended there (I16)', async t => {
  const errors: BatchStreamError[] = []
  const options = { onBroken: (error: BatchStreamError): unknown => errors.push(error) }
  for (const chunks of [
    [whole.subarray(0, 60_000)],
    [
      whole.subarray(0, 40_000),
      Buffer.alloc(20_000, 0xff),
      Buffer.alloc(20_000),
      Buffer.alloc(20_000),
    ],
  ]) {
    errors.length = 0
    const { records: found, error } = await read(any(options), chunks)
    t.ok(found.length > 5000, `${found.length} records`)
    t.same([error, errors.length, errors[0]?.place?.line], [undefined, 1, found.length])
  }
  t.match(
    (await read(any(options), [whole.subarray(0, 10)])).error,
    { code: 'CBS_INPUT' },
    'where there were none it is an error',
  )
})

t.test('an error thrown by onBroken ends the stream with CBS_STAGE, not the process', async t => {
  const onBroken = (): never => {
    throw new Error('boom')
  }
  const { error } = await read(any({ onBroken }), [whole.subarray(0, 60_000)])
  t.match(error, { code: 'CBS_STAGE', message: '`onBroken` failed: boom' })
})

t.test('a slow reader of truncated gzip gets each whole record', async t => {
  const errors: BatchStreamError[] = []
  const stage = parse({ onBroken: error => errors.push(error) })
  stage.end(whole.subarray(0, 60_000))
  const found: string[] = []
  for await (const record of stage) {
    found.push(record.raw.toString())
    if (found.length % 100 === 0) await new Promise(resolve => setImmediate(resolve))
  }
  t.same(found, lines.slice(0, found.length))
  t.equal(errors[0]?.place?.line, found.length)
})

t.test('the error for zstd on an old Node version says what to do', async t => {
  const zstd = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3])
  const zlib = { createInflateRaw }
  t.match((await read(any({ zlib }), [zstd])).error, { code: 'CBS_INPUT', message: /zstd -dc/ })
})

t.test('the error for other compressions and encodings says what to do', async t => {
  for (const [start, message] of [
    ['BZh91AY&SY', /compressed with bzip2.*bzip2 -dc/],
    ['\xfd7zXZ\0', /compressed with xz.*xz -dc/],
    ['%PDF-1.7', /is a PDF.*`parseFiles`/],
  ] as const)
    t.match((await read(any(), [Buffer.from(start, 'latin1')])).error, {
      code: 'CBS_INPUT',
      message,
    })
  t.equal((await read(any(), [Buffer.from('BZhours,b\n1,2\n')])).error, undefined)
})

t.test('an error of the detected format is emitted', async t => {
  const { error } = await read(any(), [Buffer.from('a,"b\n1,2\n')])
  t.match(error, { code: 'CBS_INPUT', message: /header cannot be read: line 1: the quote/ })
  const packed = await read(any(), [gzipSync('a,"b\n1,2\n')])
  t.match(packed.error?.message, /header cannot be read: line 1: the quote/)
  t.match((await read(any(), [Buffer.from('\ufeff{}\n', 'utf16le')])).error?.message, /iconv/)
})

t.test('a reader that stops also stops decompression', async t => {
  const source = Readable.from([whole], { objectMode: false })
  const stage = parse()
  source.pipe(stage)
  for await (const record of stage) {
    t.same(seen(record), [1, '{"n":0}'])
    break
  }
  t.ok(stage.destroyed)
})

t.test('invalid options are rejected at once', async t => {
  // What TypeScript would not let through still comes from JavaScript.
  t.throws(() => parse({ from: 'xlsx' } as unknown as ParseOptions), {
    code: 'CBS_OPTION',
    message: /`from` must be auto, csv, tsv/,
  })
  t.throws(() => parse({ maxRecordBytes: 0 }), { code: 'CBS_OPTION' })
  t.throws(() => parse({ from: 'text', delimiter: '' }), { code: 'CBS_OPTION' })
})

for (const name of ['onBroken', 'onGuess', 'onNote', 'onHeader'] as const)
  t.test(`\`${name}\` that throws or gives a promise is a clear error`, async t => {
    const inputs = {
      onBroken: gzipSync(Buffer.from('{"a":1}\n'.repeat(50_000))).subarray(0, 300),
      onGuess: Buffer.from('{"a":1}\n'),
      onNote: Buffer.from('a,,b\n1,2,3\n'),
      onHeader: Buffer.from('a,b\n1,2\n'),
    }
    const failures: readonly [() => void, RegExp][] = [
      [
        () => {
          throw new Error('boom')
        },
        new RegExp(`^\`${name}\` failed: boom`),
      ],
      [
        async () => {
          throw new Error('boom')
        },
        new RegExp(`^\`${name}\` returned a promise, but must be synchronous`),
      ],
    ]
    for (const [fail, message] of failures) {
      const options = { [name]: fail }
      const stage = name === 'onHeader' ? parseCsv(options) : parse(options)
      const all = async (): Promise<void> => {
        for await (const _ of each(from(Readable.from([inputs[name]]), stage)));
      }
      await t.rejects(all(), { code: 'CBS_STAGE', message })
    }
  })

t.test('a path is refused for a format without paths', async t => {
  for (const from of ['csv', 'tsv', 'jsonl', 'text', 'requests'] as const)
    t.throws(() => parse({ from, path: 'a' }), { code: 'CBS_OPTION', message: /`path` must be/ })
  for (const from of ['auto', 'json'] as const) parse({ from, path: 'a' })
})
