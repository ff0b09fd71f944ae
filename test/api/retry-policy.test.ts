import t from 'tap'
import type { Failure } from '../../lib/api/failure.ts'
import { backoff, waitBeforeRetry, type Trouble } from '../../lib/api/retry-policy.ts'

const DAY = 24 * 60 * 60 * 1000
const trouble: Trouble = { failures: 1, malformed: 1, forMs: 0, answered: true, random: 0 }

function failure(kind: Failure['kind'], retryAfterMs?: number): Failure {
  return { kind, message: '', status: null, retryAfterMs, cause: undefined }
}

void t.test('waits double from half a second to a minute, minus up to a quarter', async t => {
  t.same(
    [1, 2, 3, 7, 8, 9, 1000].map(failures => backoff({ failures, random: 0 })),
    [500, 1000, 2000, 32_000, 60_000, 60_000, 60_000],
  )
  t.equal(backoff({ failures: 1, random: 1 }), 375)
})

for (const [name, kind, retryAfterMs, more, wait] of [
  ['a failure of an API that has replied before', 'server', undefined, { failures: 3 }, 2000],
  ['no reply', 'network', undefined, {}, 500],
  ['a requested wait', 'busy', 5000, {}, 5000],
  ['a requested wait of zero still waits', 'busy', 0, { failures: 9 }, 500],
  ['an outage of almost a day', 'network', undefined, { failures: 999, forMs: DAY - 1 }, 60_000],
  ['an outage of a day', 'network', undefined, { failures: 999, forMs: DAY }, null],
  [
    'an API that has never replied, fifth failure',
    'network',
    undefined,
    { failures: 5, answered: false },
    8000,
  ],
  [
    'an API that has never replied, sixth failure',
    'network',
    undefined,
    { failures: 6, answered: false },
    null,
  ],
  [
    'a malformed reply, fourth time (N32)',
    'malformed',
    undefined,
    { failures: 4, malformed: 4 },
    4000,
  ],
  ['a malformed reply, fifth time (N32)', 'malformed', undefined, { malformed: 5 }, null],
  ['a malformed reply after an outage', 'malformed', undefined, { failures: 99 }, 60_000],
  ['a rejected key', 'access', undefined, {}, null],
  ['a redirect', 'redirect', undefined, {}, null],
  ['a refusal', 'refused', undefined, {}, null],
] as const) {
  void t.test(`${name}: ${wait === null ? 'gives up' : `retries after ${wait} ms`}`, async t => {
    t.equal(waitBeforeRetry(failure(kind, retryAfterMs), { ...trouble, ...more }), wait)
  })
}
