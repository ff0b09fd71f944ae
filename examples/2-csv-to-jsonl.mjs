// CSV to JSONL: the whole library in one pipeline, each stage on a line of its own.
import { createReadStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  aggregate,
  awaitEnd,
  fetchResults,
  keep,
  parseCsv,
  submit,
  template,
  writeJsonl,
} from 'claude-batch-stream'
import { connect } from './connect.mjs'

const { client, pollMs, close } = await connect()

await pipeline(
  createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
  parseCsv(),
  keep(),
  template({
    system: 'You are a historian. Answer in one sentence.',
    prompt: 'What worries {{president}} in {{year}}? {{opening}}',
    maxTokens: 200,
  }),
  aggregate({ count: 100 }),
  submit({ client }),
  awaitEnd({ client, pollMs }),
  fetchResults({ client }),
  writeJsonl(),
  process.stdout,
)

await close()
