// CSV to JSONL: a complete pipeline, with every stage spelled out.
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  parseCsv,
  spool,
  submit,
  template,
  writeJsonl,
} from 'claude-batch-stream'
import { connect } from './connect.ts'

const { client, poll, close } = await connect()

await pipeline(
  createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
  chain(
    parseCsv(),
    spool(),
    template({
      system: 'You are a historian. Answer in one sentence.',
      prompt: 'What worries {{president}} in {{year}}? {{opening}}',
      maxTokens: 200,
    }),
    aggregate({ batchSize: 100 }),
    submit({ client }),
    awaitEnd({ client, poll }),
    fetchResults({ client }),
    writeJsonl(),
  ),
  process.stdout,
)

await close()
