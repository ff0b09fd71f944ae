// Submit today: exits as soon as every batch is submitted. 6-fetch-tomorrow.ts resumes the job in another process.
//
// Both processes need the same API, so start an emulator in a process of its own:
//
//     node dist/bin/claude-batch-stream.js emulate --port 4010 &
//     export ANTHROPIC_BASE_URL=http://127.0.0.1:4010
//     node examples/5-submit-today.ts && node examples/6-fetch-tomorrow.ts
import { aggregate, from, openJob, spool, submit, template } from 'claude-batch-stream'
import { addresses, ASK, BATCH_SIZE, JOB } from './addresses.ts'
import { connect } from './connect.ts'

if (process.env['ANTHROPIC_BASE_URL'] === undefined)
  throw new Error('set ANTHROPIC_BASE_URL as shown at the top of this file')
const { client } = await connect()
const job = await openJob(JOB)

const batches = from(
  addresses(),
  spool({ job }),
  template(ASK),
  aggregate({ job, batchSize: BATCH_SIZE }),
  submit({ client }),
)
for await (const { number, id, requests } of batches)
  console.log(`batch ${number}: ${requests} requests submitted as ${id}`)

await job.close()
