import t from 'tap'
import { freeCount } from '../../lib/job/tags.ts'

for (const [most, taken, count] of [
  [10, [], 10],
  [10, [10, 9], 8],
  [10, [10, 9, 8, 7, 6], 10],
  [10, [10, 9, 8, 7], 6],
  [3, [3], 2],
  [1, [1], 1],
  [1, [], 1],
] as const) {
  void t.test(`of ${most} with ${taken.join()} being looked for the next has ${count}`, async t => {
    t.equal(freeCount(most, new Set(taken)), count)
  })
}
