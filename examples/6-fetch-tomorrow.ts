// Fetch tomorrow: continues the job of 5-submit-today.ts. Batches at the API are awaited, batches that were not sent (the
// process may have died at any moment) are sent now, and nothing is sent twice. Run it again and it prints the same rows, free.
import { pipeline } from 'node:stream/promises'
import { runBatches } from 'claude-batch-stream'
import { addresses, ASK, BATCH_SIZE, JOB } from './addresses.ts'
import { connect } from './connect.ts'

if (process.env['ANTHROPIC_BASE_URL'] === undefined)
  throw new Error('set ANTHROPIC_BASE_URL, see 5-submit-today.ts')
const { client, poll } = await connect()

const run = runBatches(addresses(), { client, poll, job: JOB, batchSize: BATCH_SIZE, ...ASK })
await pipeline(run.toRows('jsonl'), process.stdout)
