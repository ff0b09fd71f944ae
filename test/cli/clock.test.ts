import t from 'tap'
import { systemClock, type Clock } from '../../lib/core/clock.ts'
import { csv, placeFor } from './world.ts'

const HOUR_MS = 3_600_000

/** The system's clock, an hour ahead. */
const AHEAD: Clock = {
  now: () => systemClock.now() + HOUR_MS,
  elapsed: () => systemClock.elapsed(),
  sleep: (ms, signal) => systemClock.sleep(ms, signal),
}

t.test('every command takes the time from the injected clock', async t => {
  const place = await placeFor(t, { batchTimeMs: HOUR_MS })
  const ask = ['-p', 'Say {{text}}', '--job', 'j', '--detach']
  t.equal((await place.run(ask, { stdin: csv(2) })).code, 0)
  const now = await place.run(['status', 'j', '--json'])
  const later = await place.run(['status', 'j', '--json'], { clock: AHEAD })
  t.ok(JSON.parse(now.out).batches[0].age_s < 3600)
  t.ok(JSON.parse(later.out).batches[0].age_s >= 3600)
  const made = async (clock?: Clock): Promise<string | undefined> =>
    /Made by claude-batch-stream (.*?) from/.exec(
      (await place.run(['report', 'j'], { clock })).out,
    )?.[1]
  t.not(await made(AHEAD), await made())
  t.match(await place.run(['doctor'], { clock: AHEAD }), {
    out: /BAD {2}the clock differs from the API's by -360\d s/,
  })
})
