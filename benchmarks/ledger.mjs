// The CPU of four shards whose journals are in PostgreSQL against four shards whose journals are files, in turns, and how long
// one append to a journal in PostgreSQL takes. It needs PostgreSQL's server programs and the package pg.
import { execFileSync } from 'node:child_process'
import { chownSync, createWriteStream, existsSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { clientAt } from './prepared.mjs'
import { measured, medians, PROGRAM, scratch, startServer } from './run.mjs'
import { cells, COSTS, table, times, whole } from './table.mjs'

export const question = 'What does a ledger in PostgreSQL cost?'

const SHARDS = 4

export async function ask({ smoke, tell }) {
  const bin = programs()
  if (bin === undefined) return { text: 'PostgreSQL is not installed here.', goals: [] }
  const count = smoke ? 100 : Number(process.env.LEDGER_RECORDS ?? 1_000_000)
  const folder = scratch()
  const server = await startServer({ batchTimeMs: 500 })
  const database = await startDatabase(bin, folder.path)
  try {
    tell(`${whole(count)} records`)
    const costs = await costsOf(
      count,
      smoke || count >= 1_000_000 ? 1 : 3,
      folder.path,
      server.url,
      database.url,
    )
    tell('appends')
    const append = await appendMs(smoke ? 4 : 100, folder.path, server.url, database.url)
    const rows = Object.entries(costs).map(([name, cost]) => [whole(count), name, ...cells(cost)])
    const ratio = costs['with a ledger'].cpuS / costs['without'].cpuS
    return {
      text: `${table(['records', `${SHARDS} shards`, ...COSTS], rows)}\n\nCPU is that of the four workers together, wall that of the slowest, peak that of the largest. An append to the journal in PostgreSQL, with its proof that the worker still owns the shard, has a median of ${append.toFixed(1)} ms.`,
      goals: [
        {
          what: `CPU of ${SHARDS} shards with a ledger against ${SHARDS} without, ${whole(count)} records`,
          goal: 'hold 1.2x',
          measured: times(ratio),
        },
        {
          what: 'median of an append to the ledger',
          goal: 'hold 10 ms',
          measured: `${append.toFixed(1)} ms`,
        },
      ],
    }
  } finally {
    database.stop()
    server[Symbol.dispose]()
    folder[Symbol.dispose]()
  }
}

async function costsOf(count, runs, folder, api, ledger) {
  const input = join(folder, 'in.csv')
  await pipeline(Readable.from(csv(count)), createWriteStream(input))
  const env = { ANTHROPIC_BASE_URL: api, ANTHROPIC_API_KEY: 'any' }
  let job = 0
  const all = async more => {
    const state = join(folder, `state-${++job}`)
    const worker = index =>
      measured(
        PROGRAM,
        [
          ...['-i', input, '-p', 'Sentiment of: {{review}}', '--job', `job-${job}`, '-q'],
          ...['--shard', `${index}/${SHARDS}`, '-o', join(folder, `part-${job}-{shard}.jsonl`)],
          ...['--state-dir', state, '--poll', '200ms', '--no-preflight'],
        ],
        { env: { ...env, ...more } },
      )
    const costs = await Promise.all(Array.from({ length: SHARDS }, (_, index) => worker(index)))
    rmSync(state, { recursive: true })
    for (const name of readdirSync(folder)) if (name.startsWith('part-')) rmSync(join(folder, name))
    return {
      cpuS: costs.reduce((sum, { cpuS }) => sum + cpuS, 0),
      wallS: Math.max(...costs.map(({ wallS }) => wallS)),
      peakMB: Math.max(...costs.map(({ peakMB }) => peakMB)),
    }
  }
  return await medians(runs, {
    without: () => all({}),
    'with a ledger': () => all({ CLAUDE_BATCH_STREAM_LEDGER: ledger }),
  })
}

/** The median time of a transaction that appends an event, from the wait for a connection to its commit. */
async function appendMs(batches, folder, api, ledger) {
  const { default: pg } = await import('pg')
  const { postgresLedger, runBatches } = await import('../dist/lib/index.js')
  const connections = new pg.Pool({ connectionString: ledger })
  const took = []
  const pool = {
    query: (text, values) => connections.query(text, values),
    connect: async () => {
      const began = performance.now()
      const connection = await connections.connect()
      let appends = false
      return {
        query: async (text, values) => {
          appends ||= text.includes('insert into claude_batch_stream.event')
          const result = await connection.query(text, values)
          if (text === 'commit' && appends) took.push(performance.now() - began)
          return result
        },
        release: destroy => connection.release(destroy),
      }
    },
  }
  const run = runBatches(
    Array.from({ length: batches * 10 }, (_, id) => ({ id })),
    {
      client: clientAt(api),
      prompt: 'Number {{id}}',
      batchSize: 10,
      job: { name: 'appends', dir: join(folder, 'appends'), ledger: postgresLedger({ pool }) },
    },
  )
  for await (const { status } of run) if (status !== 'succeeded') throw new Error(status)
  await connections.end()
  return took.toSorted((a, b) => a - b)[took.length >> 1]
}

/** The folder of PostgreSQL's programs, from Debian's package or PATH. */
function programs() {
  const debian = '/usr/lib/postgresql'
  const folders = existsSync(debian) ? readdirSync(debian).map(one => `${debian}/${one}/bin`) : []
  const all = [...folders, ...(process.env.PATH ?? '').split(':')]
  return all.find(folder => existsSync(`${folder}/initdb`) && existsSync(`${folder}/pg_ctl`))
}

/** A server with its own settings, on a free port. Root may not run one, so an unprivileged user does. */
async function startDatabase(bin, folder) {
  const idOf = flag => Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
  const user = process.getuid?.() === 0 ? { uid: idOf('-u'), gid: idOf('-g') } : undefined
  if (user) chownSync(folder, user.uid, user.gid)
  const data = join(folder, 'database')
  const run = (program, args) =>
    void execFileSync(`${bin}/${program}`, args, { ...user, cwd: folder, stdio: 'ignore' })
  run('initdb', ['-D', data, '-U', 'bench', '-A', 'trust'])
  const port = await freePort()
  const options = `-p ${port} -k ${folder} -c listen_addresses=127.0.0.1`
  run('pg_ctl', ['-D', data, '-w', '-l', join(folder, 'log'), '-o', options, 'start'])
  return {
    url: `postgres://bench@127.0.0.1:${port}/postgres`,
    stop: () => run('pg_ctl', ['-D', data, '-m', 'immediate', '-w', 'stop']),
  }
}

async function freePort() {
  const server = createServer()
  await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address()
  await new Promise(resolve => server.close(resolve))
  return port
}

function* csv(count) {
  yield 'id,review\n'
  for (let n = 0; n < count; n++)
    yield `${n},"Broke after day ${n}, and the shop would not take it back"\n`
}
