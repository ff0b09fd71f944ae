// Fetch tomorrow: goes on with the job of 5-submit-today.mjs. What had been sent is waited for, what had not (the process may
// have died at any moment) is sent now, and nothing is sent twice. Run it again and it prints the same rows, free.
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { chain, openJob, writeJsonl } from 'claude-batch-stream'
import { connect } from './connect.mjs'
import { JOB, fetching, submitting } from './submit-and-fetch.mjs'

if (!process.env.ANTHROPIC_BASE_URL)
  throw new Error('set ANTHROPIC_BASE_URL, see 5-submit-today.mjs')
const { client, pollMs } = await connect()
const job = await openJob(JOB)

await pipeline(
  // The records that no batch holds yet; the batches themselves come out of the job.
  Readable.from(job.uncovered()),
  chain(submitting(client, job), fetching(client, job, pollMs)),
  writeJsonl(),
  process.stdout,
)

await job.close()
