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
    const failed = verdicts.filter(({ endings }) => endings[0]?.how === 'failed')
    t.equal(failed.length, verdicts.length, 'a run whose disk fails says so')
  })
}

function* trials(scenario: string, nth: number, calls: number): Generator<Trial> {
  for (const [way, crash] of (['killed', 'lost'] satisfies Crash[]).entries()) {
    const stride = nth === 0 ? STRIDE.plain : STRIDE.other
    for (const at of crashPoints(calls, stride, nth + way))
      yield { scenario, seed: at, incidents: [{ processFault: { kind: 'disk', at }, crash }] }
  }
}
