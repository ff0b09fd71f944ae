import t from 'tap'
import { END, faultOf } from '../../../lib/core/json/fault.ts'
import { randomJson, seeded } from './documents.ts'

t.test('a fault has a position and the expected token', async t => {
  const cases: [string, number, string][] = [
    ['', 0, 'a value'],
    ['hello', 0, 'a value'],
    ['tru', 0, 'a value'],
    ['01', 0, 'a value'],
    ['{x}', 1, 'a key in double quotes or "}"'],
    ['{"a" 1}', 5, '":"'],
    ['{"a":}', 5, 'a value'],
    ['{"a":1 "b":2}', 7, '"," or "}"'],
    ['{"a":1,}', 7, 'a key in double quotes'],
    ['{1:2}', 1, 'a key in double quotes or "}"'],
    ['[1,]', 3, 'a value'],
    ['[,1]', 1, 'a value or "]"'],
    ['[1 2]', 3, '"," or "]"'],
    ['[1', 2, '"," or "]"'],
    ['{"a":"b', 7, 'the closing quote of a string'],
    ['["a\nb"]', 3, 'an escape instead of a control character'],
    ['["\\x"]', 2, 'a valid escape'],
    ['{"a":1} x', 8, 'the end'],
    ['{"a":1}{', 7, 'the end'],
    ["{'a':1}", 1, 'a key in double quotes or "}"'],
  ]
  for (const [text, at, wanted] of cases) t.same(faultOf(text), { at, wanted }, text)
})

t.test('a text without a fault lacks only its end', async t => {
  const random = seeded(5)
  for (let run = 0; run < 1000; run++) {
    const text = randomJson(random)
    const fault = faultOf(text)
    if (fault.at !== text.length || fault.wanted !== END)
      t.same(fault, { at: text.length, wanted: END }, text)
  }
  t.same(faultOf('{"a":[1,"x",{"b":null}]}'), { at: 24, wanted: END })
})

t.test('whatever JSON.parse rejects has a fault, and whatever it accepts has none', async t => {
  const random = seeded(11)
  let refused = 0
  for (let run = 0; run < 3000; run++) {
    const text = randomJson(random)
    const at = random(text.length + 1)
    const broken =
      text.slice(0, at) +
      ['', ',', '}', '"', 'x', '\\', '0'][random(7)] +
      text.slice(at + random(2))
    const { wanted, at: end } = faultOf(broken)
    let valid = true
    try {
      JSON.parse(broken)
    } catch {
      valid = false
      refused++
    }
    if (valid !== (wanted === END && end === broken.length))
      t.fail(`${JSON.stringify(broken)}: ${wanted} at ${end}`)
  }
  t.ok(refused > 500, `${refused} texts were refused`)
})

t.test('a string of megabytes with many escapes causes no overflow', async t => {
  const text = `["${'ab\\n'.repeat(1_000_000)}`
  t.same(faultOf(text), { at: text.length, wanted: 'the closing quote of a string' })
})
