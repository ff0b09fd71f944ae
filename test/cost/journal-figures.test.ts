import t from 'tap'
import type { JobEvent, Sealed } from '../../lib/core/job/event.ts'
import { fold, type JobState, VERSION } from '../../lib/core/job/state.ts'
import { estimateOf, reservedOf } from '../../lib/cost/journal-figures.ts'
import { listPrice } from '../../lib/cost/price.ts'
import { usdNumber } from '../../lib/cost/usd.ts'

const COMMON = { model: 'claude-haiku-5-5', max_tokens: 1024 }

function batch(number: number, more: Partial<Sealed> = {}): JobEvent {
  const size = { records: 10, requests: 10, bytes: 10 * (45 + 350) }
  return { type: 'sealed', number, attempt: 1, next: 10, hash: '', ...size, ...more }
}

function state(...events: JobEvent[]): JobState {
  const opened: JobEvent = { type: 'opened', version: VERSION, run: 'test', at: 0 }
  // The first event always exists.
  return fold([opened, ...events]) as JobState
}

t.test('a job without a batch has no estimate', async t => {
  t.equal(estimateOf(state(), COMMON, listPrice), undefined)
})

t.test(
  'the estimate of a job follows from the bytes of its requests and answers of 100 tokens',
  async t => {
    const estimate = estimateOf(state(batch(1), batch(2)), COMMON, listPrice)
    t.equal(usdNumber(estimate ?? 0n), (20 * (100 * 0.05 + 100 * 0.25)) / 1e6)
  },
)

t.test('retries of failed rows and batches that were split do not count twice', async t => {
  const { type: _, ...part } = batch(3) as JobEvent & { type: 'sealed' }
  const whole = state(
    batch(1),
    { type: 'split', number: 1, into: [part] },
    batch(2, { attempt: 2 }),
  )
  t.equal(estimateOf(whole, COMMON, listPrice), estimateOf(state(batch(1)), COMMON, listPrice))
})

t.test('spooled records that are not in a batch yet are expected to cost as much', async t => {
  const half = state(batch(1), { type: 'spooled', records: 20, bytes: 0, complete: true })
  const both = state(batch(1), batch(2))
  t.equal(estimateOf(half, COMMON, listPrice), estimateOf(both, COMMON, listPrice))
})

t.test('an unknown price makes the estimate unknown', async t => {
  t.equal(estimateOf(state(batch(1)), { ...COMMON, model: 'x' }, listPrice), undefined)
})

t.test('the reserve is the worst case of the batches in flight', async t => {
  const reserve = (number: number, amount: string): JobEvent => ({
    type: 'reserved',
    number,
    amount,
  })
  t.equal(reservedOf(state(batch(1))), undefined)
  const some = state(
    ...[batch(1), batch(2), batch(3), reserve(1, '5'), reserve(2, '7'), reserve(3, '11')],
    { type: 'submitted', number: 2, id: 'b', at: 0, adopted: false },
    { type: 'ended', number: 2, counts: null, resultsUrl: null, at: 0 },
    { type: 'fetched', number: 2, lines: 0, bytes: 0, why: null },
    { type: 'split', number: 3, into: [] },
  )
  t.equal(reservedOf(some), 5n)
})
