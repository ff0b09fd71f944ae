import { existsSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import type { SchemaTree } from 'hyparquet'
import type { SchemaElement } from 'hyparquet-writer'
import t, { type Test } from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { decimalText, jsonWriter } from '../../../lib/stages/parse/parquet-json.ts'
import { parquetRows, readParquet, type ParquetOptions } from '../../../lib/stages/parse/parquet.ts'
import { bytesOf, column, parquetFile, text, type Column } from '../../support/parquet.ts'

async function read(path: string, options?: ParquetOptions): Promise<SourceRecord[]> {
  return await readParquet(path, options).toArray()
}

/** The JSON of a column's values, one a row. */
async function values(t: Test, one: Column): Promise<string[]> {
  const path = parquetFile(join(t.testdir(), 'one.parquet'), [one])
  const name = JSON.stringify(one.schema[0]?.name)
  return (await read(path)).map(({ raw }) => raw.toString().slice(name.length + 2, -1))
}

function group(
  name: string,
  more: Partial<SchemaElement>,
  ...children: SchemaElement[]
): SchemaElement[] {
  const num = children.filter(child => !child.name.includes('/')).length
  const own = children.map(child => ({ ...child, name: child.name.replace('/', '') }))
  return [{ name, repetition_type: 'OPTIONAL', num_children: num, ...more }, ...own]
}

void t.test('64-bit integers keep all digits, signed and unsigned', async t => {
  const signed = [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 0n, null]
  t.same(await values(t, column('n', signed, 'INT64')), [
    '9223372036854775807',
    '-9223372036854775808',
    '9007199254740993',
    '0',
    'null',
  ])
  const most = [2n ** 64n - 1n, 1n]
  const unsigned = { type: 'INTEGER', bitWidth: 64, isSigned: false } as const
  const wanted = ['18446744073709551615', '1']
  t.same(await values(t, column('n', most, 'INT64', { converted_type: 'UINT_64' })), wanted)
  t.same(await values(t, column('n', most, 'INT64', { logical_type: unsigned })), wanted)
  const short = { type: 'INTEGER', bitWidth: 16, isSigned: true } as const
  t.same(await values(t, column('n', [-5, 7], 'INT32', { logical_type: short })), ['-5', '7'])
  t.same(await values(t, column('n', [true, false], 'BOOLEAN')), ['true', 'false'])
})

void t.test('decimals are numbers with all digits, also beyond those of a double', async t => {
  const large = [123456789012345678901234567890n, -5n, 0n, 1250n, null]
  const shape = { converted_type: 'DECIMAL', precision: 38, scale: 2 } as const
  const wanted = ['1234567890123456789012345678.90', '-0.05', '0.00', '12.50', 'null']
  const fixed = column('d', large, 'FIXED_LEN_BYTE_ARRAY', { ...shape, type_length: 16 })
  t.same(await values(t, fixed), wanted)
  t.same(await values(t, column('d', large, 'BYTE_ARRAY', shape)), wanted)
  const small = { converted_type: 'DECIMAL', precision: 9 } as const
  t.same(await values(t, column('d', [12n, -3n], 'INT32', small)), ['12', '-3'])
  const logical = { logical_type: { type: 'DECIMAL', precision: 18, scale: 3 } } as const
  const stored = column('d', [1n, -(2n ** 60n)], 'INT64', logical)
  t.same(await values(t, stored), ['0.001', '-1152921504606846.976'])
  t.equal(decimalText(-12n, -3), '-12000')
})

void t.test('times keep their full precision and say whether they are UTC', async t => {
  const nanos = [1n, -1n, 1_700_000_000_123_456_789n, -62_135_596_800_000_000_000n % 2n ** 63n]
  const stamp = (unit: 'MILLIS' | 'MICROS' | 'NANOS', isAdjustedToUTC: boolean) =>
    ({ logical_type: { type: 'TIMESTAMP', unit, isAdjustedToUTC } }) as const
  t.same(await values(t, column('at', nanos.slice(0, 3), 'INT64', stamp('NANOS', true))), [
    '"1970-01-01T00:00:00.000000001Z"',
    '"1969-12-31T23:59:59.999999999Z"',
    '"2023-11-14T22:13:20.123456789Z"',
  ])
  t.same(await values(t, column('at', [1_709_164_800_000_001n], 'INT64', stamp('MICROS', false))), [
    '"2024-02-29T00:00:00.000001"',
  ])
  t.same(await values(t, column('at', [-62_135_596_800_001n], 'INT64', stamp('MILLIS', true))), [
    '"0000-12-31T23:59:59.999Z"',
  ])
  t.same(
    await values(t, column('at', [null, 5n], 'INT64', { converted_type: 'TIMESTAMP_MILLIS' })),
    ['null', '"1970-01-01T00:00:00.005Z"'],
  )
  const days = [0, -1, 19_782, 2_932_897, -719_529, null]
  const dates = [
    '"1970-01-01"',
    '"1969-12-31"',
    '"2024-02-29"',
    '"+010000-01-01"',
    '"-000001-12-31"',
    'null',
  ]
  t.same(await values(t, column('on', days, 'INT32', { converted_type: 'DATE' })), dates)
  t.same(await values(t, column('on', days, 'INT32', { logical_type: { type: 'DATE' } })), dates)
  t.same(await values(t, column('of', [86_399_999], 'INT32', { converted_type: 'TIME_MILLIS' })), [
    '"23:59:59.999"',
  ])
  t.same(await values(t, column('of', [1n], 'INT64', { converted_type: 'TIME_MICROS' })), [
    '"00:00:00.000001"',
  ])
  const time = { type: 'TIME', unit: 'NANOS', isAdjustedToUTC: true } as const
  t.same(await values(t, column('of', [3_600_000_000_001n], 'INT64', { logical_type: time })), [
    '"01:00:00.000000001"',
  ])
  const interval = Buffer.alloc(12)
  for (const [index, part] of [14, 3, 4005].entries()) interval.writeUInt32LE(part, index * 4)
  const span = { type_length: 12, converted_type: 'INTERVAL' } as const
  t.same(await values(t, column('for', [interval], 'FIXED_LEN_BYTE_ARRAY', span)), [
    '"P14M3DT4.005S"',
  ])
})

void t.test('the 96-bit timestamps of Spark and Impala keep their nanoseconds', async t => {
  const stamp = Buffer.alloc(12)
  stamp.writeBigUInt64LE(3_600_000_000_001n, 0)
  stamp.writeUInt32LE(2_440_588 + 19_782, 8)
  const bytes = bytesOf([column('at', [stamp], 'FIXED_LEN_BYTE_ARRAY', { type_length: 12 })])
  // No writer of today makes them: the type in the footer is replaced.
  const footer = bytes.length - 8 - bytes.readUInt32LE(bytes.length - 8)
  for (let at = footer; at < bytes.length; at++)
    if (bytes[at] === 0x15 && bytes[at + 1] === 0x0e) bytes[at + 1] = 0x06
  const path = join(t.testdir(), 'old.parquet')
  writeFileSync(path, bytes)
  const [row] = await read(path)
  t.same(row?.fields, { at: '2024-02-29T01:00:00.000000001' })
})

void t.test(
  'floating-point numbers are written with the fewest digits that restore them',
  async t => {
    const doubles = [0.1, -0, 1e300, 5e-324, NaN, -Infinity]
    const wanted = ['0.1', '-0', '1e+300', '5e-324', '"NaN"', '"-Infinity"']
    t.same(await values(t, column('d', doubles, 'DOUBLE')), wanted)
    t.same(await values(t, column('f', [0.1, 16_777_216, 3.4028234663852886e38], 'FLOAT')), [
      '0.1',
      '16777216',
      '3.4028235e+38',
    ])
    t.same(await values(t, column('f', [1.0000001192092896], 'FLOAT')), ['1.0000001'])
    const half = { type_length: 2, logical_type: { type: 'FLOAT16' } } as const
    t.same(await values(t, column('h', [1.5, null], 'FIXED_LEN_BYTE_ARRAY', half)), ['1.5', 'null'])
  },
)

void t.test(
  'texts keep quotes, newlines, control characters and Unicode; binary data becomes base64',
  async t => {
    const texts = ['a\n"b"\\', '', '\ufeffü 😀', null]
    const wanted = ['"a\\n\\"b\\"\\\\"', '""', '"\ufeffü 😀"', 'null']
    t.same(await values(t, text('s', texts)), wanted)
    const encoded = texts.map(one => (one === null ? null : Buffer.from(one)))
    t.same(await values(t, column('s', encoded, 'BYTE_ARRAY', { converted_type: 'ENUM' })), wanted)
    t.same(await values(t, column('s', encoded, 'BYTE_ARRAY')), wanted)
    const png = Buffer.from([0x89, 0x50, 0xff, 0x00])
    t.same(await values(t, column('b', [png], 'BYTE_ARRAY')), ['"iVD/AA=="'])
    t.same(await values(t, column('b', [png], 'BYTE_ARRAY', { converted_type: 'BSON' })), [
      '"iVD/AA=="',
    ])
    t.same(await values(t, column('b', [png], 'FIXED_LEN_BYTE_ARRAY', { type_length: 4 })), [
      '"iVD/AA=="',
    ])
    const uuid = '550e8400-e29b-41d4-a716-446655440000'
    const id = { type_length: 16, logical_type: { type: 'UUID' } } as const
    t.same(await values(t, column('u', [uuid], 'FIXED_LEN_BYTE_ARRAY', id)), [`"${uuid}"`])
  },
)

void t.test('JSON columns are JSON in the record, with their digits and on one line', async t => {
  const documents = [
    '{\n "n": 12345678901234567890,\t"s": "a\\nb" }',
    'no JSON',
    '[]',
    `${'['.repeat(1000)}${']'.repeat(1000)}`,
  ]
  const encoded = documents.map(one => Buffer.from(one))
  const json = column('j', encoded, 'BYTE_ARRAY', { logical_type: { type: 'JSON' } })
  t.same(await values(t, json), [
    '{  "n": 12345678901234567890, "s": "a\\nb" }',
    '"no JSON"',
    '[]',
    JSON.stringify(documents[3]),
  ])
  let invalid = 0
  const write = jsonWriter(node({ name: 'j', type: 'BYTE_ARRAY', converted_type: 'JSON' }), () => {
    invalid += 1
  })
  t.equal(write(Buffer.from('{"a":"\xff"}', 'latin1')), JSON.stringify('{"a":"\ufffd"}'))
  t.equal(invalid, 1)
  const old = column('j', [{ a: [1] }], 'BYTE_ARRAY', { converted_type: 'JSON' })
  t.same(await values(t, old), ['{"a":[1]}'])
})

void t.test('text with the newer type, and a struct that is not text, are written unchanged', t => {
  const newer = node({ name: 's', type: 'BYTE_ARRAY', logical_type: { type: 'STRING' } })
  t.equal(jsonWriter(newer, () => {})(Buffer.from('ä')), '"ä"')
  const x = node({ name: 'x', type: 'INT64', repetition_type: 'OPTIONAL' })
  const struct = node({ name: 's', repetition_type: 'REQUIRED' }, x)
  t.equal(jsonWriter(struct, () => {})(7), '{"x":null}')
  t.end()
})

void t.test('nested columns are nested JSON', async t => {
  const element: SchemaElement = { name: 'element/', type: 'INT64', repetition_type: 'OPTIONAL' }
  const list: SchemaElement = { name: 'list/', repetition_type: 'REPEATED', num_children: 1 }
  const lists = [[1n, null, 2n ** 60n], [], null]
  const asList = (more: Partial<SchemaElement>): Column => {
    const [own, ...rest] = group('l', more, { ...list, name: 'list' }, element)
    return { schema: [own as SchemaElement, ...rest], data: lists }
  }
  const wanted = ['[1,null,1152921504606846976]', '[]', 'null']
  t.same(await values(t, asList({ converted_type: 'LIST' })), wanted)

  const key: SchemaElement = { name: 'key/', type: 'INT32', repetition_type: 'REQUIRED' }
  const value: SchemaElement = {
    ...{ name: 'value/', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
  }
  const pairs: SchemaElement = { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 }
  const maps = [
    [
      { key: 1, value: 'x' },
      { key: 2, value: null },
    ],
    [],
    null,
  ]
  const byNumber = { schema: group('m', { converted_type: 'MAP' }, pairs, key, value), data: maps }
  t.same(await values(t, byNumber), ['{"1":"x","2":null}', '{}', 'null'])
  const name = { ...key, type: 'BYTE_ARRAY', converted_type: 'UTF8' } as const
  const byText = {
    schema: group('m', { converted_type: 'MAP' }, pairs, name, value),
    data: [
      [
        { key: '__proto__', value: 'a' },
        { key: 'b "c"', value: 'd' },
      ],
    ],
  }
  t.same(await values(t, byText), ['{"__proto__":"a","b \\"c\\"":"d"}'])

  const x: SchemaElement = { name: 'x', type: 'INT64', repetition_type: 'OPTIONAL' }
  const struct = {
    schema: group('s', {}, x, { ...x, name: 'y' }),
    data: [{ x: 1n, y: null }, null],
  }
  t.same(await values(t, struct), ['{"x":1,"y":null}', 'null'])
  const variant = join(t.testdir(), 'variant.parquet')
  const { parquetWriteBuffer } = await import('hyparquet-writer')
  const data = [{ a: [1, 'x', null, true], b: 2n ** 60n }]
  writeFileSync(
    variant,
    Buffer.from(parquetWriteBuffer({ columnData: [{ name: 'v', data, type: 'VARIANT' }] })),
  )
  t.equal(
    String((await read(variant))[0]?.raw),
    '{"v":{"a":[1,"x",null,true],"b":1152921504606846976}}',
  )
})

/** A node of a schema, as the library makes them. */
function node(element: SchemaElement, ...children: SchemaTree[]): SchemaTree {
  return { element, children, count: 1, path: [] }
}

void t.test('repeated fields without a list, and older list formats, become lists', t => {
  const n = node({ name: 'n', type: 'INT64', repetition_type: 'REPEATED' })
  const write = jsonWriter(n, () => {})
  t.equal(write([1n, 2n]), '[1,2]')
  t.equal(write(BigInt64Array.of(3n)), '[3]')
  t.equal(write(null), '[]')
  const list = node({ name: 'l', converted_type: 'LIST', repetition_type: 'OPTIONAL' }, n)
  t.equal(jsonWriter(list, () => {})([4n]), '[4]')
  t.equal(jsonWriter(list, () => {})(null), 'null')
  const x = node({ name: 'x', type: 'INT64', repetition_type: 'OPTIONAL' })
  const y = node({ name: 'y', type: 'INT64', repetition_type: 'OPTIONAL' })
  const pair = node({ name: 'array', repetition_type: 'REPEATED' }, x, y)
  const pairs = node({ name: 'l', converted_type: 'LIST', repetition_type: 'OPTIONAL' }, pair)
  const written = jsonWriter(pairs, () => {})({ array: [{ x: 1n, y: 2n }, { x: null }] })
  t.equal(written, '[{"x":1,"y":2},{"x":null,"y":null}]')
  t.end()
})

/** A frame of zstd whose one block is stored as it is. */
function zstdStored(bytes: Uint8Array): Uint8Array {
  const header = Buffer.from('28b52ffda000000000000000', 'hex')
  header.writeUInt32LE(bytes.length, 5)
  header.writeUIntLE((bytes.length << 3) | 1, 9, 3)
  return Buffer.concat([header, bytes])
}

void t.test(
  'files compressed with snappy, gzip, zstd and brotli, and uncompressed files, are read',
  async t => {
    const compressors = { GZIP: gzipSync, ZSTD: zstdStored, BROTLI: brotliCompressSync }
    for (const codec of ['SNAPPY', 'GZIP', 'ZSTD', 'BROTLI', 'UNCOMPRESSED'] as const) {
      const path = join(t.testdir(), `${codec}.parquet`)
      parquetFile(path, [text('s', ['one', 'two'])], { codec, compressors })
      t.same(
        (await read(path)).map(({ fields }) => fields),
        [{ s: 'one' }, { s: 'two' }],
        codec,
      )
    }
  },
)

void t.test('records have the row number and the file, and columns are reported first', async t => {
  const path = parquetFile(join(t.testdir(), 'a.parquet'), [
    text('a', ['x', 'y']),
    text('b "c"', ['z', null]),
  ])
  const told: unknown[] = []
  const rows = await read(path, { onHeader: columns => told.push(columns) })
  t.same(told, [['a', 'b "c"']])
  t.same(
    rows.map(({ line, source, raw }) => ({ line, source, raw: raw.toString() })),
    [
      { line: 1, source: path, raw: '{"a":"x","b \\"c\\"":"z"}' },
      { line: 2, source: path, raw: '{"a":"y","b \\"c\\"":null}' },
    ],
  )
  t.equal((await read(path, { source: 'other' }))[0]?.source, 'other')
})

void t.test('a file without rows has columns and no records', async t => {
  const path = parquetFile(join(t.testdir(), 'none.parquet'), [text('a', [])])
  const told: unknown[] = []
  t.same(await read(path, { onHeader: columns => told.push(columns) }), [])
  t.same(told, [['a']])
})

void t.test('row groups are read one after the other', async t => {
  const columns = [
    text(
      's',
      Array.from({ length: 6 }, (_, at) => `row ${at + 1} ${'x'.repeat(50)}`),
    ),
  ]
  const path = parquetFile(join(t.testdir(), 'groups.parquet'), columns, {
    rowGroupSize: 2,
    codec: 'UNCOMPRESSED',
  })
  const bytes = readFileSync(path)
  // The length of a text in the last row group is made nonsense.
  const at = bytes.indexOf('row 5') - 4
  bytes.writeUInt32LE(0x7f_ff_ff_ff, at)
  writeFileSync(path, bytes)
  const seen: string[] = []
  const reading = async (): Promise<void> => {
    for await (const { fields } of readParquet(path)) seen.push(String(fields['s']).slice(0, 5))
  }
  await t.rejects(reading(), {
    code: 'CBS_INPUT',
    message: /groups\.parquet cannot be read as Parquet after row 4: /,
    place: { line: 4 },
  })
  t.same(seen, ['row 1', 'row 2', 'row 3', 'row 4'])
  let broken: BatchStreamError | undefined
  const whole = await read(path, { onBroken: error => (broken = error) })
  t.equal(whole.length, 4, 'what could be read is given')
  t.match(broken, { code: 'CBS_INPUT', message: /after row 4/ })
})

void t.test(
  'a file that is truncated while it is read is an error after the rows before',
  async t => {
    const texts = Array.from({ length: 6 }, (_, at) => `row ${at + 1}`)
    const path = parquetFile(join(t.testdir(), 'cut.parquet'), [text('s', texts)], {
      rowGroupSize: 2,
    })
    const rows = parquetRows(path, { source: 'cut.parquet' })
    t.match((await rows.next()).value, { fields: { s: 'row 1' } })
    truncateSync(path, 0)
    t.match((await rows.next()).value, { fields: { s: 'row 2' } })
    await t.rejects(rows.next(), {
      code: 'CBS_INPUT',
      message:
        'cut.parquet cannot be read as Parquet after row 2: the file is shorter than expected',
    })
  },
)

void t.test('an indexed row group is read in parts', async t => {
  const texts = Array.from({ length: 100 }, (_, at) => `${at} ${'x'.repeat(100)}`)
  const path = join(t.testdir(), 'large.parquet')
  parquetFile(path, [text('s', texts)], { rowGroupSize: 60, pageSize: 500, codec: 'UNCOMPRESSED' })
  const rows: string[] = []
  for await (const { fields, line } of parquetRows(path, { partBytes: 1000 }))
    rows[line - 1] = String(fields['s'])
  t.same(rows, texts)
})

void t.test('a row that is too long, or has invalid text, is a record with a problem', async t => {
  const path = join(t.testdir(), 'bad.parquet')
  const bytes = bytesOf([text('s', ['good one', 'bad \u00e4 one', 'x'.repeat(500)])], {
    codec: 'UNCOMPRESSED',
  })
  bytes[bytes.indexOf('bad ä') + 5] = 0x20
  writeFileSync(path, bytes)
  const rows = await read(path, { maxRecordBytes: 100 })
  t.same(
    rows.map(({ problem }) => problem?.type),
    [undefined, 'invalid_utf8', 'too_long'],
  )
  t.match(rows[1]?.problem?.message, 'line 2: a text of the row is not valid UTF-8')
})

void t.test(
  'a file that is not Parquet, and ambiguous columns, are errors with the reason',
  async t => {
    const dir = t.testdir({ empty: '', short: 'PAR1', csv: 'a,b\n1,2\n' })
    for (const name of ['empty', 'short', 'csv'])
      await t.rejects(
        read(join(dir, name)),
        { code: 'CBS_INPUT', message: /cannot be read as Parquet: / },
        name,
      )
    await t.rejects(read(join(dir, 'absent')), {
      code: 'CBS_INPUT',
      message: /absent cannot be read: ENOENT/,
    })
    const whole = bytesOf([text('s', ['a'.repeat(1000)])])
    writeFileSync(join(dir, 'cut'), whole.subarray(0, whole.length - 20))
    await t.rejects(read(join(dir, 'cut')), { code: 'CBS_INPUT' })
    // A footer that claims more than the file has.
    const { byteLength } = whole
    writeFileSync(
      join(dir, 'head'),
      whole.subarray(byteLength - 8 - whole.readUInt32LE(byteLength - 8)),
    )
    await t.rejects(read(join(dir, 'head')), { code: 'CBS_INPUT' })
    // A row group that claims a row more than its column has.
    const two = bytesOf([text('s', ['a', 'b'])])
    two.writeUInt8(6, two.lastIndexOf(Buffer.from([0x16, 4])) + 1)
    writeFileSync(join(dir, 'more'), two)
    await t.rejects(read(join(dir, 'more')), /rows 1 to 3 are incomplete/)
    parquetFile(join(dir, 'proto'), [text('__proto__', ['x'])])
    await t.rejects(read(join(dir, 'proto')), /a column is called __proto__/)
    parquetFile(join(dir, 'twice'), [text('a', ['x']), text('a', ['y'])])
    await t.rejects(read(join(dir, 'twice')), /it has two columns "a"/)
    parquetFile(join(dir, 'bare'), [])
    await t.rejects(read(join(dir, 'bare')), /it has no columns/)
  },
)

void t.test(
  'invalid options are rejected at once, and a callback that throws ends the stream',
  async t => {
    t.throws(() => readParquet(17 as never), { code: 'CBS_OPTION' })
    t.throws(() => readParquet('a', { maxRecordBytes: 0 }), { code: 'CBS_OPTION' })
    const path = parquetFile(join(t.testdir(), 'a.parquet'), [text('a', ['x'])])
    const onHeader = (): void => {
      throw new Error('mine')
    }
    await t.rejects(read(path, { onHeader }), { code: 'CBS_STAGE', message: /mine/ })
    t.ok(existsSync(path))
  },
)
