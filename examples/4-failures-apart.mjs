// Successes and failures apart: answers to stdout, every other row with its reason to a file. The two add up to the input.
// Server errors and expired rows are asked once more before they count as failures.
import { createReadStream, createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import {
  aggregate,
  awaitEnd,
  chain,
  divide,
  fetchResults,
  keep,
  parseCsv,
  retry,
  submit,
  template,
  writeJsonl,
} from 'claude-batch-stream'
import { connect } from './connect.mjs'

const failuresFile = process.argv[2] ?? 'failures.jsonl'

const { client, pollMs, close } = await connect({
  // What this emulator gets wrong: Lincoln's rows fail every time, Grant's only the first time, and Nixon's are cut.
  respond: ({ messages: [{ content }] }, { attempt }) => {
    if (
      content.startsWith('Abraham Lincoln') ||
      (content.startsWith('Ulysses S Grant') && attempt === 1)
    )
      return { error: { type: 'api_error', message: 'Internal server error' } }
    return content.startsWith('Richard Nixon') ? { stop_reason: 'max_tokens' } : undefined
  },
})

/** One pipeline for each try: the batches of a second try are smaller, and say so in their custom_ids. */
const ask = attempt =>
  chain(
    template({ prompt: '{{president}} in {{year}}, in ten words: {{opening}}' }),
    aggregate({ attempt }),
    submit({ client }),
    awaitEnd({ client, pollMs }),
    fetchResults({ client }),
  )

await pipeline(
  createReadStream(new URL('data/state-of-the-union.csv', import.meta.url)),
  parseCsv(),
  keep(),
  ask(1),
  retry({ attempts: 1, through: ask }),
  divide({ through: writeJsonl(), to: createWriteStream(failuresFile) }),
  writeJsonl(),
  process.stdout,
)

await close()
