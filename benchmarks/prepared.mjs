// Jobs whose batches have been sent, to measure what comes after.
import Anthropic from '@anthropic-ai/sdk'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { aggregate, chain, openJob, parseJsonl, submit, template } from '../dist/lib/index.js'

export function clientAt(baseURL) {
  return new Anthropic({ apiKey: 'any', baseURL, maxRetries: 0 })
}

/** Sends the given number of requests with answers of one length. Returns the ids of the batches. */
export async function prepare({ url, dir, length, count, batch = 100_000 }) {
  const job = await openJob({ name: 'bench', dir })
  const ids = []
  await pipeline(
    Readable.from(lines(length, count)),
    chain(
      parseJsonl(),
      template({ prompt: '{{length}} characters, number {{n}}' }),
      aggregate({ job, batchSize: batch }),
      submit({ client: clientAt(url) }),
    ),
    async batches => {
      for await (const { id } of batches) ids.push(id)
    },
  )
  await job.close()
  return ids
}

function* lines(length, count) {
  let block = ''
  for (let n = 0; n < count; n++) {
    block += `{"length":${length},"n":${n}}\n`
    if (block.length < 65_536 && n < count - 1) continue
    yield Buffer.from(block)
    block = ''
  }
}
