// Fetch tomorrow: resumes the job of 5-submit-today.ts. It waits for submitted batches, submits those that the first process did
// not (it may have crashed at any point), and sends nothing twice. Running it again prints the same rows at no cost.
import { pipeline } from 'node:stream/promises'
import { runBatches } from 'claude-batch-stream'
import { addresses, ASK, BATCH_SIZE, JOB } from './addresses.ts'
import { connect } from './connect.ts'

if (process.env['ANTHROPIC_BASE_URL'] === undefined)
  throw new Error('set ANTHROPIC_BASE_URL as shown at the top of 5-submit-today.ts')
const { client, poll } = await connect()

const run = runBatches(addresses(), { client, poll, job: JOB, batchSize: BATCH_SIZE, ...ASK })
await pipeline(run.toRows('jsonl'), process.stdout)
