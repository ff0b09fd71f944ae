// From a database cursor to a database: rows are read one at a time as they are needed, and each answer is stored when it
// comes. `reviews` stands for any cursor. With node:sqlite (Node 22.5 or newer) it is
// `database.prepare('select id, text from reviews order by id').iterate()`, with pg a pg-query-stream.
import { estimate, runBatches } from 'claude-batch-stream'
import { connect } from './connect.ts'

interface Review {
  readonly id: number
  readonly text: string
  readonly created: Date
}

async function* reviews(): AsyncGenerator<Review> {
  for (let id = 1; id <= 500; id++)
    yield { id, text: `It ${id % 3 === 0 ? 'broke' : 'works'}`, created: new Date(2026, 0, id) }
}

/** Stands for `update reviews set mood = ? where id = ?`. */
const moods = new Map<number, string>()
async function store(id: number, mood: string): Promise<void> {
  moods.set(id, mood)
}

const { client, poll, close } = await connect({
  respond: ({ messages: [message] }) =>
    String(message?.content).includes('broke') ? 'bad' : 'good',
})

const prompt = 'The mood of this review, good or bad: {{text}}'
const { usd } = await estimate(reviews(), { prompt, maxTokens: 4 })
console.log(`at most $${usd.worst}`)

const run = runBatches(reviews(), { client, poll, prompt, maxTokens: 4, maxCost: 1 })
for await (const { record, value, error } of run) {
  // The fields are those of the row, with dates as texts.
  if (value === undefined) console.error(record.fields.created, error?.message)
  else await store(record.fields.id, value)
}
const bad = [...moods.values()].filter(mood => mood === 'bad').length
console.log(`${moods.size} reviews stored, ${bad} of them bad, for $${run.cost.spent}`)

await close()
