import t from 'tap'
import { agesOf, leftOf } from '../../../lib/cli/progress/standing.ts'
import {
  begun,
  endedAt,
  fetchedOf,
  MINUTE,
  sealedOf,
  spentOf,
  standingAfter,
  submittedAt,
} from './reports.ts'

const kept = (records: number, complete: boolean) =>
  ({ type: 'kept', records, bytes: 1, complete }) as const

t.test('batches are open from sealed to fetched, and run from submitted to ended', async t => {
  const events = [begun(), kept(30, true), sealedOf(1, 10, 10), sealedOf(2, 20, 9)]
  t.match(standingAfter(...events), { records: 30, complete: true, batches: 2, covered: 20 })
  const running = [...events, submittedAt(1, 1000), submittedAt(2, 3000)]
  t.same(agesOf(standingAfter(...running), 5000), [4000, 2000])
  const ended = standingAfter(...running, endedAt(1, 4000))
  t.same(agesOf(ended, 5000), [2000])
  t.match(ended, { done: 0, took: { batches: 1, ms: 3000 } })
  t.match(standingAfter(...running, endedAt(1, 4000), fetchedOf(1)), { done: 1, batches: 2 })
})

t.test('a batch that is split is replaced by its parts', async t => {
  const part = { attempt: 1, next: 5, records: 5, requests: 5, bytes: 1, hash: '' }
  const into = [
    { ...part, number: 2 },
    { ...part, number: 3 },
  ]
  const standing = standingAfter(begun(), sealedOf(1, 10, 10), { type: 'split', number: 1, into })
  t.match(standing, { batches: 2, covered: 10 })
  t.same([...standing.open.keys()], [2, 3])
})

t.test('a job that is gone on with stands where its journal says', async t => {
  const batch = { attempt: 1, id: 'msgbatch_1', requests: 10, records: 10, submittedAt: 1000 }
  const standing = standingAfter({
    ...{ type: 'started', records: 50, complete: true },
    batches: [
      { ...batch, number: 1, phase: 'written' },
      { ...batch, number: 2, phase: 'fetched' },
      { ...batch, number: 3, phase: 'submitted' },
      { ...batch, number: 4, phase: 'ended' },
      { ...batch, number: 5, phase: 'sealed', submittedAt: null, attempt: 2 },
    ],
  })
  t.match(standing, { records: 50, batches: 5, done: 2, covered: 40 })
  t.same(agesOf(standing, 61_000), [MINUTE])
})

t.test(
  'what nobody told is nothing: an end without a beginning, an event of no concern',
  async t => {
    const standing = standingAfter(begun(), submittedAt(7, 0), endedAt(8, 5), {
      type: 'workspace',
      id: 'w',
    })
    t.same(standing.took, { batches: 0, ms: 0 })
    t.match(standingAfter(begun(), spentOf(1, null), { type: 'rows', number: 1, rows: 4 }), {
      spent: 1,
      expected: null,
      rows: 4,
    })
  },
)

t.test('a clock that was set back makes no age below nothing', async t => {
  t.same(agesOf(standingAfter(begun(), submittedAt(1, 5000)), 1000), [0])
  t.same(standingAfter(begun(), submittedAt(1, 5000), endedAt(1, 0)).took, { batches: 1, ms: 0 })
})

t.test('how long it takes yet', async t => {
  const first = [begun(), sealedOf(1, 10, 10), submittedAt(1, 0), endedAt(1, 10 * MINUTE)]
  const done = [...first, fetchedOf(1)]
  const next = [...done, sealedOf(2, 20, 10), submittedAt(2, 10 * MINUTE)]
  const now = 14 * MINUTE

  await t.test('nobody knows before a batch has ended and the input is read', async t => {
    t.equal(leftOf(standingAfter(begun(), kept(20, true), submittedAt(1, 0)), now), undefined)
    t.equal(leftOf(standingAfter(...next, kept(20, false)), now), undefined)
  })
  await t.test('the rest of the youngest batch', async t => {
    t.equal(leftOf(standingAfter(...next, kept(20, true)), now), 6 * MINUTE)
  })
  await t.test('and a round for what is to come', async t => {
    t.equal(leftOf(standingAfter(...next, kept(40, true)), now), 26 * MINUTE)
  })
  await t.test('batches that run side by side share the rounds', async t => {
    const two = [...next, sealedOf(3, 30, 10), submittedAt(3, 10 * MINUTE), kept(50, true)]
    t.equal(leftOf(standingAfter(...two), now), 16 * MINUTE)
  })
  await t.test('a batch that is late already has no known end', async t => {
    t.equal(leftOf(standingAfter(...next, kept(20, true)), 30 * MINUTE), undefined)
  })
  await t.test('nothing is left when all is done', async t => {
    t.equal(leftOf(standingAfter(...done, kept(10, true)), now), undefined)
  })
})
