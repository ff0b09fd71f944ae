// From a database to a database: rows are read one at a time, and each answer is stored when it arrives. `reviews` stands for
// any database cursor: `database.prepare('select id, text from reviews order by id').iterate()` with node:sqlite (Node 22.5 or
// newer), or a query stream of the package pg-query-stream with PostgreSQL.
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

const prompt = 'Is the mood of this review good or bad? {{text}}'
const { usd } = await estimate(reviews(), { prompt, maxTokens: 4 })
console.log(`at most $${usd.worst}`)

const run = runBatches(reviews(), { client, poll, prompt, maxTokens: 4, maxCost: 1 })
for await (const { record, value, error } of run) {
  // The record has the fields of the source, with dates as ISO strings.
  if (value === undefined) console.error(record.fields.created, error?.message)
  else await store(record.fields.id, value)
}
const bad = [...moods.values()].filter(mood => mood === 'bad').length
console.log(`${moods.size} reviews stored, ${bad} of them bad, for $${run.cost.spent}`)

await close()
