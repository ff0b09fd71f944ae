import t from 'tap'
import type { Crash } from '../support/crash/machine.ts'
import { SCENARIOS } from '../support/crash/scenarios.ts'
import { calmRun, places, survey } from '../support/crash/survey.ts'
import type { Blow, Trial } from '../support/crash/trial.ts'

/** Ways to die before a step: killed, with half of a write done, or with the power cut. */
const WAYS: readonly { readonly crash: Crash; readonly inside: boolean }[] = [
  { crash: 'kept', inside: false },
  { crash: 'kept', inside: true },
  { crash: 'lost', inside: false },
  { crash: 'torn', inside: false },
  { crash: 'torn', inside: true },
]

/** The plain run is tried so that the ways together strike at each of its steps; the others are tried more thinly. */
const STRIDE = { plain: 5, other: 100 }

void t.test(
  'without a crash, every scenario bills each record once and writes its row',
  async t => {
    for (const { name } of SCENARIOS) t.same((await calmRun(name)).complaints, [], name)
  },
)

for (const [nth, { name }] of SCENARIOS.entries()) {
  void t.test(`a crash at any step does no harm: ${name}`, async t => {
    const [calm] = (await calmRun(name)).endings
    const verdicts = await survey(t, trials(name, nth, calm?.steps ?? 0))
    t.ok(
      verdicts.every(({ endings }) => endings[0]?.how !== 'failed'),
      'no process fails by itself',
    )
  })
}

function* trials(scenario: string, nth: number, steps: number): Generator<Trial> {
  for (const [way, { crash, inside }] of WAYS.entries()) {
    const stride = nth === 0 ? STRIDE.plain : STRIDE.other
    for (const at of places(steps + 1, stride, nth + way)) {
      const blow: Blow = { fate: { kind: 'die', at, inside }, crash }
      yield { scenario, seed: at, blows: [blow] }
    }
  }
}
