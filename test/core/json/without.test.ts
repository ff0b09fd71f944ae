import t from 'tap'
import { withoutMembers } from '../../../lib/core/json/without.ts'
import { randomJson, seeded } from './documents.ts'
import { parsed } from './oracle.ts'

const without = (json: string, ...keys: string[]): string =>
  withoutMembers(Buffer.from(json), keys).toString()

t.test('members are removed, and the rest stays byte for byte with correct commas', async t => {
  t.equal(without('{"a":1,"b":2.0,"c":3}', 'a'), '{"b":2.0,"c":3}')
  t.equal(without('{"a":1,"b":2.0,"c":3}', 'b'), '{"a":1,"c":3}')
  t.equal(without('{"a":1,"b":2.0,"c":3}', 'c'), '{"a":1,"b":2.0}')
  t.equal(without('{ "a" : 1 , "b":2 }', 'a', 'b'), '{  }')
  t.equal(
    without('{ "a" : 1 , "b" : {"a":1} }', 'a'),
    '{ "b" : {"a":1} }',
    'only on the first level',
  )
  t.equal(without('{"a":1,"\\u0061":2,"a":3}', 'a'), '{}', 'each occurrence')
})

t.test('if there is nothing to remove, the same bytes are returned', async t => {
  for (const json of ['{}', '{"a":1}', '[{"b":1}]', '"b"', ' { "a":  1 } ']) {
    const bytes = Buffer.from(json)
    t.equal(withoutMembers(bytes, ['b']), bytes, json)
  }
})

t.test('a random object without some keys parses as the document without them', async t => {
  const random = seeded(3)
  let objects = 0
  while (objects < 500) {
    const json = randomJson(random)
    const value: unknown = parsed(json)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) continue
    objects++
    const keys = ['a', 'q"q', '7', '__proto__'].filter(() => random(2) === 0)
    const left = Object.entries(value).filter(([key]) => !keys.includes(key))
    const got = Object.entries(parsed(without(json, ...keys)) as object)
    if (JSON.stringify(got) !== JSON.stringify(left)) t.same(got, left, json)
  }
  t.equal(objects, 500)
})
