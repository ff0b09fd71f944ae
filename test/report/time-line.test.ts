import t from 'tap'
import { MOST_LANES, timeLineOf } from '../../lib/report/time-line.ts'
import { batch, BEGAN, MINUTE } from './reports.ts'

const NOW = BEGAN + 60 * MINUTE
const OPEN = { endedAt: null, fetched: null }

t.test('a batch extends from its submission to its end, or to now', async t => {
  const line = timeLineOf(
    [
      batch(1),
      batch(2, { ...OPEN, phase: 'submitted', attempt: 2 }),
      batch(3, {
        ...OPEN,
        ...{ phase: 'armed', id: null, submittedAt: null },
        armed: { at: BEGAN + 9 * MINUTE, serverAt: null },
      }),
      batch(4, { ...OPEN, phase: 'sealed', id: null, submittedAt: null }),
      batch(5, { phase: 'void' }),
      batch(6, { requests: 0 }),
    ],
    BEGAN,
    NOW,
  )
  t.match(line.lanes, [
    { first: 1, kind: 'ended', from: BEGAN + MINUTE, to: BEGAN + 6 * MINUTE, ids: ['msgbatch_1'] },
    { first: 2, kind: 'running', to: NOW, attempt: 2 },
    { first: 3, kind: 'unknown', from: BEGAN + 9 * MINUTE, to: NOW, ids: [] },
  ])
  t.equal(line.lanes.length, 3)
  t.match(line, { waiting: 1, requests: 30, from: BEGAN, to: NOW, perLane: 1 })
  t.same(line.ended, [
    { at: BEGAN, requests: 0 },
    { at: BEGAN + 6 * MINUTE, requests: 10 },
  ])
})

t.test('many batches share rows, with their number', async t => {
  const all = Array.from({ length: 1000 }, (_, at) => batch(at + 1))
  const line = timeLineOf([...all, batch(1001, OPEN)], BEGAN, BEGAN + 2000 * MINUTE)
  t.ok(line.lanes.length <= MOST_LANES)
  t.equal(line.perLane, 17)
  t.match(line.lanes[0], { first: 1, last: 17, batches: 17, requests: 170, kind: 'ended', ids: [] })
  t.match(line.lanes.at(-1), { last: 1001, kind: 'running', to: BEGAN + 2000 * MINUTE })
  t.equal(
    line.lanes.reduce((sum, { batches }) => sum + batches, 0),
    1001,
  )
  t.ok(line.ended.length <= 202)
  t.match(line.ended.at(-1), { requests: 10_000 })
})

t.test('clocks that were set back and missing ends draw nothing backwards', async t => {
  const line = timeLineOf(
    [
      batch(1, { submittedAt: BEGAN - MINUTE, endedAt: BEGAN - 2 * MINUTE }),
      batch(2, { endedAt: null }),
    ],
    BEGAN,
    NOW,
  )
  t.equal(line.from, BEGAN - MINUTE)
  for (const { from, to, kind } of line.lanes) {
    t.ok(to >= from)
    t.equal(kind, 'ended')
  }
  const none = timeLineOf([], BEGAN, NOW)
  t.match(none, { from: BEGAN, to: BEGAN + 1, lanes: [], waiting: 0 })
})
