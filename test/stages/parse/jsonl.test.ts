import { once } from 'node:events'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { parseJsonl } from '../../../lib/stages/parse/jsonl.ts'
import { differenceByCut, read, records } from './feeding.ts'

t.test(
  'a line keeps its bytes: digits, key order, duplicate keys, escapes, lone surrogates',
  async t => {
    const lines = [
      '{"n":12345678901234567890,"f":1.0,"e":1E+2}',
      '{"b":1,"a":2,"7":3,"b":4}',
      '{"s":"\\ud800\\u0041"}',
      '{ "a" : 1 }',
    ]
    t.same(
      await records(parseJsonl, lines.join('\n')),
      lines.map((line, index) => [index + 1, line]),
    )
  },
)

t.test('the fields are those of JSON.parse', async t => {
  const { records } = await read(
    () => parseJsonl({ source: 'a.jsonl' }),
    [Buffer.from('{"a":[1,{"b":null}],"__proto__":{"x":1}}\n7')],
  )
  t.same(records[0]?.fields, JSON.parse('{"a":[1,{"b":null}],"__proto__":{"x":1}}'))
  t.ok(Object.hasOwn(records[0]?.fields ?? {}, '__proto__'), '__proto__ is a plain column (I11)')
  t.same(records[1]?.fields, { input: 7 })
  t.equal(records[0]?.source, 'a.jsonl')
})

t.test('a value that is not an object is an input, also null, with its own bytes', async t => {
  t.same(await records(parseJsonl, 'null\n[1, 2.0]\n"x"\n1.0\ntrue\n'), [
    [1, '{"input":null}'],
    [2, '{"input":[1, 2.0]}'],
    [3, '{"input":"x"}'],
    [4, '{"input":1.0}'],
    [5, '{"input":true}'],
  ])
})

t.test('blank lines are skipped and counted, and spaces around a value are removed', async t => {
  t.same(await records(parseJsonl, '\n \t \n  {"a":1}\t\r\n\r\n{"b":2}'), [
    [3, '{"a":1}'],
    [5, '{"b":2}'],
  ])
})

t.test('a line that is not JSON is a bad record that names the position', async t => {
  const { records } = await read(parseJsonl, [Buffer.from('{"a":1}\n  {"a" 1}\n{"a":\nNaN\n')])
  t.same(
    records.map(record => [record.line, record.raw.toString(), record.problem]),
    [
      [1, '{"a":1}', undefined],
      [
        2,
        '{"input":"{\\"a\\" 1}"}',
        {
          type: 'invalid_json',
          message: 'line 2: not valid JSON at column 8: expected ":", got "1"',
        },
      ],
      [
        3,
        '{"input":"{\\"a\\":"}',
        {
          type: 'invalid_json',
          message: 'line 3: not valid JSON at column 6: expected a value, got the end of the line',
        },
      ],
      [
        4,
        '{"input":"NaN"}',
        {
          type: 'invalid_json',
          message: 'line 4: not valid JSON at column 1: expected a value, got "N"',
        },
      ],
    ],
  )
  t.same(records[1]?.fields, { input: '{"a" 1}' })
})

t.test(
  'invalid UTF-8 is a bad record that names line and byte (I03), and a genuine U+FFFD is valid (I25)',
  async t => {
    const bad = Buffer.concat([
      Buffer.from('{"a":"\ufffd"}\n{"a":"\ufffdé'),
      Buffer.from([0xe9]),
      Buffer.from('"}\n{"a":"é"}\n'),
    ])
    const { records } = await read(parseJsonl, [bad])
    t.same(
      records.map(record => [record.line, record.problem?.type]),
      [
        [1, undefined],
        [2, 'invalid_utf8'],
        [3, undefined],
      ],
    )
    t.match(
      records[1]?.problem?.message,
      /^line 2: byte 0xe9 at byte offset 11 of the record is not valid UTF-8/,
    )
    t.equal(records[0]?.fields['a'], '\ufffd')
    t.same(JSON.parse(records[1]?.raw.toString() ?? ''), { input: '{"a":"\ufffdé\ufffd"}' })
  },
)

t.test('NUL is kept as its escape (I04)', async t => {
  t.same(await records(parseJsonl, '{"a":"\\u0000"}\n{"a":"\0"}'), [
    [1, '{"a":"\\u0000"}'],
    [2, '{"input":"{\\"a\\":\\"\\u0000\\"}"}', 'invalid_json'],
  ])
})

t.test('a line over maxRecordBytes keeps its first 1,000 characters (I12)', async t => {
  const parser = (): ReturnType<typeof parseJsonl> => parseJsonl({ maxRecordBytes: 2000 })
  const { records } = await read(parser, [
    Buffer.from(`{"a":1}\n"${'é😀'.repeat(5000)}"\n{"b":2}\n${' '.repeat(3000)}\n`),
  ])
  t.same(
    records.map(record => [record.line, record.problem?.type]),
    [
      [1, undefined],
      [2, 'too_long'],
      [3, undefined],
      [4, 'too_long'],
    ],
  )
  t.match(records[1]?.problem?.message, /^line 2: the record is longer than 2000 bytes/)
  t.equal(records[1]?.fields['input'], `"${'é😀'.repeat(333)}`, 'and no half of a character')
})

t.test('JSON nested 100,000 deep is a record with a problem (I13)', async t => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  const { records } = await read(parseJsonl, [
    Buffer.from(`{"a":1}\n${deep}\n${'['.repeat(1000) + ']'.repeat(1000)}${' '.repeat(9)}\n`),
  ])
  t.same(
    records.map(record => record.problem?.type),
    [undefined, 'too_deep', undefined],
  )
  t.match(records[1]?.problem?.message, /^line 2: .*1000 levels/)
})

t.test('brackets in strings and side by side do not nest', async t => {
  const flat = `{"a":"${'['.repeat(2000)}","b":[${'[],'.repeat(2000)}{}]}`
  t.same(await records(parseJsonl, flat), [[1, flat]])
})

t.test('an empty input gives no records (I19)', async t => {
  for (const input of ['', '\n', '\ufeff', '\r\n\r\n', '   '])
    t.same(await records(parseJsonl, input), [], JSON.stringify(input))
})

t.test('however the bytes are cut, the records are the same (I01, I06)', async t => {
  const inputs = [
    '\ufeff{"a":"é😀"}\r\n\r\n[1]\r{"b":2}\n{"x"\n7',
    Buffer.concat([Buffer.from('{"a":"ü"}\n"'), Buffer.from([0xff]), Buffer.from('"\r\n"\ufffd"')]),
    Buffer.from([0xff, 0xfe, 0x7b, 0]),
  ]
  for (const input of inputs)
    t.equal(await differenceByCut(parseJsonl, input), undefined, String(input))
  const limited = (): ReturnType<typeof parseJsonl> => parseJsonl({ maxRecordBytes: 4 })
  t.equal(await differenceByCut(limited, '{"abc":1}\n{}\n12345\r\n1234'), undefined)
})

t.test('a reader that stops gets no more than its buffer, in the middle of a chunk', async t => {
  const stage = parseJsonl()
  stage.write(Buffer.from('{"a":1}\n'.repeat(10_000)))
  await new Promise(resolve => stage.once('readable', resolve))
  t.ok(stage.readableLength <= stage.readableHighWaterMark, `${stage.readableLength} wait`)
  stage.end()
  let count = 0
  for await (const _ of stage) count++
  t.equal(count, 10_000)
})

t.test('a reader that stops early ends the parser', async t => {
  const source = Readable.from([Buffer.from('{"a":1}\n'.repeat(1000))], { objectMode: false })
  const stage = parseJsonl()
  const sink = new Writable({
    objectMode: true,
    write: (_record, _encoding, done) => done(new Error('enough')),
  })
  await t.rejects(pipeline(source, stage, sink), { message: 'enough' })
  t.ok(stage.destroyed)
})

t.test('an error in the next stage is not reported as an input error', async t => {
  const stage = parseJsonl()
  const thrown = new Error('of the reader')
  stage.on('data', () => {
    throw thrown
  })
  await new Promise(resolve => setImmediate(resolve))
  const failed = once(stage, 'error')
  stage.write(Buffer.from('{"a":1}\n{"b":1}\n'))
  t.same(await failed, [thrown])
})

t.test('invalid options are rejected at once', async t => {
  t.throws(() => parseJsonl({ maxRecordBytes: 0 }), {
    code: 'CBS_OPTION',
    message: '`maxRecordBytes` must be a whole number of at least 1, got 0',
  })
  t.throws(() => parseJsonl({ maxRecordBytes: 1.5 }), { code: 'CBS_OPTION' })
})
