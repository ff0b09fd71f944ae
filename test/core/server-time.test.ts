import t from 'tap'
import { ServerTime } from '../../lib/core/session.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

void t.test(
  "the API's time continues from its last reply, whatever the local clock does",
  async t => {
    const clock = new VirtualClock()
    const time = new ServerTime(clock)
    t.equal(time.now(), null)
    time.observe(null)
    t.equal(time.now(), null)
    time.observe('Fri, 20 Nov 2026 10:00:00 GMT')
    clock.pass(5000)
    clock.jump(-3_600_000)
    t.equal(time.now(), Date.parse('2026-11-20T10:00:05Z'))
    t.equal(time.sure(), null)
    time.observe('not a date')
    t.equal(time.now(), Date.parse('2026-11-20T10:00:05Z'))
  },
)

void t.test("the API's time is certain until the machine sleeps", async t => {
  const clock = new VirtualClock()
  const time = new ServerTime(clock)
  t.equal(time.sure(), null)
  time.observe('Fri, 20 Nov 2026 10:00:00 GMT')
  clock.pass(3_600_000)
  clock.jump(50_000)
  t.equal(time.sure(), Date.parse('2026-11-20T11:00:00Z'))
  clock.jump(50_000)
  t.equal(time.sure(), null)
  time.observe('Fri, 20 Nov 2026 11:00:50 GMT')
  t.equal(time.sure(), Date.parse('2026-11-20T11:00:50Z'))
})
