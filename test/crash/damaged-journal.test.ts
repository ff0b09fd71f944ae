import t from 'tap'
import { BatchStreamError } from '../../lib/core/errors.ts'
import {
  undisturbedRun,
  luck,
  oneOf,
  crashPoints,
  checkTrials,
} from '../support/crash/check-trials.ts'
import type { Trial } from '../support/crash/trial.ts'

/** Scenarios whose journals contain every kind of event. */
const TRIED = ['plain', '413 splits', 'expired rows are asked again', 'reply to a create lost']

/** Crash points, remaining unsynced bytes, and flipped bytes per scenario. */
const STRIDE = { step: 60, byte: 90 }
const FLIPS = 25

/** More than there ever is after the last synced byte. */
const UNSYNCED = 700

const MASKS = [1, 2, 4, 8, 16, 32, 64, 128, 255, 'all to zero'] as const

for (const [nth, scenario] of TRIED.entries()) {
  void t.test(
    `a journal that is cut after its last synced byte does no harm: ${scenario}`,
    async t => {
      const steps = (await undisturbedRun(scenario)).endings[0]?.steps ?? 0
      await checkTrials(t, cuts(scenario, nth, steps))
    },
  )

  void t.test(`a flipped byte is detected or does no harm: ${scenario}`, async t => {
    const steps = (await undisturbedRun(scenario)).endings[0]?.steps ?? 0
    const verdicts = await checkTrials(t, flips(scenario, steps))
    const refused = verdicts.filter(({ endings }) => {
      const error = endings.at(-1)?.error
      return error instanceof BatchStreamError && error.code === 'CBS_STATE'
    })
    t.ok(refused.length > verdicts.length / 2, 'most of them are seen')
  })
}

function* cuts(scenario: string, nth: number, steps: number): Generator<Trial> {
  for (const at of crashPoints(steps, STRIDE.step, nth)) {
    for (const after of crashPoints(UNSYNCED, STRIDE.byte, at)) {
      const damage = { kind: 'cut', after } as const
      yield { scenario, seed: at, incidents: [{ processFault: { kind: 'die', at }, damage }] }
    }
  }
}

function* flips(scenario: string, steps: number): Generator<Trial> {
  for (const { seed, random } of luck(FLIPS)) {
    const at = 1 + random.below(steps)
    const damage = { kind: 'flip', at: random.below(100_000), bits: oneOf(random, MASKS) } as const
    yield { scenario, seed, incidents: [{ processFault: { kind: 'die', at }, damage }] }
  }
}
