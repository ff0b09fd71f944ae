// A whole job, CSV to JSON lines: the program, with its journal and its join, against a plain script on the SDK that keeps
// everything in arrays, in turns, and memory by the number of records.
import { createWriteStream, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { measured, medians, PROGRAM, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, times, whole } from './table.mjs'

export const question = 'What does a whole job cost?'

const PLAIN = fileURLToPath(new URL('plain-script.mjs', import.meta.url))

export async function ask({ smoke, tell }) {
  const [few, many] = smoke ? [10, 100] : [100_000, 1_000_000]
  const rows = []
  const costs = {}
  for (const count of [few, many]) {
    tell(`${whole(count)} records`)
    costs[count] = await costsAt(count, smoke || count === many ? 1 : 3)
    for (const [name, cost] of Object.entries(costs[count]))
      rows.push([whole(count), name, ...cells(cost)])
  }
  const growth = costs[many].ours.peakMB - costs[few].ours.peakMB
  return {
    text: table(['records', 'case', ...COSTS], rows),
    goals: [
      {
        what: 'peak memory of a whole job of 1,000,000 records against one of 100,000',
        goal: 'hold +12 MB, aim +10 MB',
        measured: `${growth > 0 ? '+' : ''}${whole(growth)} MB (${whole(costs[few].ours.peakMB)} and ${whole(costs[many].ours.peakMB)})`,
      },
      {
        what: 'CPU of the whole durable job against a plain script that keeps everything in arrays, 100,000 / 1,000,000 CSV rows',
        goal: 'hold 0.7x / 0.5x, aim 0.5x / 0.4x',
        measured: [few, many]
          .map(count => times(costs[count].ours.cpuS / costs[count]['a plain script'].cpuS))
          .join(' / '),
      },
    ],
  }
}

async function costsAt(count, runs) {
  const folder = scratch()
  const server = await startServer({ batchTimeMs: 500 })
  try {
    const input = join(folder.path, 'in.csv')
    await pipeline(Readable.from(csv(count)), createWriteStream(input))
    const env = { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: 'any' }
    const path = name => join(folder.path, name)
    const words = ['-i', input, '-o', path('ours.jsonl'), '--poll', '200ms', '-q']
    const ask = ['-p', 'Sentiment of: {{review}}', '--state-dir', path('state')]
    return await medians(runs, {
      ours: async () => {
        const cost = await measured(PROGRAM, [...words, ...ask], { env })
        rmSync(path('ours.jsonl'))
        rmSync(path('state'), { recursive: true })
        return cost
      },
      'a plain script': () => measured(PLAIN, [server.url, input, path('plain.jsonl')]),
    })
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
