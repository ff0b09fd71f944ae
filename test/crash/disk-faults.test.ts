import t from 'tap'
import type { Crash } from '../support/crash/machine.ts'
import { SCENARIOS } from '../support/crash/scenarios.ts'
import { undisturbedRun, crashPoints, checkTrials } from '../support/crash/check-trials.ts'
import type { Trial } from '../support/crash/trial.ts'

const STRIDE = { plain: 4, other: 80 }

for (const [nth, { name }] of SCENARIOS.entries()) {
  void t.test(`any disk call may fail, and the next run recovers: ${name}`, async t => {
    const calls = (await undisturbedRun(name)).endings[0]?.diskCalls ?? 0
    const verdicts = await checkTrials(t, trials(name, nth, calls))
    const first = verdicts.flatMap(({ endings: [ending] }) => ending ?? [])
    const failed = first.filter(({ how }) => how === 'failed')
    // The number of calls depends on when the emulator replies: a run may end before it makes the call that is to fail.
    const early = first.filter(
      ({ struckAt, diskCalls }) => struckAt === undefined && diskCalls < calls,
    )
    t.equal(failed.length + early.length, verdicts.length, 'a run whose disk fails says so')
    t.ok(failed.length > early.length, 'most calls are made')
  })
}

function* trials(scenario: string, nth: number, calls: number): Generator<Trial> {
  for (const [way, crash] of (['killed', 'lost'] satisfies Crash[]).entries()) {
    const stride = nth === 0 ? STRIDE.plain : STRIDE.other
    for (const at of crashPoints(calls, stride, nth + way))
      yield { scenario, seed: at, incidents: [{ processFault: { kind: 'disk', at }, crash }] }
  }
}
