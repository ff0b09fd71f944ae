import t from 'tap'
import { NO_POSTGRES, startPostgres } from '../support/postgres.ts'
import { workersTrial, type Harm } from './workers.ts'

// `npm run torture -- --workers 3 --trials 300 --seed 7` sets these.
const TRIALS = Number(process.env['TORTURE_TRIALS'] ?? 1)
const SEED = Number(process.env['TORTURE_SEED'] ?? 1)
const WORKERS = Number(process.env['TORTURE_WORKERS'] ?? 3)

t.setTimeout(0)

void t.test(
  `${WORKERS} workers with one ledger: ${TRIALS} trials from seed ${SEED}`,
  { skip: NO_POSTGRES },
  async t => {
    const server = await startPostgres()
    t.teardown(() => server.stop())
    const pool = server.pool()
    const folder = process.env['TORTURE_DIR'] ?? t.testdir()
    const totals: Record<string, number> = { trials: 0, runs: 0, bad: 0 }
    for (let seed = SEED; seed < SEED + TRIALS; seed++) {
      const report = await workersTrial(seed, folder, WORKERS, server, pool)
      totals['trials'] = (totals['trials'] ?? 0) + 1
      totals['runs'] = (totals['runs'] ?? 0) + report.runs
      for (const [what, times] of Object.entries(report.harm satisfies Harm))
        totals[what] = (totals[what] ?? 0) + times
      // Shows how far a long run has got, in case it is interrupted.
      if (totals['trials'] % 10 === 0) t.comment(JSON.stringify(totals))
      if (report.problems.length === 0) continue
      totals['bad'] = (totals['bad'] ?? 0) + 1
      t.fail(`seed ${seed} (${report.runs} runs): ${report.problems.slice(0, 3).join('; ')}`)
    }
    t.comment(JSON.stringify(totals))
    t.equal(totals['bad'], 0, 'nothing paid twice, nothing lost, one row each, nothing reserved')
  },
)
