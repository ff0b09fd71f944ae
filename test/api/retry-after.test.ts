import t from 'tap'
import { retryAfter } from '../../lib/api/failure.ts'

const NOW = Date.parse('2026-11-20T12:00:00Z')

for (const [headers, ms] of [
  [{ 'retry-after': '5' }, 5000],
  [{ 'retry-after': '0.5' }, 500],
  [{ 'retry-after': '0' }, 0],
  [{ 'retry-after': '3600' }, 3_600_000],
  [{ 'retry-after': '3601' }, undefined],
  [{ 'retry-after': '-1' }, undefined],
  [{ 'retry-after': '1e12' }, undefined],
  [{ 'retry-after': 'Infinity' }, undefined],
  [{ 'retry-after': 'soon' }, undefined],
  [{ 'retry-after': ' ' }, undefined],
  [{ 'retry-after': 'Fri, 20 Nov 2026 12:00:30 GMT' }, 30_000],
  [{ 'retry-after': 'Fri, 20 Nov 2026 11:00:00 GMT' }, undefined],
  [{ 'retry-after-ms': '250', 'retry-after': '9' }, 250],
  [{ 'retry-after-ms': 'x' }, undefined],
  [{}, undefined],
] as const) {
  void t.test(`${JSON.stringify(headers)} asks for a wait of ${ms} ms (N09)`, async t => {
    t.equal(retryAfter(new Headers(headers), NOW), ms)
  })
}

void t.test('a reply without headers asks for no wait', async t => {
  t.equal(retryAfter(undefined, NOW), undefined)
})
