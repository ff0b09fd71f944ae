// Your own stages: a function that filters records, and an async generator that aggregates answers.
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  from,
  parseCsv,
  stage,
  submit,
  template,
  type RecordResult,
  type SourceRecord,
} from 'claude-batch-stream'
import { connect } from './connect.ts'

const { client, poll, close } = await connect()

/** The stage emits what the function returns; `undefined` drops the record. */
const since1900 = stage((record: SourceRecord) =>
  Number(record.fields['year']) >= 1900 ? record : undefined,
)

/** Several stages combined into one, which can be reused and nested. */
const summarize = chain(
  template({ prompt: 'Sum up in one sentence: {{opening}}' }),
  aggregate(),
  submit({ client }),
  awaitEnd({ client, poll }),
  fetchResults({ client }),
)

/** Reads all results and yields one line per party. */
async function* charactersByParty(results: AsyncIterable<RecordResult>): AsyncGenerator<string> {
  const sums = new Map<string, { answers: number; characters: number }>()
  for await (const { record, value = '' } of results) {
    const party = String(record.fields['party'])
    const { answers, characters } = sums.get(party) ?? { answers: 0, characters: 0 }
    sums.set(party, { answers: answers + 1, characters: characters + String(value).length })
  }
  for (const [party, { answers, characters }] of sums)
    yield `${party}: ${answers} answers, ${Math.round(characters / answers)} characters each\n`
}

await pipeline(
  from(
    createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
    parseCsv(),
    since1900,
    summarize,
  ),
  charactersByParty,
  process.stdout,
)

await close()
