import t from 'tap'
import { memberOf, valueAt } from '../../../lib/core/json/find.ts'
import { randomJson, seeded } from './documents.ts'
import { parsed } from './oracle.ts'

const at = (json: string, path: readonly string[]): string | undefined => {
  const bytes = Buffer.from(json)
  const range = valueAt(bytes, path)
  return range && bytes.toString('utf8', range.start, range.end)
}

t.test('of equal keys the last one counts, as in JavaScript', async t => {
  const json = Buffer.from('{"a":1,"\\u0061":2.0}')
  const member = memberOf(json, 'a')
  t.equal(json.toString('utf8', member?.valueStart, member?.valueEnd), '2.0')
  t.equal(memberOf(json, 'b'), undefined)
  t.equal(memberOf(Buffer.from('[1]'), 'a'), undefined)
})

t.test('a path selects members of objects by key and elements of arrays by index', async t => {
  const json = ' {"a":{"b":[10,{"c":12345678901234567890}]},"0":"zero"}'
  t.equal(at(json, ['a', 'b', '1', 'c']), '12345678901234567890', 'digits as they stand')
  t.equal(at(json, ['a', 'b', '0']), '10')
  t.equal(at(json, ['0']), '"zero"')
  t.equal(at(json, []), json.trim())
})

t.test('a path that does not exist finds nothing', async t => {
  const json = '{"a":[1],"s":"text"}'
  for (const path of [
    ['b'],
    ['a', '1'],
    ['a', 'x'],
    ['a', '-1'],
    ['a', '00'],
    ['s', '0'],
    ['constructor'],
    ['a', 'length'],
  ]) {
    t.equal(at(json, path), undefined, path.join('.'))
  }
})

t.test('every path of a random document finds its value', async t => {
  const random = seeded(7)
  let paths = 0
  const walk = (json: string, value: unknown, path: readonly string[]): void => {
    const found = at(json, path)
    paths++
    if (found === undefined || JSON.stringify(parsed(found)) !== JSON.stringify(value)) {
      t.fail(`${path.join('.')} of ${json} gave ${found}`)
    }
    if (typeof value !== 'object' || value === null) return
    for (const [key, inner] of Object.entries(value)) walk(json, inner, [...path, key])
  }
  for (let run = 0; run < 500; run++) {
    const json = randomJson(random)
    walk(json, parsed(json), [])
  }
  t.ok(paths > 1000, `${paths} paths were followed`)
})
