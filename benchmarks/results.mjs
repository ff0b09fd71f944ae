// Library streams: awaitEnd, fetchResults and writeJsonl on a job. The program: `resume` of a job that was submitted with
// `--detach`, its own loading included. Both store the download, prove it and join it with the records. The SDK's loop:
// batches.results, JSON.stringify, write. The AI SDK: getBatchResults, JSON.stringify, write. These two store, prove and join
// nothing. A bare download is measured as well, since each contains one.
import { cpSync, createWriteStream, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { begin } from './measure.mjs'
import { clientAt, prepare } from './prepared.mjs'
import { measured, mediansOf, PROGRAM, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, times, whole } from './table.mjs'

export const question = 'How fast do results become rows?'

const STREAMS = 'library streams'
const PROGRAM_CASE = 'the program'
const SDK = 'the SDK loop'
const BARE = 'a bare download'

/** The minimum and the target of each case. */
const AT_1_KB = { [STREAMS]: [6, 8], [PROGRAM_CASE]: [9, 12] }
const FEW = { [STREAMS]: [4, 5], [PROGRAM_CASE]: [4, 5] }

const SIZES = [
  { line: '1 KB', length: 1000, count: 10_000, order: 'shuffled', goals: FEW },
  { line: '1 KB', length: 1000, count: 100_000, order: 'shuffled', goals: AT_1_KB },
  { line: '1 KB', length: 1000, count: 100_000, order: 'input', goals: AT_1_KB },
  { line: '64 KB', length: 64_000, count: 2000, order: 'shuffled', goals: {} },
  {
    line: '1 MB',
    length: 1_000_000,
    count: 100,
    order: 'shuffled',
    goals: { [STREAMS]: [18, 25] },
  },
  { line: '8 MB', length: 8_000_000, count: 8, order: 'shuffled', goals: { [STREAMS]: [90, 120] } },
]

async function drained(out) {
  await new Promise(done => out.end(done))
}

const CASES = {
  [STREAMS]: async (url, _id, dir) => {
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
  [PROGRAM_CASE]: async (_url, _id, _dir, state) => {
    process.argv.splice(2, Infinity, 'resume', 'bench', '--state-dir', state, '-q')
    begin()
    await import(PROGRAM)
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
    for (const { line, length, count: full, order, goals: wanted } of SIZES) {
      const count = smoke ? 3 : full
      const lines = `${whole(count)} x ${line}`
      tell(`${lines}, ${order} order`)
      const costs = await costsAt(folder.path, { length, count, order }, smoke ? 1 : 3)
      const own = name => costs[name].cpuS - costs[BARE].cpuS
      for (const [name, cost] of Object.entries(costs)) {
        const ratio = name === BARE ? '' : times(own(SDK) / own(name))
        rows.push([lines, order, name, ...cells(cost), ratio])
      }
      for (const [name, [hold, aim]] of Object.entries(wanted))
        goals.push({
          what: `results to rows, ${lines} (${order} order), ${name} against the SDK loop, the download taken off both`,
          goal: `hold ${hold}x, aim ${aim}x`,
          measured: times(own(SDK) / own(name)),
        })
    }
  } finally {
    folder[Symbol.dispose]()
  }
  return {
    text: table(
      ['lines', 'order', 'case', ...COSTS, 'against the SDK loop, the download off'],
      rows,
    ),
    goals,
  }
}

async function costsAt(folder, { length, count, order }, turns) {
  const server = await startServer({ order })
  try {
    const dir = mkdtempSync(join(folder, 'job-'))
    const [id] = await prepare({ url: server.url, dir, length, count })
    const state = mkdtempSync(join(folder, 'state-'))
    await submitted({ url: server.url, state, length, count })
    // The program finds the API by it.
    Object.assign(process.env, { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: 'any' })
    return await mediansOf(import.meta.url, CASES, turns, () => {
      const copies = [dir, state].map(source => {
        const copy = mkdtempSync(join(folder, 'run-'))
        cpSync(source, copy, { recursive: true })
        return copy
      })
      return [server.url, id, ...copies]
    })
  } finally {
    server[Symbol.dispose]()
  }
}

/** Submits the same questions with the program. */
async function submitted({ url, state, length, count }) {
  const input = join(state, 'in.jsonl')
  const lines = Array.from({ length: count }, (_, n) => `{"length":${length},"n":${n}}\n`)
  writeFileSync(input, lines.join(''))
  const words = ['-i', input, '-p', '{{length}} characters, number {{n}}', '-y', '-q']
  const batch = ['--batch-size', '100000', '--batch-bytes', '250MB']
  const job = ['--state-dir', state, '--job', 'bench', '--detach']
  const env = { ANTHROPIC_BASE_URL: url, ANTHROPIC_API_KEY: 'any' }
  await measured(PROGRAM, [...words, ...batch, ...job], { env })
}

const [name, ...words] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](...words)
