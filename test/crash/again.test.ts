import t from 'tap'
import { survey } from '../support/crash/survey.ts'
import type { Trial } from '../support/crash/trial.ts'

/**
 * Trials that did harm once. To run one that another test has shown:
 *
 *     CRASH_TRIAL='{"scenario":...}' npx tap --disable-coverage test/crash/again.test.ts
 */
const ONCE_HARMFUL: readonly Trial[] = [
  // The job's folder was gone after a power cut, and everything was sent again.
  { scenario: 'plain', seed: 75, blows: [{ fate: { kind: 'die', at: 75 }, crash: 'lost' }] },
  { scenario: 'plain', seed: 83, blows: [{ fate: { kind: 'die', at: 83 }, crash: 'lost' }] },
  // The output was gone after a power cut, and the job refused to go on.
  { scenario: 'plain', seed: 237, blows: [{ fate: { kind: 'die', at: 237 }, crash: 'lost' }] },
]

const given = process.env['CRASH_TRIAL']

void t.test('past failures stay fixed', async t => {
  await survey(t, given === undefined ? ONCE_HARMFUL : [JSON.parse(given)])
})
