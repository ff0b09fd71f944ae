import t from 'tap'
import type { BatchStreamError } from '../../../lib/core/errors.ts'
import { parseJson, type JsonOptions } from '../../../lib/stages/parse/json.ts'
import { randomJson, seeded } from '../../core/json/documents.ts'
import { parsed } from '../../core/json/oracle.ts'
import { differenceByCut, read, records, seen, type Parser } from './feeding.ts'

const json =
  (options?: JsonOptions): Parser =>
  () =>
    parseJson(options)

t.test(
  'elements are written on one line, with their digits, key order and duplicate keys (I15)',
  async t => {
    const input =
      '[\n  {"n": 12345678901234567890, "f": 1.0, "e": -1E+2},\r\n  {"b":1,\n"a":[ ],"7":{ },"b":[1,\n{"x":null}]} , {"t":true,"s":"a\\n\\u00e9\\ud800\\"/"}\n]\n'
    t.same(await records(json(), input), [
      [2, '{"n":12345678901234567890,"f":1.0,"e":-1E+2}'],
      [3, '{"b":1,"a":[],"7":{},"b":[1,{"x":null}]}'],
      [5, '{"t":true,"s":"a\\né\\ud800\\"/"}'],
    ])
  },
)

t.test('elements that are not objects are inputs', async t => {
  t.same(await records(json(), '[1.0,"a",[2],null,true,false,-0,[]]'), [
    [1, '{"input":1.0}'],
    [1, '{"input":"a"}'],
    [1, '{"input":[2]}'],
    [1, '{"input":null}'],
    [1, '{"input":true}'],
    [1, '{"input":false}'],
    [1, '{"input":-0}'],
    [1, '{"input":[]}'],
  ])
})

t.test('text that begins like a JSON word is not silently ignored', async t => {
  for (const [input, line] of [
    ['text\nhello\n', 1],
    ['\n\nnope,a\n', 3],
    ['f', 1],
    ['[{"a":1}]tru', 1],
    ['{"a":1}\n n', 2],
  ] as const) {
    for (const options of [{}, { path: 'a' }]) {
      const { error } = await read(json(options), [Buffer.from(input)])
      t.match(error, { code: 'CBS_INPUT', message: new RegExp(`^line ${line}: `) }, input)
    }
  }
  for (const input of ['', ' \n\n', '\ufeff'])
    t.same((await read(json(), [Buffer.from(input)])).error, undefined)
})

t.test('a value that is not an array is the only record', async t => {
  t.same(await records(json(), '\n{"a":\n[1]}\n'), [[2, '{"a":[1]}']])
  t.same(await records(json(), ' 42'), [[1, '{"input":42}']])
  t.same(await records(json(), '"x"'), [[1, '{"input":"x"}']])
})

t.test('only the array at a path is read', async t => {
  const input =
    '{"meta":{"items":[0],"n":1},"x":["data"],"data":{"items":[{"a":1},\n{"a":2}],"items2":[3]},"data2":[4]}'
  t.same(await records(json({ path: 'data.items' }), input), [
    [1, '{"a":1}'],
    [2, '{"a":2}'],
  ])
  t.same(await records(json({ path: 'meta' }), input), [[1, '{"items":[0],"n":1}']])
  t.same(
    await records(
      json({ path: 'data.items' }),
      '{"items":[1],"data":{"x":{"items":[2]},"items":[]}}',
    ),
    [],
  )
})

t.test('the error for a path that does not exist names what does', async t => {
  const cases: [string, string, string][] = [
    [
      'data.rows',
      '{"data":{"items":[1],"n":2},"rows":[3]}',
      'line 1 of x.json: no value at "data.rows"; its keys there are "items", "n"',
    ],
    [
      'rows',
      '{"a":1,\n"b":{"rows":[1]}}',
      'line 2 of x.json: no value at "rows"; its keys there are "a", "b"',
    ],
    ['rows', '[{"rows":[1]}]', 'line 1 of x.json: no value at "rows"; it has no keys there'],
    ['a.b', '{"a":[{"b":1}]}', 'line 1 of x.json: no value at "a.b"; its keys there are "a"'],
    ['a', '7', 'line 1 of x.json: no value at "a"; it has no keys there'],
  ]
  for (const [path, input, message] of cases) {
    const { records, error } = await read(json({ path, source: 'x.json' }), [Buffer.from(input)])
    t.same([records.length, error?.code, error?.message], [0, 'CBS_INPUT', message])
    t.equal(error?.place?.source, 'x.json')
  }
  const many = `{${Array.from({ length: 30 }, (_, index) => `"k${index}":0`).join(',')}}`
  t.match(
    (await read(json({ path: 'x' }), [Buffer.from(many)])).error?.message,
    /"k9"$/,
    'ten keys are told',
  )
})

t.test(
  'truncated input gives the elements before the cut, then an error with the line (I16)',
  async t => {
    for (const cut of [
      '[{"a":1},\n{"b":2},',
      '[{"a":1},\n{"b":2},{"c":',
      '[{"a":1},\n{"b":2}',
      '[{"a":1},\n{"b":2},"x',
      '[{"a":1},\n{"b":2},tr',
    ]) {
      const { records: found, error } = await read(json(), [Buffer.from(cut)])
      t.same(found.map(seen), [
        [1, '{"a":1}'],
        [2, '{"b":2}'],
      ])
      t.match(
        error,
        {
          code: 'CBS_INPUT',
          message: /^line [23]: the JSON (breaks off before its end|cannot be read)/,
        },
        cut,
      )
    }
  },
)

t.test('a syntax error gives the elements before it, then an error with the line', async t => {
  for (const fault of [
    '[{"a":1},\n2,"x",{x}]',
    '[{"a":1},\n2,"x",]',
    '[{"a":1},\n2,"x"}',
    '[{"a":1},\n2,"x" 3]',
  ]) {
    const { records: found, error } = await read(json(), [Buffer.from(fault)])
    t.same(found.slice(0, 2).map(seen), [
      [1, '{"a":1}'],
      [2, '{"input":2}'],
    ])
    t.match(error, { code: 'CBS_INPUT', message: /^line 2: the JSON cannot be read: / }, fault)
    t.ok(error?.cause instanceof Error)
  }
})

t.test('with onBroken the stream ends after the whole elements (I16)', async t => {
  const errors: BatchStreamError[] = []
  const parser = json({ onBroken: error => errors.push(error) })
  const chunks = [Buffer.from('[{"a":1},{"b":2},{]'), Buffer.from('more'), Buffer.from('and more')]
  const { records: found, error } = await read(parser, chunks)
  t.same([found.length, error, errors.length, errors[0]?.code], [2, undefined, 1, 'CBS_INPUT'])
  t.match(
    (await read(parser, [Buffer.from('[{]')])).error,
    { code: 'CBS_INPUT' },
    'where there were none it is an error',
  )
  t.equal(errors.length, 1)
})

t.test('consecutive objects are a record each, on several lines or on one', async t => {
  const pretty = '{\n  "a": [1, {}],\n  "é": "}{"\n}\n{\n  "b": 2.0\n}\n\n{}{"c":\n3}\n'
  t.same(await records(json(), pretty), [
    [1, '{"a":[1,{}],"é":"}{"}'],
    [5, '{"b":2.0}'],
    [9, '{}'],
    [9, '{"c":3}'],
  ])
  t.equal(await differenceByCut(json(), pretty), undefined)
  const { records: found, error } = await read(json(), [Buffer.from('{"a":1}\n{"b":2}\n{"c":')])
  t.same(found.map(seen), [
    [1, '{"a":1}'],
    [2, '{"b":2}'],
  ])
  t.match(error?.message, 'the JSON breaks off before its end')
  const spoilt = Buffer.from('{"a":1}\n{"b":"\xff"} {"c":1}', 'latin1')
  t.same(
    (await read(json(), [spoilt])).records.map(({ problem }) => problem?.type),
    [undefined, 'invalid_utf8', undefined],
  )
})

t.test('anything else after a whole value is an error', async t => {
  for (const [input, path, count] of [
    ['{"a":1}\n[2]\n', '', 1],
    ['{"a":1}\n2\n', '', 1],
    ['[{"a":1}]\n[{"b":2}]\n', '', 1],
    ['"a"\n{"b":2}\n', '', 1],
    ['{"a":1}\n}', '', 1],
    ['{"x":[{}]}\n{"x":[{}]}\n', 'x', 1],
  ] as const) {
    const { records: found, error } = await read(json({ path }), [Buffer.from(input)])
    t.equal(found.length, count, input)
    t.equal(
      error?.message,
      'line 2: the JSON cannot be read: more content follows the value; if each line is a value of its own, read it as jsonl',
    )
    t.equal(await differenceByCut(json({ path }), input), undefined)
  }
})

t.test('JSON nested 100,000 deep is a record with a problem (I13)', async t => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  const { records: found } = await read(json(), [Buffer.from(`[{"a":1},${deep},{"b":2}]`)])
  t.same(
    found.map(record => record.problem?.type),
    [undefined, 'too_deep', undefined],
  )
  t.match(
    (await read(json(), [Buffer.alloc(1_100_000, '[')])).error?.message,
    /nests deeper than 1000000 levels/,
  )
})

t.test('an element over maxRecordBytes keeps its first 1,000 characters (I12)', async t => {
  for (const long of [
    `"${'é'.repeat(30_000)}"`,
    `[${'1,'.repeat(30_000)}2]`,
    `{"${'k'.repeat(3000)}":1}`,
    `"${'é'.repeat(900)}"`,
  ]) {
    const { records: found } = await read(json({ maxRecordBytes: 1500 }), [
      Buffer.from(`[1,${long},{"b":2}]`),
    ])
    t.same(
      found.map(record => record.problem?.type),
      [undefined, 'too_long', undefined],
    )
    t.equal(found[1]?.fields['input'], long.slice(0, 1000))
  }
})

t.test('an endless string takes bounded memory (I12)', async t => {
  const before = process.memoryUsage()
  let most = 0
  function* chunks(): Generator<Buffer> {
    yield Buffer.from('["')
    const chunk = Buffer.alloc(100_000, 'x')
    for (let index = 0; index < 200; index++) {
      if (index % 20 === 0) globalThis.gc?.()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      if (index % 20 === 0)
        most = Math.max(most, heapUsed - before.heapUsed + arrayBuffers - before.arrayBuffers)
      yield chunk
    }
    yield Buffer.from('"]')
  }
  const { records: found } = await read(json({ maxRecordBytes: 10_000 }), chunks())
  t.equal(found[0]?.problem?.type, 'too_long')
  t.ok(most < 8_000_000, `${most} bytes while 20 MB went through`)
})

t.test(
  'invalid UTF-8 spoils its own element (I03), and a genuine U+FFFD is valid (I25)',
  async t => {
    const bad = Buffer.concat([
      Buffer.from('[{"a":"\ufffd"},{"a":"x'),
      Buffer.from([0xe9]),
      Buffer.from('y","b":1},\n{"a":"\ufffd"}]'),
    ])
    const { records: found } = await read(json(), [bad])
    t.same(found.map(seen), [
      [1, '{"a":"\ufffd"}'],
      [1, '{"input":"{\\"a\\":\\"x\ufffdy\\",\\"b\\":1}"}', 'invalid_utf8'],
      [2, '{"a":"\ufffd"}'],
    ])
    t.match(
      found[1]?.problem?.message,
      /^line 1: the byte at offset 20 of the input is not valid UTF-8/,
    )
    const outside = Buffer.concat([
      Buffer.from('{"x":"'),
      Buffer.from([0xe9]),
      Buffer.from('","d":[{"a":1}]}'),
    ])
    t.same(
      await records(json({ path: 'd' }), outside),
      [[1, '{"a":1}']],
      'outside of records it matters not',
    )
  },
)

t.test('UTF-16 is rejected (I02)', async t => {
  t.match((await read(json(), [Buffer.from('\ufeff[{}]', 'utf16le')])).error, {
    code: 'CBS_INPUT',
    message: /iconv/,
  })
})

t.test('an empty input or array gives no records (I19)', async t => {
  for (const input of ['', ' \n', '\ufeff', '[]', ' [ ] '])
    t.same(await records(json(), input), [], JSON.stringify(input))
})

t.test('however the bytes are cut, the records are the same (I01)', async t => {
  const inputs: (string | Buffer)[] = [
    '\ufeff[\r\n{"é😀":"\\ud83d\\ude00 \\ud800"},\r12.50e1 , true,\n\n"a}b]c,d"\r\n,{"x":[{},[],-1]}]\r\n',
    '[1,{"a":nulx}]',
    '{"a":[{"b":1},\r\n2]}',
    Buffer.concat([
      Buffer.from('["é'),
      Buffer.from([0xc3]),
      Buffer.from('",\n{"a":"'),
      Buffer.from([0xe2, 0x82]),
      Buffer.from('"},1]'),
    ]),
    Buffer.concat([Buffer.from('[1] '), Buffer.from([0xe2, 0x82])]),
  ]
  for (const input of inputs) {
    for (const path of ['', 'a'])
      t.equal(await differenceByCut(json({ path }), input), undefined, `${input} ${path}`)
  }
})

t.test('each element of a random document parses as with an independent parser', async t => {
  const random = seeded(23)
  for (let run = 0; run < 200; run++) {
    const elements = Array.from({ length: random(6) }, () => randomJson(random))
    const found = await records(json(), `[${elements.join(',')}]`)
    const got = found.map(([, raw]) => parsed(raw))
    const expected = elements
      .map(element => parsed(element))
      .map(value =>
        value !== null && typeof value === 'object' && !Array.isArray(value)
          ? value
          : { input: value },
      )
    if (JSON.stringify(got) !== JSON.stringify(expected)) t.same(got, expected, elements.join(','))
  }
})

t.test('invalid options are rejected at once', async t => {
  // What TypeScript would not let through still comes from JavaScript.
  t.throws(() => parseJson({ path: 1 } as unknown as JsonOptions), {
    code: 'CBS_OPTION',
    message: '`path` must be keys joined by dots, got 1',
  })
  t.throws(() => parseJson({ maxRecordBytes: 0 }), { code: 'CBS_OPTION' })
})
