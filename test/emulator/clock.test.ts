import { getEventListeners } from 'node:events'
import t from 'tap'
import { rfc3339, sleep, SYSTEM_CLOCK } from '../../lib/emulator/clock.ts'

t.test('times have microseconds', async t => {
  t.equal(rfc3339(0), '1970-01-01T00:00:00.000000Z')
  t.equal(rfc3339(1_234, 5_007), '1970-01-01T00:00:01.234007Z')
})

t.test('a sleep ends by time or by its signal, and removes its listener', async t => {
  const abort = new AbortController()
  await sleep(SYSTEM_CLOCK, 1, abort.signal)
  t.equal(getEventListeners(abort.signal, 'abort').length, 0)
  const long = sleep(SYSTEM_CLOCK, 'forever', abort.signal)
  abort.abort()
  await long
  t.equal(getEventListeners(abort.signal, 'abort').length, 0)
  await sleep(SYSTEM_CLOCK, 'forever', abort.signal)
})

t.test('a clock may bring its own sleep', async t => {
  const slept: number[] = []
  const clock = { now: () => 0, sleep: async (ms: number) => void slept.push(ms) }
  const { signal } = new AbortController()
  await sleep(clock, 5, signal)
  await sleep(clock, 'forever', signal)
  t.same(slept, [5, 2 ** 31 - 1])
})
