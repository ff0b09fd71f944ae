// A job of which an earlier job has the answers: memory and CPU with --reuse, against a job that sends everything.
import { createWriteStream, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { measured, PROGRAM, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, whole } from './table.mjs'

export const question = 'What does --reuse cost?'

const SENT = 'everything is sent'

export async function ask({ smoke, tell }) {
  const count = smoke ? 100 : 1_000_000
  const folder = scratch()
  const server = await startServer({ batchTimeMs: 500 })
  try {
    const path = name => join(folder.path, name)
    // Every 100th record is new in the second file, so that new records are among known ones as on a nightly run.
    await pipeline(Readable.from(csv(count, 0)), createWriteStream(path('first.csv')))
    await pipeline(Readable.from(csv(count, 100)), createWriteStream(path('second.csv')))
    const env = { ANTHROPIC_BASE_URL: server.url, ANTHROPIC_API_KEY: 'any' }
    const run = async (job, input, ...more) => {
      tell(`${job}: ${whole(count)} records`)
      const words = ['-i', path(input), '-o', path('out.jsonl'), '--job', job, '--poll', '200ms']
      const asked = ['-p', 'Sentiment of: {{review}}', '--state-dir', path('state'), '-q']
      const cost = await measured(PROGRAM, [...words, ...asked, ...more], { env })
      rmSync(path('out.jsonl'))
      return cost
    }
    const costs = {
      [SENT]: await run('first', 'first.csv'),
      'every answer is reused': await run('same', 'first.csv', '--reuse', 'first'),
      '1 % is new': await run('new', 'second.csv', '--reuse', 'first'),
    }
    const most = Math.max(...Object.values(costs).map(({ peakMB }) => peakMB))
    const growth = most - costs[SENT].peakMB
    return {
      text: table(
        ['records', 'case', ...COSTS],
        Object.entries(costs).map(([name, cost]) => [whole(count), name, ...cells(cost)]),
      ),
      goals: [
        {
          what: `peak memory of a job that reuses the answers of ${whole(count)} records, against one that sends them`,
          goal: '+ at most 60 MB',
          measured: `${growth >= 0 ? '+' : ''}${whole(growth)} MB (${whole(costs[SENT].peakMB)} and ${whole(most)})`,
        },
      ],
    }
  } finally {
    server[Symbol.dispose]()
    folder[Symbol.dispose]()
  }
}

function* csv(count, newEvery) {
  yield 'id,review\n'
  for (let n = 0; n < count; n++) {
    const isNew = newEvery > 0 && n % newEvery === 0
    yield `${n},"Broke after day ${n}${isNew ? ' of use' : ''}, and the shop would not take it back"\n`
  }
}
