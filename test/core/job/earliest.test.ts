import t from 'tap'
import type { BatchState, Phase } from '../../../lib/core/job/state.ts'
import { compareByRecord, earliest } from '../../../lib/core/job/earliest.ts'

function batch(number: number, first?: number, phase: Phase = 'sealed', attempt = 1): BatchState {
  return {
    ...{
      number,
      root: number,
      attempt,
      phase,
      next: 0,
      records: 1,
      requests: 1,
      bytes: 0,
      hash: '',
    },
    ...(first !== undefined && { first }),
    ...{ armed: null, candidates: {}, id: null, submittedAt: null, endedAt: null },
    ...{ counts: null, resultsUrl: null, fetched: null, fetchOrder: null },
  }
}

void t.test('the batch with the earliest record is next, whatever its number', async t => {
  const batches = [batch(1, 40), batch(2, 20), batch(3, 30)]
  t.equal(earliest(batches, 1, new Set())?.number, 2)
  t.equal(earliest(batches, 1, new Set([2]))?.number, 3)
  t.equal(earliest(batches, 1, new Set([1, 2, 3])), undefined)
})

void t.test('a split batch, and a batch of another attempt, are not waited for', async t => {
  const batches = [batch(1, 0, 'void'), batch(2, 1, 'ended', 2), batch(3, 5)]
  t.equal(earliest(batches, 1, new Set())?.number, 3)
  t.equal(earliest(batches, 2, new Set())?.number, 2)
})

void t.test('batches without records keep the order of their numbers', async t => {
  t.same(
    [batch(3), batch(1), batch(2)].sort(compareByRecord).map(({ number }) => number),
    [1, 2, 3],
  )
})
