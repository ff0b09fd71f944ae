// npm run torture -- --trials 1000 --seed 7: the trials of the suite, as many as you like. A failing seed is printed.
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { trials: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } },
})
const env = { ...process.env, TORTURE_TRIALS: values.trials, TORTURE_SEED: values.seed }
const { status } = spawnSync(
  'tap',
  [
    '--disable-coverage',
    '--allow-empty-coverage',
    '--timeout=0',
    '--reporter=tap',
    'test/torture/torture.test.ts',
  ],
  { env, stdio: 'inherit' },
)
process.exit(status ?? 1)
