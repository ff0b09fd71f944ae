import fc from 'fast-check'
import t from 'tap'
import { compactJson } from '../../../lib/core/json/compact.ts'

t.test('what JSON.stringify writes with indentation becomes what it writes without', async () => {
  const values = fc.jsonValue({ stringUnit: 'binary' })
  fc.assert(
    fc.property(values, fc.constantFrom(0, 1, '\t'), (value, indent) => {
      const compact = compactJson(JSON.stringify(value, null, indent))
      return compact.toString('utf8') === JSON.stringify(value)
    }),
  )
})

for (const [name, text, compact] of [
  [
    'numbers keep their digits',
    ' [12345678901234567890, 1.0,\r\n1E5 ] ',
    '[12345678901234567890,1.0,1E5]',
  ],
  ['strings keep their blanks', '{ "a b" :\t"c \\" d" }', '{"a b":"c \\" d"}'],
  ['members are kept, also those of one name', '{"b": 1, "a": 2, "b": 3}', '{"b":1,"a":2,"b":3}'],
  [
    'half of a surrogate pair is escaped, as by JSON.stringify',
    '["\ud83d", "\u{1f600}"]',
    '["\\ud83d","\u{1f600}"]',
  ],
] as const)
  t.test(name, async t => {
    t.equal(compactJson(text).toString('utf8'), compact)
  })
