import t from 'tap'
import { lineOf, span } from '../../../lib/cli/progress/line.ts'
import type { ProgramEvent } from '../../../lib/cli/progress/report.ts'
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

const FULL = progressAfter(
  begun({ records: 40_000, complete: true }),
  ...[1, 2, 3, 4].map(number => sealedOf(number, number * 10_000, 10_000)),
  ...[1, 2, 3].map(number => submittedAt(number, number * MINUTE)),
  endedAt(1, 21 * MINUTE),
  fetchedOf(1),
  { type: 'rows', number: 1, rows: 10_000 },
  spentOf(1.2, 4.8),
)
const LINE =
  '40,000 records, 1 of 4 batches done, 10,000 rows, $1.20 of about $4.80, about 31m left, 2 running: 10m 9m'

t.test('one line shows all that matters in a job of hours', async t => {
  t.equal(lineOf(FULL, 12 * MINUTE), LINE)
})

t.test('a narrow terminal shows as many whole parts as fit', async t => {
  for (let width = 14; width <= LINE.length; width++) {
    const line = lineOf(FULL, 12 * MINUTE, width)
    t.ok(line.length <= width, `${width}: ${line}`)
    const rest = LINE.slice(line.length)
    t.ok(LINE.startsWith(line) && /^($|, |: 10m| 9m)/.test(rest), `${width}: ${line}`)
  }
  t.equal(lineOf(FULL, 12 * MINUTE, 6), '40,000')
  t.equal(lineOf(FULL, 12 * MINUTE, 0), '')
})

t.test('unknown values are left out', async t => {
  t.equal(lineOf(progressAfter(begun()), 0), '0 records so far, 0 batches done, 0 rows')
  t.match(lineOf(progressAfter(begun(), spentOf(0.002, null)), 0), /, \$0\.00200$/)
})

t.test('a total that may still change is not shown as final', async t => {
  const line = (...events: readonly ProgramEvent[]): string =>
    lineOf(progressAfter(...events), 0).split(', ')[1] ?? ''
  const kept = { type: 'spooled', records: 25, bytes: 1, complete: true } as const
  const first = [begun({ batchSize: 10 }), sealedOf(1, 10, 10)]
  t.equal(line(...first), '0 of at least 1 batch done')
  t.equal(line(begun({ batchSize: 10 }), kept), '0 of about 3 batches done')
  t.equal(line(...first, kept), '0 of 3 batches done')
  t.equal(line(begun({ batchSize: 10 }), sealedOf(1, 5, 5), kept), '0 of about 5 batches done')
})

t.test('durations are formatted for people', async t => {
  t.same([0, 59_400, 60_000, 59 * MINUTE, 60 * MINUTE, 1445 * MINUTE].map(span), [
    '0s',
    '59s',
    '1m',
    '59m',
    '1h00m',
    '24h05m',
  ])
})
