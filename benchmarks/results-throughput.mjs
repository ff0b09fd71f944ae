// How fast do results become rows? Ours: awaitEnd, fetchResults and writeJsonl on a job: the download is kept on disk, proven
// and joined with the records. The SDK's loop: batches.results, JSON.stringify, write; it keeps, proves and joins nothing. A
// bare download is measured as well, since both contain one. Each case is a process of its own.
import Anthropic from '@anthropic-ai/sdk'
import { spawn } from 'node:child_process'
import { cpSync, createWriteStream, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  openJob,
  parseJsonl,
  submit,
  template,
  writeJsonl,
} from '../dist/lib/index.js'
import { begin } from './measure.mjs'
import { machine, measured, medians, table } from './run.mjs'

const TIMES = Number(process.env.TIMES ?? 3)
const SIZES = [
  { line: '1 KB', length: 1000, count: 50_000, order: 'shuffled' },
  { line: '1 KB', length: 1000, count: 50_000, order: 'input' },
  { line: '1 MB', length: 1_000_000, count: 50, order: 'shuffled' },
  { line: '8 MB', length: 8_000_000, count: 6, order: 'shuffled' },
]

const CASES = {
  ours: async (client, _id, dir) => {
    const job = await openJob({ name: 'bench', dir })
    await pipeline(
      Readable.from([job.submittedBatch(1)]),
      chain(awaitEnd({ client, pollMs: 1 }), fetchResults({ client }), writeJsonl()),
      createWriteStream('/dev/null'),
    )
    await job.close()
  },
  'the SDK loop': async (client, id) => {
    const out = createWriteStream('/dev/null')
    for await (const entry of await client.messages.batches.results(id))
      if (!out.write(`${JSON.stringify(entry)}\n`)) await new Promise(go => out.once('drain', go))
    await new Promise(done => out.end(done))
  },
  'a bare download': async (client, id) => {
    const response = await fetch(`${client.baseURL}/v1/messages/batches/${id}/results`, {
      headers: { 'x-api-key': 'any', 'anthropic-version': '2023-06-01' },
    })
    let bytes = 0
    for await (const chunk of response.body) bytes += chunk.length
    if (bytes === 0) throw new Error('nothing came')
  },
}

const [name, url, id, dir] = process.argv.slice(2)
if (name in CASES) {
  begin()
  await CASES[name](clientAt(url), id, dir)
} else await compare()

async function compare() {
  const folder = mkdtempSync(join(tmpdir(), 'claude-batch-stream-bench-'))
  try {
    const rows = []
    for (const size of SIZES) rows.push(...(await compareAt(size, folder)))
    console.log(machine())
    console.log()
    console.log(table(['lines', 'order', 'case', 'CPU, s', 'wall, s', 'peak, MB'], rows))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function compareAt({ line, length, count, order }, folder) {
  const program = fileURLToPath(new URL('long-answers.mjs', import.meta.url))
  const emulator = spawn(process.execPath, [program, order])
  try {
    const url = `${await new Promise(resolve => emulator.stdout.once('data', resolve))}`.trim()
    const prepared = mkdtempSync(join(folder, 'job-'))
    const id = await submitted(clientAt(url), prepared, length, count)
    const rows = []
    for (const name of Object.keys(CASES)) {
      const { cpuS, wallS, peakMB } = await medians(TIMES, async () => {
        const dir = mkdtempSync(join(folder, 'run-'))
        cpSync(prepared, dir, { recursive: true })
        return await measured(fileURLToPath(import.meta.url), [name, url, id, dir])
      })
      const lines = `${count.toLocaleString('en')} x ${line}`
      rows.push([lines, order, name, cpuS.toFixed(2), wallS.toFixed(2), peakMB.toFixed(0)])
    }
    return rows
  } finally {
    emulator.kill()
  }
}

function clientAt(baseURL) {
  return new Anthropic({ apiKey: 'any', baseURL, maxRetries: 0 })
}

/** Has a job submit one batch and no more; gives the batch's id. */
async function submitted(client, dir, length, count) {
  const job = await openJob({ name: 'bench', dir })
  const lines = Array.from({ length: count }, (_, n) => `{"length":${length},"n":${n}}\n`)
  let id
  await pipeline(
    Readable.from([Buffer.from(lines.join(''))]),
    chain(
      parseJsonl(),
      template({ prompt: '{{length}} characters, number {{n}}' }),
      aggregate({ job, count }),
      submit({ client }),
    ),
    async batches => {
      for await (const batch of batches) id = batch.id
    },
  )
  await job.close()
  return id
}
