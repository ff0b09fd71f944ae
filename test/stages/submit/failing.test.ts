import t from 'tap'
import type { BatchState } from '../../../lib/core/job/state.ts'
import { afterFailure } from '../../../lib/stages/submit/failing.ts'

const MINUTE = 60_000

type Known = Partial<
  Pick<BatchState, 'phase' | 'bytes' | 'failed' | 'requests' | 'root' | 'submittedAt'>
>

function next(one: Known, other: Known = {}): string {
  const batches = new Map(
    [one, other].map((known, index) => {
      const number = index + 1
      // No other member is read.
      const usual = { number, root: number, requests: 8, bytes: 1000, submittedAt: null }
      return [number, { ...usual, ...known }] as const
    }),
  ) as unknown as ReadonlyMap<number, BatchState>
  return afterFailure({ batches }, 1, { now: 100 * MINUTE, settleMs: 10 * MINUTE })
}

const LONG_AGO = 50 * MINUTE
const OFTEN = { times: 3, apart: 0, since: LONG_AGO }
const HALVED = { phase: 'void', failed: OFTEN } as const

for (const [name, one, other, decision] of [
  ['that has not failed', {}, {}, 'again'],
  ['that has failed twice', { failed: { ...OFTEN, times: 2 } }, {}, 'again'],
  ['that fails for a minute', { failed: { ...OFTEN, times: 9, since: 99 * MINUTE } }, {}, 'again'],
  ['that fails alone', { failed: OFTEN }, {}, 'split'],
  ['that fails like another', { failed: OFTEN }, { failed: OFTEN }, 'again'],
  [
    'that fails while another is accepted',
    { failed: { ...OFTEN, apart: 1 } },
    { failed: OFTEN },
    'split',
  ],
  ['whose like was accepted', { failed: OFTEN }, { failed: OFTEN, submittedAt: LONG_AGO }, 'split'],
  ['of one request', { requests: 1, failed: OFTEN }, {}, 'again'],
  ['of one request beside others', { requests: 1, failed: { ...OFTEN, apart: 2 } }, {}, 'again'],
  [
    'of one request that fails alone',
    { requests: 1, failed: { ...OFTEN, apart: 3 } },
    {},
    'reject',
  ],
  ['that is a large half', { root: 2, bytes: 10_000_000, failed: OFTEN }, HALVED, 'split'],
  ['that is a half', { root: 2, failed: { ...OFTEN, times: 9 } }, HALVED, 'again'],
  ['that was split for another reason', { root: 2, failed: OFTEN }, { phase: 'void' }, 'split'],
  [
    'that is a half, and the other one is accepted',
    { root: 2, failed: { times: 1, apart: 1, since: 99 * MINUTE } },
    HALVED,
    'split',
  ],
] as const)
  void t.test(`after the failed create of a batch ${name}: ${decision}`, async t => {
    t.equal(next(one, other), decision)
  })
