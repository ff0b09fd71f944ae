import t from 'tap'
import { agesOf, leftOf, totalOf } from '../../../lib/cli/progress/run-progress.ts'
import {
  begun,
  endedAt,
  fetchedOf,
  MINUTE,
  sealedOf,
  spentOf,
  progressAfter,
  submittedAt,
} from './reports.ts'

const kept = (records: number, complete: boolean) =>
  ({ type: 'spooled', records, bytes: 1, complete }) as const

t.test('batches are open from sealed to fetched, and run from submitted to ended', async t => {
  const events = [begun(), kept(30, true), sealedOf(1, 10, 10), sealedOf(2, 20, 9)]
  t.match(progressAfter(...events), { records: 30, complete: true, batches: 2, covered: 20 })
  const running = [...events, submittedAt(1, 1000), submittedAt(2, 3000)]
  t.same(agesOf(progressAfter(...running), 5000), [4000, 2000])
  const ended = progressAfter(...running, endedAt(1, 4000))
  t.same(agesOf(ended, 5000), [2000])
  t.match(ended, { done: 0, took: { batches: 1, ms: 3000 } })
  t.match(progressAfter(...running, endedAt(1, 4000), fetchedOf(1)), { done: 1, batches: 2 })
})

t.test('a batch that is split is replaced by its parts', async t => {
  const part = { attempt: 1, next: 5, records: 5, requests: 5, bytes: 1, hash: '' }
  const into = [
    { ...part, number: 2 },
    { ...part, number: 3 },
  ]
  const progress = progressAfter(begun(), sealedOf(1, 10, 10), { type: 'split', number: 1, into })
  t.match(progress, { batches: 2, covered: 10 })
  t.same([...progress.open.keys()], [2, 3])
})

t.test('a resumed job continues from its journal', async t => {
  const batch = { attempt: 1, id: 'msgbatch_1', requests: 10, records: 10, submittedAt: 1000 }
  const progress = progressAfter(
    begun({
      ...{ records: 50, complete: true, batchSize: 10 },
      batches: [
        { ...batch, number: 1, root: 1, next: 10, phase: 'written' },
        { ...batch, number: 2, root: 2, next: 20, phase: 'fetched' },
        { ...batch, number: 3, root: 3, next: 30, phase: 'submitted' },
        { ...batch, number: 4, root: 4, next: 40, phase: 'ended' },
        { ...batch, number: 5, root: 5, next: 0, phase: 'sealed', submittedAt: null, attempt: 2 },
      ],
    }),
  )
  t.match(progress, { records: 50, batches: 5, done: 2, covered: 40 })
  t.same(agesOf(progress, 61_000), [MINUTE])
  t.same(totalOf(progress), { batches: 6, is: 'known' })
})

t.test('the total includes batches that are still to be sealed', async t => {
  const ten = { batchSize: 10 }
  const read = kept(35, true)
  await t.test('while the input is read, only sealed batches count', async t => {
    const events = [begun(ten), kept(35, false), sealedOf(1, 10, 10)]
    t.same(totalOf(progressAfter(...events)), { batches: 1, is: 'at least' })
  })
  await t.test('after that it does not change while batches are sealed', async t => {
    const events = [begun(ten), read]
    t.same(totalOf(progressAfter(...events)), { batches: 4, is: 'estimated' })
    for (const number of [1, 2, 3]) {
      events.push(sealedOf(number, number * 10, 10))
      t.same(totalOf(progressAfter(...events)), { batches: 4, is: 'known' })
    }
    t.same(totalOf(progressAfter(...events, sealedOf(4, 35, 5))), { batches: 4, is: 'known' })
  })
  await t.test('a first batch that is sent alone adds one', async t => {
    const prime = begun({ ...ten, batchEnds: [1] })
    t.equal(totalOf(progressAfter(prime, read)).batches, 5)
    t.equal(totalOf(progressAfter(prime, read, sealedOf(1, 1, 1))).batches, 5)
    const both = begun({ ...ten, batchEnds: [1, 12] })
    t.equal(totalOf(progressAfter(both, read)).batches, 1 + 2 + 3)
    t.equal(totalOf(progressAfter(begun({ ...ten, batchEnds: [99] }), read)).batches, 4)
  })
  await t.test('batches that are full by bytes predict the number of later ones', async t => {
    const events = [begun(ten), read, sealedOf(1, 5, 5)]
    t.same(totalOf(progressAfter(...events)), { batches: 7, is: 'estimated' })
  })
  await t.test('parts of a split batch and retries predict nothing', async t => {
    const part = { phase: 'sealed', attempt: 1, id: null, requests: 1, submittedAt: null } as const
    const batches = [
      { ...part, number: 2, root: 1, records: 1, next: 1 },
      { ...part, number: 3, root: 1, records: 9, next: 10 },
      { ...part, number: 4, root: 4, records: 10, next: 20 },
      { ...part, number: 5, root: 5, records: 1, next: 0, attempt: 2 },
    ]
    const progress = progressAfter(begun({ ...ten, records: 35, complete: true, batches }))
    t.same(totalOf(progress), { batches: 6, is: 'known' })
  })
  await t.test('a command that seals nothing adds none', async t => {
    const none = begun({ batchSize: null })
    t.same(totalOf(progressAfter(none, kept(0, true))), { batches: 0, is: 'known' })
    t.same(totalOf(progressAfter(none, read)), { batches: 0, is: 'at least' })
  })
})

t.test('an end without a start and unrelated events change nothing', async t => {
  const progress = progressAfter(begun(), submittedAt(7, 0), endedAt(8, 5), {
    type: 'workspace',
    id: 'w',
  })
  t.same(progress.took, { batches: 0, ms: 0 })
  t.match(progressAfter(begun(), spentOf(1, null), { type: 'rows', number: 1, rows: 4 }), {
    spent: 1,
    expected: null,
    rows: 4,
  })
})

t.test('a clock that was set back gives no negative age', async t => {
  t.same(agesOf(progressAfter(begun(), submittedAt(1, 5000)), 1000), [0])
  t.same(progressAfter(begun(), submittedAt(1, 5000), endedAt(1, 0)).took, { batches: 1, ms: 0 })
})

t.test('the remaining time', async t => {
  const first = [
    begun({ batchSize: 10 }),
    sealedOf(1, 10, 10),
    submittedAt(1, 0),
    endedAt(1, 10 * MINUTE),
  ]
  const done = [...first, fetchedOf(1)]
  const next = [...done, sealedOf(2, 20, 10), submittedAt(2, 10 * MINUTE)]
  const now = 14 * MINUTE

  await t.test('it is unknown until a batch has ended and the input is read', async t => {
    t.equal(leftOf(progressAfter(begun(), kept(20, true), submittedAt(1, 0)), now), undefined)
    t.equal(leftOf(progressAfter(...next, kept(20, false)), now), undefined)
  })
  await t.test('the rest of the youngest batch', async t => {
    t.equal(leftOf(progressAfter(...next, kept(20, true)), now), 6 * MINUTE)
  })
  await t.test('plus one round for later batches', async t => {
    t.equal(leftOf(progressAfter(...next, kept(40, true)), now), 26 * MINUTE)
  })
  await t.test('parallel batches share the rounds', async t => {
    const two = [...next, sealedOf(3, 30, 10), submittedAt(3, 10 * MINUTE), kept(50, true)]
    t.equal(leftOf(progressAfter(...two), now), 16 * MINUTE)
  })
  await t.test('an overdue batch has no estimate', async t => {
    t.equal(leftOf(progressAfter(...next, kept(20, true)), 30 * MINUTE), undefined)
  })
  await t.test('nothing remains when all is done', async t => {
    t.equal(leftOf(progressAfter(...done, kept(10, true)), now), undefined)
  })
})
