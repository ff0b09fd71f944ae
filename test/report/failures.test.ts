import t from 'tap'
import { Failures, MOST_GROUPS } from '../../lib/report/failures.ts'

const problem = (message: string) => ({ type: 'invalid_request_error', message })

t.test(
  'failures that differ only in numbers are one kind, and the largest kind comes first',
  async t => {
    const failures = new Failures()
    failures.add('refused', problem('no'), 0)
    failures.add('errored', problem('12 tokens are too many'), 9)
    failures.add('errored', problem('7 tokens are too many'), 3)
    failures.add('errored', problem('7 stamps are too many'), 1)
    failures.add('refused', { type: 'refusal', message: 'no' }, 2)
    t.match(failures.groups, [
      { status: 'errored', message: '12 tokens are too many', count: 2, ordinals: [3, 9] },
      { count: 1 },
      { count: 1 },
      { count: 1 },
    ])
    t.equal(failures.others, 0)
  },
)

t.test('the first records of each kind are kept, in any order of arrival', async t => {
  const failures = new Failures()
  for (const ordinal of [9, 8, 7, 1, 2, 3, 6, 5, 4]) failures.add('expired', problem('x'), ordinal)
  t.match(failures.groups, [{ count: 9, ordinals: [1, 2, 3, 4, 5] }])
  t.equal(failures.groups[0]?.ordinals.length, 5)
})

t.test('memory is bounded for any number of kinds, however long', async t => {
  const failures = new Failures()
  const letters = (number: number): string =>
    [...String(number)].map(digit => String.fromCharCode(97 + Number(digit))).join('')
  for (let kind = 0; kind < 1000; kind++)
    failures.add('invalid', problem(letters(kind) + 'x'.repeat(10_000)), kind)
  t.equal(failures.groups.length, MOST_GROUPS)
  t.equal(failures.others, 1000 - MOST_GROUPS)
  t.match(failures.groups[0]?.message, /^a.{599}…$/)
})
