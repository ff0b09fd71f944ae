import t from 'tap'
import { OrdinalSet } from '../../lib/store/ordinal-set.ts'

void t.test('the set contains exactly what was added, in any order', async t => {
  const bits = new OrdinalSet()
  const added = [0, 7, 8, 9, 8191, 8192, 1_000_000, 3]
  for (const ordinal of added) bits.add(ordinal)
  bits.add(8)
  t.same(
    [...bits],
    [...added].sort((a, b) => a - b),
  )
  for (const ordinal of added) t.ok(bits.has(ordinal))
  for (const other of [1, 10, 8193, 999_999, 1_000_001, 5e9]) t.notOk(bits.has(other))
})

void t.test('a range is searched for any of its ordinals', async t => {
  const bits = new OrdinalSet()
  for (const ordinal of [3, 9000]) bits.add(ordinal)
  for (const [first, end] of [
    [0, 4],
    [3, 4],
    [8, 9001],
    [9000, 1e6],
  ] as const)
    t.ok(bits.hasAny(first, end), `${first} to ${end}`)
  for (const [first, end] of [
    [0, 3],
    [4, 9000],
    [9001, 1e6],
    [5, 5],
  ] as const)
    t.notOk(bits.hasAny(first, end), `${first} to ${end}`)
})

void t.test('an empty set has no ordinals', async t => {
  t.same([...new OrdinalSet()], [])
})
