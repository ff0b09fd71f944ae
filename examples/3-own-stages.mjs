// Stages of one's own: a function that drops records on the way in, an async generator that counts on the way out. Both
// stand in the pipeline like any other stage.
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  parseCsv,
  stage,
  submit,
  template,
} from 'claude-batch-stream'
import { connect } from './connect.mjs'

const { client, pollMs, close } = await connect()

/** Gives a record on, or nothing: then it is dropped. */
const since1900 = stage(record => (record.fields.year >= 1900 ? record : undefined))

/** Several stages as one; it can be handed around and nested. */
const ask = prompt =>
  chain(
    template({ prompt }),
    aggregate(),
    submit({ client }),
    awaitEnd({ client, pollMs }),
    fetchResults({ client }),
  )

/** Takes all answers and gives one line for each party. */
async function* charactersByParty(results) {
  const sums = new Map()
  for await (const { record, response } of results) {
    const { party } = record.fields
    const { answers, characters } = sums.get(party) ?? { answers: 0, characters: 0 }
    sums.set(party, { answers: answers + 1, characters: characters + response.length })
  }
  for (const [party, { answers, characters }] of sums) {
    yield `${party}: ${answers} answers, ${Math.round(characters / answers)} characters each\n`
  }
}

await pipeline(
  createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
  parseCsv(),
  since1900,
  ask('Sum up in one sentence: {{opening}}'),
  charactersByParty,
  process.stdout,
)

await close()
