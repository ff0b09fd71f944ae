import t from 'tap'
import { IdSet } from '../../../lib/stages/aggregate/id-set.ts'

void t.test('an id is new once, also after the table has grown many times', async t => {
  const ids = new IdSet()
  let fresh = 0
  for (let i = 0; i < 20_000; i++) if (ids.add(`id-${i}`)) fresh++
  t.equal(fresh, 20_000)
  let again = 0
  for (let i = 0; i < 20_000; i += 7) if (ids.add(`id-${i}`)) again++
  t.equal(again, 0)
  t.ok(ids.add('another'))
})
