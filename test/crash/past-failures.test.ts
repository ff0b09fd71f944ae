import t from 'tap'
import { checkTrials } from '../support/crash/check-trials.ts'
import type { Trial } from '../support/crash/trial.ts'

/**
 * Trials that failed in the past. To run one that another test has reported:
 *
 *     CRASH_TRIAL='{"scenario":...}' npx tap --disable-coverage test/crash/past-failures.test.ts
 */
const PAST_FAILURES: readonly Trial[] = [
  // The job's folder was lost in a power failure, and everything was sent again.
  {
    scenario: 'plain',
    seed: 75,
    incidents: [{ processFault: { kind: 'die', at: 75 }, crash: 'lost' }],
  },
  {
    scenario: 'plain',
    seed: 83,
    incidents: [{ processFault: { kind: 'die', at: 83 }, crash: 'lost' }],
  },
  // The output was lost in a power failure, and the job refused to resume.
  {
    scenario: 'plain',
    seed: 237,
    incidents: [{ processFault: { kind: 'die', at: 237 }, crash: 'lost' }],
  },
]

const given = process.env['CRASH_TRIAL']

void t.test('past failures stay fixed', async t => {
  await checkTrials(t, given === undefined ? PAST_FAILURES : [JSON.parse(given)])
})
