import t from 'tap'
import { FaultScript } from '../../lib/emulator/fault-script.ts'
import type { FaultRule, Operation } from '../../lib/emulator/fault.ts'

/** The positions in a list of calls, from 1, to which a rule applies. */
function hits(rule: FaultRule, calls: readonly [Operation, number?][]): number[] {
  const script = new FaultScript([rule])
  return calls.flatMap(([op, batch], at) => (script.pick(op, batch).length > 0 ? [at + 1] : []))
}

const LISTS: [Operation][] = [['list'], ['create'], ['list'], ['list'], ['retrieve'], ['list']]

t.test('a rule applies to the operations that it names', async t => {
  t.same(hits({ on: 'list' }, LISTS), [1, 3, 4, 6])
  t.same(hits({ on: ['create', 'retrieve'] }, LISTS), [2, 5])
  t.same(hits({ on: '*' }, LISTS), [1, 2, 3, 4, 5, 6])
})

t.test('a rule counts only the calls that match', async t => {
  t.same(hits({ on: 'list', nth: 2 }, LISTS), [3])
  t.same(hits({ on: 'list', nth: [1, 4] }, LISTS), [1, 6])
  t.same(hits({ on: '*', nth: 2 }, LISTS), [2])
  t.same(hits({ on: 'list', times: 3 }, LISTS), [1, 3, 4])
  t.same(hits({ on: 'list', nth: [2, 3, 4], times: 2 }, LISTS), [3, 4])
})

t.test('a rule can be about one batch', async t => {
  const calls: [Operation, number?][] = [
    ['retrieve', 1],
    ['retrieve', 2],
    ['list'],
    ['retrieve', 2],
  ]
  t.same(hits({ on: '*', batch: 2 }, calls), [2, 4])
  t.same(hits({ on: 'retrieve', batch: [1, 2], nth: 3 }, calls), [4])
})

t.test('several rules may apply to one call, later ones last', async t => {
  const script = new FaultScript([
    { on: 'list', status: 500 },
    { on: '*', stallMs: 1 },
  ])
  script.add({ on: 'list', nth: 1, reset: true })
  t.match(script.pick('list', undefined), [{ status: 500 }, { stallMs: 1 }, { reset: true }])
  t.match(script.pick('list', undefined), [{ status: 500 }, { stallMs: 1 }])
})

t.test('a function decides for each call', async t => {
  const seen: unknown[] = []
  const script = new FaultScript(call => {
    seen.push(call)
    if (call.nth === 1) return undefined
    return call.nth === 2 ? { status: 500 } : [{ stallMs: 1 }, { reset: true }]
  })
  script.add({ on: 'list', nth: 3, status: 529 })
  t.same(script.pick('list', undefined), [])
  t.same(script.pick('list', undefined), [{ status: 500 }])
  t.match(script.pick('list', undefined), [{ stallMs: 1 }, { reset: true }, { status: 529 }])
  t.same(script.pick('retrieve', 7), [])
  t.same(seen.at(-1), { op: 'retrieve', nth: 1, batch: 7 })
})
