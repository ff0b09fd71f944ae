import t from 'tap'
import { CALL_FAULTS } from '../support/crash/network.ts'
import { SCENARIOS } from '../support/crash/scenarios.ts'
import { undisturbedRun, crashPoints, checkTrials } from '../support/crash/check-trials.ts'
import type { Trial } from '../support/crash/trial.ts'

/** The distance of the calls that fail; a scenario that waits for long has many calls of the same kind. */
const STRIDE = { plain: 3, other: (calls: number): number => Math.max(30, Math.ceil(calls / 4)) }

for (const [nth, { name }] of SCENARIOS.entries()) {
  void t.test(`any API call may fail in any way, and the run survives it: ${name}`, async t => {
    const calls = (await undisturbedRun(name)).endings[0]?.calls ?? 0
    const verdicts = await checkTrials(t, trials(name, nth, calls))
    t.ok(
      verdicts.every(({ endings }) => endings[0]?.how === 'finished'),
      'no run needs a second start',
    )
  })
}

function* trials(scenario: string, nth: number, calls: number): Generator<Trial> {
  for (const [way, how] of CALL_FAULTS.entries()) {
    const stride = nth === 0 ? STRIDE.plain : STRIDE.other(calls)
    for (const at of crashPoints(calls, stride, nth + way))
      yield { scenario, seed: at, incidents: [{ fault: { at, how } }] }
  }
}
