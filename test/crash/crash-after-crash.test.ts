import t from 'tap'
import type { Crash } from '../support/crash/machine.ts'
import { CALL_FAULTS } from '../support/crash/network.ts'
import { Random } from '../support/crash/random.ts'
import { SCENARIOS } from '../support/crash/scenarios.ts'
import {
  undisturbedRun,
  luck,
  oneOf,
  crashPoints,
  checkTrials,
} from '../support/crash/check-trials.ts'
import type { Incident, Trial } from '../support/crash/trial.ts'

/** Trials per scenario. */
const EACH = 10

const CRASHES: readonly Crash[] = ['killed', 'lost', 'torn']

const HOUR_MS = 3_600_000

void t.test('a torn last line of the journal does no harm, even after a second crash', async t => {
  const calm = await undisturbedRun('plain')
  const verdicts = await checkTrials(t, halves(calm.endings[0]?.steps ?? 0))
  t.ok(
    verdicts.some(({ endings }) => endings[0]?.struckAt?.startsWith('write') === true),
    'some of them tear a line',
  )
})

for (const { name } of SCENARIOS) {
  void t.test(`crashes during the recovery do no harm: ${name}`, async t => {
    const calm = await undisturbedRun(name)
    await checkTrials(t, trials(name, calm.endings[0]?.steps ?? 0))
  })
}

/** Steps of a process that opens an existing job and journals its first events. */
const FIRST_STEPS = 40

function* halves(steps: number): Generator<Trial> {
  for (const at of crashPoints(steps, 9, 0)) {
    for (const then of crashPoints(FIRST_STEPS, 13, at)) {
      const incidents: Incident[] = [
        { processFault: { kind: 'die', at, inside: true } },
        { processFault: { kind: 'die', at: then }, crash: oneOf(new Random(at + then), CRASHES) },
      ]
      yield { scenario: 'plain', seed: at, incidents }
    }
  }
}

function* trials(scenario: string, steps: number): Generator<Trial> {
  for (const { seed, random } of luck(EACH)) {
    const incidents = Array.from({ length: 2 + random.below(3) }, () => incidentOf(random, steps))
    yield { scenario, seed, incidents }
  }
}

/** A random crash, possibly with other faults at the same time. */
function incidentOf(random: Random, steps: number): Incident {
  const often = random.next() < 0.6
  return {
    processFault: {
      kind: 'die',
      // A recovery is short, so many crashes must happen early.
      at: 1 + random.below(often ? Math.ceil(steps / 3) : steps),
      inside: random.next() < 0.3,
    },
    crash: oneOf(random, CRASHES),
    ...(random.next() < 0.3 && {
      fault: { at: 1 + random.below(12), how: oneOf(random, CALL_FAULTS) },
    }),
    ...(random.next() < 0.2 && { pauseMs: oneOf(random, [HOUR_MS / 10, HOUR_MS, 30 * HOUR_MS]) }),
    ...(random.next() < 0.2 && { jumpMs: oneOf(random, [-24, -1, 1, 48]) * HOUR_MS }),
  }
}
