// Separate outputs: rows with answers go to stdout, all other rows go to a file, with the reason of each failure. Together they
// contain one row for each record. Server errors and expired requests are retried once before they count as failures.
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  from,
  parseCsv,
  partition,
  retry,
  spool,
  submit,
  template,
  writeJsonl,
} from 'claude-batch-stream'
import { lastUserText } from 'claude-batch-stream/emulator'
import { connect } from './connect.ts'

const failuresFile = process.argv[2] ?? 'failures.jsonl'

const { client, poll, close } = await connect({
  // Faults for this example: Lincoln's requests always fail, Grant's fail on the first attempt, and Nixon's answers are cut.
  respond: (params, { attempt }) => {
    const text = lastUserText(params)
    if (text.startsWith('Abraham Lincoln') || (text.startsWith('Ulysses S Grant') && attempt === 1))
      return { error: { type: 'api_error', message: 'Internal server error' } }
    return text.startsWith('Richard Nixon') ? { stop_reason: 'max_tokens' } : undefined
  },
})

/** Creates the pipeline of one attempt: retries are sent in batches of their own. */
const ask = (attempt: number) =>
  chain(
    template({ prompt: '{{president}} in {{year}}, in ten words: {{opening}}' }),
    aggregate({ attempt }),
    submit({ client }),
    awaitEnd({ client, poll }),
    fetchResults({ client }),
  )

await pipeline(
  from(
    createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
    parseCsv(),
    spool(),
    ask(1),
    retry({ retries: 1, createPipeline: ask }),
    partition({ through: writeJsonl(), to: createWriteStream(failuresFile) }),
    writeJsonl(),
  ),
  process.stdout,
)

await close()
