import fc from 'fast-check'
import t from 'tap'
import { FlatJson, isFlatObject } from '../../../lib/core/json/flat.ts'

function isFlat(text: string): boolean {
  const bytes = Buffer.from(`[${text}]`)
  return isFlatObject(new FlatJson(bytes), 1, bytes.length - 1)
}

void t.test('flat objects as programs write them are accepted', async t => {
  for (const text of [
    '{"a":"x"}',
    '{"a": "x", "b": 1}',
    '{"a":"\\u00e9\\/\\"\\\\\\b\\f\\n\\r\\t","b":-0.5e+10,"c":0,"d":12,"e":true,"f":false,"g":null}',
    '{"é":"😀",  "b":1}'.replace('  ', ' '),
  ])
    t.ok(isFlat(text), text)
})

void t.test('anything else is rejected', async t => {
  for (const text of [
    ...[
      '',
      '{',
      '{}',
      '[]',
      '1',
      '"a"',
      '{"a"',
      '{"a":',
      '{"a":"',
      '{"a":1',
      '{"a":1,',
      '{"a":1,}',
    ],
    ...[
      '{"a":1}}',
      '{"a":1} ',
      ' {"a":1}',
      '{"a":[1]}',
      '{"a":{}}',
      '{"a":01}',
      '{"a":1.}',
      '{"a":-}',
    ],
    ...[
      '{"a":.5}',
      '{"a":1e}',
      '{"a":nul}',
      '{"a":True}',
      '{"a":}',
      '{"a":"\\x"}',
      '{"a":"\\u12g4"}',
    ],
    ...['{"a":"\\u12"}', '{"a":"\n"}', '{"\\u0061":1}', '{"a" :1}', '{"a":  1}', '{"a":1 ,"b":2}'],
    ...['{a:1}', '{"a":"x"y}', '{"a\\\\n":1}', '{"a":1;"b":2}', '{"a"1}'],
  ])
    t.notOk(isFlat(text), text)
})

void t.test('what is accepted equals what JSON.parse reads, member by member', async t => {
  const soup = fc
    .array(
      fc.constantFrom(
        ...['{', '}', '"a"', '"', ':', ',', ' ', '1', '0', '-', '.', 'e', 'E', '+', 'true', 'null'],
        ...['\\', '\\u00', 'u', 'n', 'é', '[', ']', '\t', '{"a":"', '"b":1', '"}', '":"'],
      ),
      { maxLength: 12 },
    )
    .map(parts => parts.join(''))
  const json = fc
    .dictionary(fc.string(), fc.oneof(fc.string(), fc.double(), fc.boolean()), { minKeys: 1 })
    .map(one => JSON.stringify(one))
  let taken = 0
  const isRight = fc.property(fc.oneof(soup, json), text => {
    if (!isFlat(text)) return
    taken += 1
    const bytes = Buffer.from(text)
    const flat = new FlatJson(bytes)
    const members: [string, unknown][] = []
    flat.open(0, bytes.length)
    while (flat.next()) {
      const key = bytes.toString('utf8', flat.keyStart, flat.keyEnd)
      const value = bytes.toString('utf8', flat.valueStart, flat.valueEnd)
      const parsed: unknown = JSON.parse(flat.isString ? `"${value}"` : value)
      if (flat.isString && flat.isCanonical) t.equal(JSON.stringify(parsed), `"${value}"`)
      members.push([key, parsed])
      if (flat.isLast) break
    }
    t.strictSame(Object.fromEntries(members), { ...JSON.parse(text) })
  })
  fc.assert(isRight, { numRuns: 5000, seed: 20261128 })
  t.ok(taken > 300, `${taken} were taken`)
})
