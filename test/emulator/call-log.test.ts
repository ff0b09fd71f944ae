import t from 'tap'
import { CallLog } from '../../lib/emulator/call-log.ts'

t.test('every call is counted, and the last 10,000 are remembered', async t => {
  const log = new CallLog()
  for (let at = 0; at < 45_678; at++)
    log.add({ op: 'list', status: at % 2 === 0 ? 200 : 529, at, id: undefined })
  t.same(log.counts(), [
    { op: 'list', status: 200, count: 22_839 },
    { op: 'list', status: 529, count: 22_839 },
  ])
  t.equal(log.last().length, 10_000)
  t.equal(log.last()[0]?.at, 35_678)
  t.equal(log.last().at(-1)?.at, 45_677)
})
