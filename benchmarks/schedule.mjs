// Rows finished over time when the API's queue is bounded and a batch takes an hour, on a clock that runs 300 times as fast
// for us and for the emulator. 20,000 rows stand for a million, and a queue of 4,000 for one of 200,000.
import Anthropic from '@anthropic-ai/sdk'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { createEmulator } from '../dist/lib/emulator/index.js'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  openJob,
  parseJsonl,
  submit,
  template,
} from '../dist/lib/index.js'
import { scratch } from './run.mjs'
import { table, times, whole } from './table.mjs'

export const question = 'How close to the best schedule does a job come?'

const SPEED = 300
const HOUR_MS = 3_600_000
const AUTO = Number.MAX_SAFE_INTEGER

const ROWS = 20_000

const CASES = [
  { concurrency: AUTO, size: 200 },
  { concurrency: AUTO, size: 1000 },
  { concurrency: AUTO, size: 2000 },
  { concurrency: 10, size: 200 },
  { concurrency: 2, size: 2000 },
]

function fastClock(speed) {
  const born = Date.now()
  const elapsed = () => performance.now() * speed
  return {
    now: () => born + elapsed(),
    elapsed,
    sleep: (ms, signal) => wait(ms / speed, undefined, { signal }),
  }
}

export async function ask({ smoke, tell }) {
  const rows = smoke ? 200 : ROWS
  const queue = rows / 5
  // In small a batch takes seconds, and time runs so slowly that no deadline passes on a busy machine.
  const [speed, batchMs] = smoke ? [20, 5000] : [SPEED, HOUR_MS]
  const lines = []
  const values = []
  const bestMs = 5 * batchMs
  const ratios = []
  for (const { concurrency, size } of smoke ? [{ concurrency: AUTO, size: 10 }] : CASES) {
    const auto = concurrency === AUTO
    const name = `-c ${auto ? 'auto' : concurrency}, batches of ${whole(size)}`
    tell(name)
    const { ended, refused } = await finished({ rows, queue, concurrency, size, speed, batchMs })
    const ratio = ended.at(-1).atMs / bestMs
    if (auto) ratios.push(ratio)
    lines.push([name, (ended.at(-1).atMs / HOUR_MS).toFixed(2), whole(refused), times(ratio)])
    for (const { atMs, done } of ended) values.push({ x: atMs / HOUR_MS, y: done, case: name })
  }
  return {
    text: table(
      ['case', 'until the last row ended, h', 'creates refused', 'against the best possible'],
      lines,
    ),
    goals: [
      {
        what: 'time to finish when the queue holds a fifth of the rows, -c auto, against the best possible schedule',
        goal: '<= 1.1x',
        measured: smoke ? '' : times(Math.max(...ratios)),
      },
    ],
    plot: {
      title: 'Rows finished',
      x: { title: 'hours' },
      y: { title: 'rows' },
      values,
      interpolate: 'step-after',
    },
  }
}

async function finished({ rows, queue, concurrency, size, speed, batchMs }) {
  const folder = scratch()
  const clock = fastClock(speed)
  const emulator = await createEmulator({ batchTimeMs: batchMs, queueLimit: queue, clock })
  try {
    const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url, maxRetries: 0 })
    const job = await openJob({ name: 'bench', dir: folder.path, clock })
    const input = Array.from({ length: rows }, (_, n) => `{"n":${n}}\n`).join('')
    await pipeline(
      Readable.from([Buffer.from(input)]),
      chain(
        parseJsonl(),
        template({ prompt: '{{n}}' }),
        aggregate({ job, batchSize: size }),
        submit({ client, concurrency }),
        awaitEnd({ client }),
        fetchResults({ client }),
      ),
      async results => {
        for await (const { status } of results) if (status !== 'succeeded') throw new Error(status)
      },
    )
    await job.close()
    const refused = emulator.ledger
      .calls()
      .find(call => call.op === 'create' && call.status === 429)
    return { ended: endings(emulator.ledger.batches(), batchMs), refused: refused?.count ?? 0 }
  } finally {
    await emulator.close()
    folder[Symbol.dispose]()
  }
}

/** When the rows of each batch had ended, counted from the first create. */
function endings(batches, batchMs) {
  const began = batches.map(({ created_at, requests }) => ({
    at: Date.parse(created_at),
    requests,
  }))
  const first = Math.min(...began.map(({ at }) => at))
  let done = 0
  return began
    .toSorted((a, b) => a.at - b.at)
    .map(({ at, requests }) => ({ atMs: at - first + batchMs, done: (done += requests) }))
}
