import fc from 'fast-check'
import t from 'tap'
import { wellFormed, wellFormedJson } from '../../../lib/core/json/well-formed.ts'

t.test('R08: half of a surrogate pair becomes U+FFFD, and nothing else changes', async t => {
  const half = '\ud83d'
  const whole = '\ud83d\ude00'
  for (const [value, json] of [
    [`cut ${half}`, '"cut \ufffd"'],
    [`\ude00${half}${whole}`, '"\ufffd\ufffd\u{1f600}"'],
    [{ [half]: [half, 1] }, '{"\ufffd":["\ufffd",1]}'],
    ['\\ud83d \\\\ud83d', '"\\\\ud83d \\\\\\\\ud83d"'],
    [`\\${half}"${half}`, '"\\\\\ufffd\\"\ufffd"'],
    [`\u0007${half}\ud7ff`, '"\\u0007\ufffd\ud7ff"'],
    [undefined, undefined],
  ] as const)
    t.equal(wellFormedJson(value), json)
})

t.test('R08: every text equals the result of String.prototype.toWellFormed', async () => {
  const texts = fc.array(
    fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\\', '"', 'ud83d', '\ud83d', '\ude00'),
    ),
  )
  fc.assert(
    fc.property(texts, parts => {
      const text = parts.join('')
      // What Node 20 has and the types of its standard library do not.
      const expected = Object(text).toWellFormed()
      return JSON.parse(wellFormedJson([text]) ?? '')[0] === expected
    }),
  )
})

t.test('a value is copied only if something in it is replaced', async t => {
  const good = { text: 'caf\u00e9 \u{1f600} \\ud83d' }
  t.equal(wellFormed(good), good)
  t.same(wellFormed({ text: 'cut \ud83d' }), { text: 'cut \ufffd' })
  t.equal(wellFormed(undefined), undefined)
})
