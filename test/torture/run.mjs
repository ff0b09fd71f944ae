// npm run torture -- --trials 1000 --seed 7: the trials of the suite, as many as you like. A failing seed is printed.
// npm run torture -- --single-items: the stages of the program exchange single items instead of pages.
// npm run torture -- --workers 3 --trials 300: workers that share a ledger in PostgreSQL.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    trials: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    workers: { type: 'string' },
    'single-items': { type: 'boolean', default: false },
  },
})
const env = {
  ...process.env,
  TORTURE_TRIALS: values.trials,
  TORTURE_SEED: values.seed,
  TORTURE_SINGLE_ITEMS: values['single-items'] ? '1' : '',
  TORTURE_WORKERS: values.workers ?? '3',
}
const { status } = spawnSync(
  'tap',
  [
    '--disable-coverage',
    '--allow-empty-coverage',
    '--timeout=0',
    '--reporter=tap',
    values.workers === undefined ? 'test/torture/torture.test.ts' : 'test/torture/workers.test.ts',
  ],
  { env, stdio: 'inherit' },
)
process.exit(status ?? 1)
