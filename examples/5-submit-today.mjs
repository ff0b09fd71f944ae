// Submit today: ends as soon as the API has every batch. 6-fetch-tomorrow.mjs goes on in another process.
//
// An emulator of their own would die between the two, so these want one that runs beside them:
//
//     node dist/bin/claude-batch-stream.js emulate --port 4010 &
//     export ANTHROPIC_BASE_URL=http://127.0.0.1:4010
//     node examples/5-submit-today.mjs && node examples/6-fetch-tomorrow.mjs
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { keep, openJob, parseCsv } from 'claude-batch-stream'
import { connect } from './connect.mjs'
import { JOB, submitting } from './submit-and-fetch.mjs'

if (!process.env.ANTHROPIC_BASE_URL) throw new Error('set ANTHROPIC_BASE_URL, see the first lines')
const { client } = await connect()
const job = await openJob(JOB)

await pipeline(
  createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
  parseCsv(),
  keep({ job }),
  submitting(client, job),
  async batches => {
    for await (const { number, id, requests } of batches)
      console.log(`batch ${number}: ${requests} requests are at the API as ${id}`)
  },
)

await job.close()
