import t from 'tap'
import { bytesAlone, isFull } from '../../../lib/stages/aggregate/policy.ts'
import { MAX_REQUESTS } from '../../../lib/core/limits.ts'

const limits = { count: 3, bytes: 100 }

for (const [name, open, next, full] of [
  ['an empty batch takes anything', { requests: 0, bytes: 17, records: 0 }, 5000, false],
  ['a batch with room takes more', { requests: 2, bytes: 50, records: 2 }, 48, false],
  ['the byte too many is for the next', { requests: 2, bytes: 50, records: 2 }, 49, true],
  ['the request too many is for the next', { requests: 3, bytes: 20, records: 3 }, 1, true],
  [
    'rejected records count only against the most rows',
    { requests: 0, bytes: 17, records: MAX_REQUESTS - 1 },
    1,
    false,
  ],
  ['rows end somewhere too', { requests: 0, bytes: 17, records: MAX_REQUESTS }, 1, true],
] as const) {
  void t.test(name, async t => {
    t.equal(isFull(open, next, limits), full)
  })
}

void t.test('a body of one request includes its frame', async t => {
  t.equal(bytesAlone(2), Buffer.byteLength('{"requests":[\n{}\n]}'))
})
