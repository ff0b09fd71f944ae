// Peak memory while results stream to a file, by number of rows: this package with a job, the SDK's loop, and a script that
// collects results in an array to join them with their requests.
import { cpSync, createWriteStream, mkdtempSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { clientAt, prepare } from './prepared.mjs'
import { attempt, scratch, startServer } from './run.mjs'
import { table, whole } from './table.mjs'

export const question = 'How much memory do streaming results take?'

const COUNTS = [10_000, 100_000, 1_000_000, 3_000_000]
const OURS = 'ours'

const CASES = {
  [OURS]: async (url, dir) => {
    const { awaitEnd, chain, fetchResults, openJob, writeJsonl } =
      await import('../dist/lib/index.js')
    const client = clientAt(url)
    const job = await openJob({ name: 'bench', dir })
    const batches = Array.from({ length: job.state.batches.size }, (_, n) =>
      job.submittedBatch(n + 1),
    )
    await pipeline(
      Readable.from(batches),
      chain(awaitEnd({ client, poll: 1 }), fetchResults({ client }), writeJsonl()),
      createWriteStream(join(dir, 'rows.jsonl')),
    )
    await job.close()
  },
  'the SDK loop': async (url, dir, ...ids) => {
    const client = clientAt(url)
    const out = createWriteStream(join(dir, 'rows.jsonl'))
    for (const id of ids)
      for await (const entry of await client.messages.batches.results(id))
        if (!out.write(`${JSON.stringify(entry)}\n`)) await new Promise(go => out.once('drain', go))
    await new Promise(done => out.end(done))
  },
  'an array': async (url, dir, ...ids) => {
    const client = clientAt(url)
    const all = []
    for (const id of ids)
      for await (const entry of await client.messages.batches.results(id)) all.push(entry)
    const lines = function* () {
      for (const entry of all) yield `${JSON.stringify(entry)}\n`
    }
    await pipeline(lines, createWriteStream(join(dir, 'rows.jsonl')))
  },
}

export async function ask({ smoke, tell }) {
  const rows = []
  const values = []
  for (const count of smoke ? [10, 100] : COUNTS) {
    tell(`${whole(count)} rows`)
    const peaks = await peaksAt(count)
    rows.push([
      whole(count),
      ...Object.values(peaks).map(({ peakMB }) => (peakMB ? whole(peakMB) : 'died')),
    ])
    for (const [name, { peakMB }] of Object.entries(peaks))
      if (peakMB) values.push({ x: count, y: peakMB, case: name })
  }
  const at = count => values.find(({ x, case: name }) => x === count && name === OURS)?.y
  const growth = at(1_000_000) - at(100_000)
  return {
    text: table(['rows', ...Object.keys(CASES).map(name => `${name}: peak, MB`)], rows),
    goals: smoke
      ? []
      : [
          {
            what: 'peak memory while results stream, 1,000,000 rows against 100,000',
            goal: '+ at most 10 MB',
            measured: `${growth > 0 ? '+' : ''}${whole(growth)} MB`,
          },
        ],
    plot: {
      title: 'Peak memory while results stream',
      x: { title: 'rows', scale: 'log' },
      y: { title: 'peak, MB', scale: 'log' },
      values,
    },
  }
}

async function peaksAt(count) {
  const folder = scratch()
  const server = await startServer()
  try {
    const dir = mkdtempSync(join(folder.path, 'job-'))
    const ids = await prepare({ url: server.url, dir, length: 200, count })
    const peaks = {}
    for (const name of Object.keys(CASES)) {
      const copy = mkdtempSync(join(folder.path, 'run-'))
      if (name === OURS) cpSync(dir, copy, { recursive: true })
      peaks[name] = await attempt(fileURLToPath(import.meta.url), [name, server.url, copy, ...ids])
    }
    return peaks
  } finally {
    server[Symbol.dispose]()
    folder[Symbol.dispose]()
  }
}

const [name, ...words] = process.argv.slice(2)
if (process.argv[1] === fileURLToPath(import.meta.url)) await CASES[name](...words)
