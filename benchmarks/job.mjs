// A whole job, CSV to JSON lines: the program, with its journal and its join, against a plain script on the SDK that keeps
// everything in arrays, and memory by the number of records.
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { attempt, PROGRAM, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, times, whole } from './table.mjs'

export const question = 'What does a whole job cost?'

const PLAIN = fileURLToPath(new URL('plain-script.mjs', import.meta.url))

export async function ask({ smoke, tell }) {
  const [few, many] = smoke ? [10, 100] : [100_000, 1_000_000]
  const rows = []
  const costs = {}
  for (const count of [few, many]) {
    tell(`${whole(count)} records`)
    costs[count] = await costsAt(count)
    for (const [name, cost] of Object.entries(costs[count]))
      rows.push([whole(count), name, ...cells(cost)])
  }
  const growth = costs[many].ours.peakMB - costs[few].ours.peakMB
  return {
    text: table(['records', 'case', ...COSTS], rows),
    goals: [
      {
        what: 'peak memory of a whole job of 1,000,000 records against one of 100,000',
        goal: '+ at most 10 MB',
        measured: `${growth > 0 ? '+' : ''}${whole(growth)} MB (${whole(costs[few].ours.peakMB)} and ${whole(costs[many].ours.peakMB)})`,
      },
      {
        what: 'CPU of the whole durable job, 100,000 CSV rows, against a plain script that keeps everything in arrays',
        goal: '<= 0.5x',
        measured: times(costs[few].ours.cpuS / costs[few]['a plain script'].cpuS),
      },
    ],
  }
}

async function costsAt(count) {
  const folder = scratch()
  const server = await startServer({ batchTimeMs: 500 })
  try {
    const input = join(folder.path, 'in.csv')
    await pipeline(Readable.from(csv(count)), createWriteStream(input))
    const env = { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: 'any' }
    const words = ['-i', input, '-o', join(folder.path, 'ours.jsonl'), '--poll', '200ms', '-q']
    const state = ['--state-dir', join(folder.path, 'state'), '-p', 'Sentiment of: {{review}}']
    const ours = await attempt(PROGRAM, [...words, ...state], { env })
    const plain = await attempt(PLAIN, [server.url, input, join(folder.path, 'plain.jsonl')])
    if (ours.died) throw new Error(ours.died)
    return { ours, 'a plain script': plain }
  } finally {
    server[Symbol.dispose]()
    folder[Symbol.dispose]()
  }
}

function* csv(count) {
  yield 'id,review\n'
  for (let n = 0; n < count; n++)
    yield `${n},"Broke after day ${n}, and the shop would not take it back"\n`
}
