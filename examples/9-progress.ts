// Your own progress display: a run reports each event as a typed object.
import { runBatches, type RunEvent } from 'claude-batch-stream'
import { connect } from './connect.ts'

const { client, poll, close } = await connect()

const questions = Array.from({ length: 40 }, (_, n) => ({ text: `What is ${n} times ${n}?` }))

const bar = { sealed: 0, submitted: 0, ended: 0, rows: 0 }
function draw(event: RunEvent): void {
  switch (event.type) {
    case 'sealed':
    case 'submitted':
    case 'ended':
      bar[event.type] += 1
      break
    case 'rows':
      bar.rows = event.rows
      break
    case 'waiting':
      console.log(`batch ${event.number} is waiting: ${event.why}`)
      return
    case 'stopped':
      console.log(`no more batches are sent: ${event.why}`)
      return
    default:
      return
  }
  const { sealed, submitted, ended, rows } = bar
  console.log(`batches ${sealed} sealed, ${submitted} submitted, ${ended} ended; ${rows} rows`)
}

const run = runBatches(questions, {
  client,
  poll,
  prompt: '{{text}}',
  batchSize: 10,
  onEvent: draw,
})
let answers = 0
for await (const { status } of run) if (status === 'succeeded') answers += 1
console.log(`${answers} answers for $${run.cost.spent}`)

await close()
