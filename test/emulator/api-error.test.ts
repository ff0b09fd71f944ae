import t from 'tap'
import { apiErrorOf, invalid } from '../../lib/emulator/api-error.ts'

t.test('an error other than an ApiError is not turned into a reply', async t => {
  const spoken = invalid('a: b')
  t.equal(apiErrorOf(spoken), spoken)
  const bug = new RangeError('a bug')
  t.throws(() => apiErrorOf(bug), bug)
})
