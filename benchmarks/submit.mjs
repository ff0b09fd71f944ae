// Submitting 100,000 requests of 2.4 KB: the program from a file of JSON lines and as one batch, our library from a stream, the
// SDK's create and the AI SDK's startBatch from an array, which is all that they take. And the smallest --max-old-space-size
// that each survives.
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { clientAt } from './prepared.mjs'
import { attempt, measured, PROGRAM, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, whole } from './table.mjs'

export const question = 'What does it take to submit 240 MB?'

const MODEL = 'claude-haiku-4-5'
const HEAPS = [32, 48, 64, 96, 128, 256, 512, 1024, 2048]
const TEXT = 'It broke after a day, and the shop would not take it back. '.repeat(38)

function* requests(count) {
  for (let n = 0; n < count; n++)
    yield {
      custom_id: `r-${n}`,
      params: {
        model: MODEL,
        max_tokens: 100,
        messages: [{ role: 'user', content: `${n} ${TEXT}` }],
      },
    }
}

/** The same as records of a file. */
function* lines(count) {
  for (let n = 0; n < count; n++) yield `${JSON.stringify({ id: n, text: `${n} ${TEXT}` })}\n`
}

const CASES = {
  'the library': async (url, dir, count) => {
    const { aggregate, chain, openJob, submit } = await import('../dist/lib/index.js')
    begin()
    const job = await openJob({ name: 'bench', dir })
    const client = clientAt(url)
    await pipeline(
      Readable.from(requests(count)),
      chain(aggregate({ job }), submit({ client })),
      async batches => {
        for await (const { id } of batches) if (!id) throw new Error('no id')
      },
    )
    await job.close()
  },
  'the SDK': async (url, _dir, count) => {
    begin()
    await clientAt(url).messages.batches.create({ requests: [...requests(count)] })
  },
  'the AI SDK': async (url, _dir, count) => {
    const { experimental_startBatch: startBatch } = await import('ai')
    const { createAnthropic } = await import('@ai-sdk/anthropic')
    const provider = createAnthropic({ apiKey: 'any', baseURL: `${url}/v1` })
    begin()
    const all = Array.from(requests(count), ({ custom_id, params }) => ({
      id: custom_id,
      type: 'text',
      model: params.model,
      maxOutputTokens: params.max_tokens,
      messages: params.messages,
    }))
    await startBatch({ provider, requests: all })
  },
}

/** One batch of all requests: the program ends when it is submitted. */
function wordsFor(file, folder) {
  const words = ['-i', file, '-p', '{{text}}', '-m', MODEL, '--max-tokens', '100', '--detach', '-q']
  const sizes = ['--batch-size', '100000', '--batch-bytes', '250MB']
  return [...words, ...sizes, '--state-dir', join(folder, 'state')]
}

export async function ask({ smoke, tell }) {
  const count = smoke ? 20 : 100_000
  const rows = []
  const peaks = {}
  const heaps = {}
  const server = await startServer()
  const input = scratch()
  try {
    const file = join(input.path, 'in.jsonl')
    await pipeline(Readable.from(lines(count)), createWriteStream(file))
    const env = { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: 'any' }
    const run = async (name, nodeFlags) => {
      const folder = scratch()
      const go = nodeFlags ? attempt : measured
      const cost =
        name === 'the program'
          ? await go(PROGRAM, wordsFor(file, folder.path), { env, nodeFlags })
          : await go(
              fileURLToPath(import.meta.url),
              [name, server.url, folder.path, String(count)],
              { nodeFlags },
            )
      folder[Symbol.dispose]()
      return cost
    }
    for (const name of ['the program', ...Object.keys(CASES)]) {
      tell(name)
      const cost = await run(name)
      peaks[name] = cost.peakMB
      for (const heap of smoke ? [512] : HEAPS) {
        if ((await run(name, [`--max-old-space-size=${heap}`])).died) continue
        heaps[name] = heap
        break
      }
      rows.push([name, ...cells(cost), heaps[name] ?? 'more'])
    }
  } finally {
    server[Symbol.dispose]()
    input[Symbol.dispose]()
  }
  return {
    text: table(['case', ...COSTS, 'smallest --max-old-space-size, MB'], rows),
    goals: [
      {
        what: 'peak memory while submitting 100,000 requests, 240 MB',
        goal: 'hold 110 MB, aim 100 MB',
        measured: Object.entries(peaks)
          .map(([name, peak]) => `${name}: ${whole(peak)} MB, with a heap of ${heaps[name]} MB`)
          .join('; '),
      },
    ],
    plot: {
      title: 'Peak memory while 240 MB are submitted',
      y: { title: 'peak, MB' },
      values: Object.entries(peaks).map(([name, peakMB]) => ({ case: name, y: peakMB })),
    },
  }
}

const [name, url, dir, count] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](url, dir, Number(count))
