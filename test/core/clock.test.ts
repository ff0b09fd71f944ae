import t from 'tap'
import { systemClock } from '../../lib/core/clock.ts'

void t.test('elapsed time increases, and wall time is the current time', async t => {
  const from = systemClock.elapsed()
  const wall = Date.now()
  await systemClock.sleep(5)
  t.ok(systemClock.elapsed() > from)
  t.ok(systemClock.now() >= wall)
})

void t.test('a sleep ends at once when its signal aborts, and leaves no timer', async t => {
  const stop = new AbortController()
  const sleeping = systemClock.sleep(3_600_000, stop.signal)
  stop.abort()
  await t.rejects(sleeping, { name: 'AbortError' })
  t.notOk(process.getActiveResourcesInfo().includes('Timeout'))
})
