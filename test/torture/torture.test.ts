import t from 'tap'
import { trial } from './trial.ts'

// `npm run torture -- --trials 1000 --seed 7` sets these.
const TRIALS = Number(process.env['TORTURE_TRIALS'] ?? 6)
const SEED = Number(process.env['TORTURE_SEED'] ?? 1)
const AT_ONCE = 2

t.test(`a real process, killed at random moments: ${TRIALS} trials from seed ${SEED}`, async t => {
  const folder = t.testdir()
  const totals = { trials: 0, kills: 0, runs: 0, bad: 0 }
  let next = SEED
  const work = async (): Promise<void> => {
    while (next < SEED + TRIALS) {
      const report = await trial(next++, folder)
      totals.trials += 1
      totals.kills += report.kills
      totals.runs += report.runs
      if (report.problems.length === 0) continue
      totals.bad += 1
      t.fail(
        `seed ${report.seed} (${report.kills} kills, ${report.runs} runs): ${report.problems.slice(0, 3).join('; ')}`,
      )
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  t.comment(
    `${totals.trials} trials, ${totals.runs} runs, ${totals.kills} kills, ${totals.bad} with problems`,
  )
  t.equal(totals.bad, 0, 'nothing paid twice, nothing lost, one row each')
  t.ok(totals.kills > 0, 'something was killed')
})
