// Ours: awaitEnd, fetchResults and writeJsonl on a job; the download is kept on disk, proven and joined with the records. The
// SDK's loop: batches.results, JSON.stringify, write. The AI SDK: getBatchResults, JSON.stringify, write. These two keep,
// prove and join nothing. A bare download is measured as well, since each contains one.
import { cpSync, createWriteStream, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { clientAt, prepare } from './prepared.mjs'
import { mediansOf, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, times, whole } from './table.mjs'

export const question = 'How fast do results become rows?'

const SIZES = [
  { line: '1 KB', length: 1000, count: 100_000, order: 'shuffled', goal: 8 },
  { line: '1 KB', length: 1000, count: 100_000, order: 'input', goal: 8 },
  { line: '64 KB', length: 64_000, count: 2000, order: 'shuffled' },
  { line: '1 MB', length: 1_000_000, count: 100, order: 'shuffled', goal: 15 },
  { line: '8 MB', length: 8_000_000, count: 8, order: 'shuffled', goal: 120 },
]

const OURS = 'ours'
const SDK = 'the SDK loop'
const BARE = 'a bare download'

async function drained(out) {
  await new Promise(done => out.end(done))
}

const CASES = {
  [OURS]: async (url, _id, dir) => {
    const { awaitEnd, chain, fetchResults, openJob, writeJsonl } =
      await import('../dist/lib/index.js')
    const client = clientAt(url)
    begin()
    const job = await openJob({ name: 'bench', dir })
    await pipeline(
      Readable.from([job.submittedBatch(1)]),
      chain(awaitEnd({ client, poll: 1 }), fetchResults({ client }), writeJsonl()),
      createWriteStream('/dev/null'),
    )
    await job.close()
  },
  [SDK]: async (url, id) => {
    const client = clientAt(url)
    begin()
    const out = createWriteStream('/dev/null')
    for await (const entry of await client.messages.batches.results(id))
      if (!out.write(`${JSON.stringify(entry)}\n`)) await new Promise(go => out.once('drain', go))
    await drained(out)
  },
  'the AI SDK': async (url, id) => {
    const { experimental_getBatchResults: getBatchResults } = await import('ai')
    const { createAnthropic } = await import('@ai-sdk/anthropic')
    const provider = createAnthropic({ apiKey: 'any', baseURL: `${url}/v1` })
    begin()
    const out = createWriteStream('/dev/null')
    const batch = { version: 2, provider: 'anthropic.batch', id }
    for await (const entry of await getBatchResults({ provider, batch }))
      if (!out.write(`${JSON.stringify(entry)}\n`)) await new Promise(go => out.once('drain', go))
    await drained(out)
  },
  [BARE]: async (url, id) => {
    begin()
    const response = await fetch(`${url}/v1/messages/batches/${id}/results`, {
      headers: { 'x-api-key': 'any', 'anthropic-version': '2023-06-01' },
    })
    let bytes = 0
    for await (const chunk of response.body) bytes += chunk.length
    if (bytes === 0) throw new Error('nothing came')
  },
}

export async function ask({ smoke, tell }) {
  const folder = scratch()
  const rows = []
  const goals = []
  try {
    for (const { line, length, count: full, order, goal } of SIZES) {
      const count = smoke ? 3 : full
      tell(`${line}, ${order} order`)
      const costs = await costsAt(folder.path, { length, count, order }, smoke ? 1 : 3)
      const own = costs[OURS].cpuS - costs[BARE].cpuS
      for (const [name, cost] of Object.entries(costs)) {
        const ratio = name === BARE ? '' : times((cost.cpuS - costs[BARE].cpuS) / own)
        rows.push([`${whole(count)} x ${line}`, order, name, ...cells(cost), ratio])
      }
      if (goal)
        goals.push({
          what: `results to rows, ${line} lines (${order} order), against the SDK loop, the download taken off both`,
          goal: `>= ${goal}x`,
          measured: times((costs[SDK].cpuS - costs[BARE].cpuS) / own),
        })
    }
  } finally {
    folder[Symbol.dispose]()
  }
  return {
    text: table(['lines', 'order', 'case', ...COSTS, 'CPU against ours, the download off'], rows),
    goals,
  }
}

async function costsAt(folder, { length, count, order }, turns) {
  const server = await startServer({ order })
  try {
    const dir = mkdtempSync(join(folder, 'job-'))
    const [id] = await prepare({ url: server.url, dir, length, count })
    return await mediansOf(import.meta.url, CASES, turns, () => {
      const copy = mkdtempSync(join(folder, 'run-'))
      cpSync(dir, copy, { recursive: true })
      return [server.url, id, copy]
    })
  } finally {
    server[Symbol.dispose]()
  }
}

const [name, ...words] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](...words)
