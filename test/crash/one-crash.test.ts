import t from 'tap'
import type { Crash } from '../support/crash/machine.ts'
import { SCENARIOS } from '../support/crash/scenarios.ts'
import { undisturbedRun, crashPoints, checkTrials } from '../support/crash/check-trials.ts'
import type { Incident, Trial } from '../support/crash/trial.ts'

/** Ways to die before a step: killed, in the middle of a write, or by a power failure. */
const WAYS: readonly { readonly crash: Crash; readonly inside: boolean }[] = [
  { crash: 'killed', inside: false },
  { crash: 'killed', inside: true },
  { crash: 'lost', inside: false },
  { crash: 'torn', inside: false },
  { crash: 'torn', inside: true },
]

/** In the plain scenario, the ways together cover every step; the other scenarios are sampled. */
const STRIDE = { plain: 5, other: (steps: number): number => Math.max(100, Math.ceil(steps / 8)) }

void t.test(
  'without a crash, every scenario bills each record once and writes its row',
  async t => {
    for (const { name } of SCENARIOS) t.same((await undisturbedRun(name)).complaints, [], name)
  },
)

for (const [nth, { name }] of SCENARIOS.entries()) {
  void t.test(`a crash at any step does no harm: ${name}`, async t => {
    const [calm] = (await undisturbedRun(name)).endings
    const verdicts = await checkTrials(t, trials(name, nth, calm?.steps ?? 0))
    t.ok(
      verdicts.every(({ endings }) => endings[0]?.how !== 'failed'),
      'no process fails by itself',
    )
  })
}

function* trials(scenario: string, nth: number, steps: number): Generator<Trial> {
  for (const [way, { crash, inside }] of WAYS.entries()) {
    const stride = nth === 0 ? STRIDE.plain : STRIDE.other(steps)
    for (const at of crashPoints(steps + 1, stride, nth + way)) {
      const incident: Incident = { processFault: { kind: 'die', at, inside }, crash }
      yield { scenario, seed: at, incidents: [incident] }
    }
  }
}
