import t from 'tap'
import { elements, endOfValue, members } from '../../../lib/core/json/scan.ts'
import { randomJson, seeded } from './documents.ts'
import { parsed } from './oracle.ts'

const text = (json: Buffer, start: number, end: number): string => json.toString('utf8', start, end)

t.test('the members and elements of any document equal those of an independent parser', async t => {
  const random = seeded(1)
  let checked = 0
  for (let run = 0; run < 3000; run++) {
    const json = Buffer.from(randomJson(random))
    const value: unknown = parsed(json.toString())
    if (Array.isArray(value)) {
      const found = [...elements(json)].map(({ start, end }) => parsed(text(json, start, end)))
      if (JSON.stringify(found) !== JSON.stringify(value)) t.same(found, value, json.toString())
      t.same([...members(json)].length, 0)
    } else if (typeof value === 'object' && value !== null) {
      const found = [...members(json)]
      const built = parsed(
        `{${found.map(m => `${text(json, m.keyStart, m.valueStart)}${text(json, m.valueStart, m.valueEnd)}`).join(',')}}`,
      )
      if (JSON.stringify(built) !== JSON.stringify(value)) t.same(built, value, json.toString())
      const keys = new Set(found.map(member => member.key))
      if (keys.size !== Object.keys(value).length)
        t.same([...keys], Object.keys(value), json.toString())
      for (const key of keys) if (!Object.hasOwn(value, key)) t.fail(`${key} is no key of ${json}`)
    } else {
      t.same([...members(json)].length + [...elements(json)].length, 0)
    }
    checked++
  }
  t.equal(checked, 3000)
})

t.test('escaped keys match by their decoded text, and their position is returned', async t => {
  const json = Buffer.from(' {"\\u0061":1 , "__proto__" : {"x":"}"}, "7":[2]}')
  const found = [...members(json)]
  t.same(
    found.map(member => member.key),
    ['a', '__proto__', '7'],
  )
  t.equal(text(json, found[1]?.keyStart ?? 0, found[1]?.valueEnd ?? 0), '"__proto__" : {"x":"}"}')
  t.equal(text(json, found[2]?.valueStart ?? 0, found[2]?.valueEnd ?? 0), '[2]')
})

t.test('truncated bytes end what they began', async t => {
  for (const cut of ['{"a', '{"a":"b', '{"a":[1,{"b"', '[1,2', '12', '"']) {
    const json = Buffer.from(cut)
    t.equal(endOfValue(json, 0), json.length, cut)
  }
})
