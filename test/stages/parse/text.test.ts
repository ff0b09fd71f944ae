import t from 'tap'
import { parseText } from '../../../lib/stages/parse/text.ts'
import { differenceByCut, read, records } from './feeding.ts'

t.test('each line is an input with its spaces; an empty line is skipped and counted', async t => {
  t.same(await records(parseText, ' a "b" \r\n\r\n\t\n{"c":1}\nlast'), [
    [1, '{"input":" a \\"b\\" "}'],
    [3, '{"input":"\\t"}'],
    [4, '{"input":"{\\"c\\":1}"}'],
    [5, '{"input":"last"}'],
  ])
  const { records: found } = await read(() => parseText({ source: 'a.txt' }), [Buffer.from('a\n')])
  t.same([found[0]?.source, found[0]?.fields], ['a.txt', { input: 'a' }])
})

t.test(
  'invalid UTF-8 is a bad record that names line and byte (I03), and a genuine U+FFFD is valid (I25)',
  async t => {
    const bad = Buffer.concat([Buffer.from('\ufffd\nab'), Buffer.from([0x80]), Buffer.from('\nc')])
    t.same(await records(parseText, bad), [
      [1, '{"input":"\ufffd"}'],
      [2, '{"input":"ab\ufffd"}', 'invalid_utf8'],
      [3, '{"input":"c"}'],
    ])
  },
)

t.test('a line over maxRecordBytes keeps its first 1,000 characters (I12)', async t => {
  const { records: found } = await read(
    () => parseText({ maxRecordBytes: 1500 }),
    [Buffer.from(`${'x'.repeat(1501)}\n${'y'.repeat(1500)}`)],
  )
  t.same(
    found.map(record => [record.problem?.type, String(record.fields['input']).length]),
    [
      ['too_long', 1000],
      [undefined, 1500],
    ],
  )
})

t.test('NUL is kept, and an empty input has no records (I04, I19)', async t => {
  t.same(await records(parseText, 'a\0b'), [[1, '{"input":"a\\u0000b"}']])
  for (const input of ['', '\n\n', '\ufeff']) t.same(await records(parseText, input), [])
})

t.test('a line of NUL bytes is a bad record', async t => {
  t.same(await records(parseText, 'a\n\0\0\0\n\0b'), [
    [1, '{"input":"a"}'],
    [2, '{"input":"\\u0000\\u0000\\u0000"}', 'nul_bytes'],
    [3, '{"input":"\\u0000b"}'],
  ])
})

t.test('however the bytes are cut, the records are the same (I01, I06)', async t => {
  t.equal(await differenceByCut(parseText, '\ufeffé😀\r\n\r\nb\rc\n\n"d'), undefined)
})

t.test('invalid options are rejected at once', async t => {
  t.throws(() => parseText({ maxRecordBytes: -1 }), { code: 'CBS_OPTION' })
})
