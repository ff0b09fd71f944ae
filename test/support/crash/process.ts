import Anthropic from '@anthropic-ai/sdk'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { answeredByClient } from '../../../lib/api/answered-by.ts'
import { aggregateReusing, type Reuse } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { chain, from } from '../../../lib/core/chain.ts'
import type { Clock } from '../../../lib/core/clock.ts'
import type { Emulator } from '../../../lib/emulator/index.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { inspectJob, isSound } from '../../../lib/store/inspect.ts'
import { openStoredJob } from '../../../lib/store/open.ts'
import { EarlierAnswers, hasKeys } from '../../../lib/store/results/earlier-answers.ts'
import { inputOrder } from '../../../lib/stages/order/input-order.ts'
import { rowsInOrder } from '../../../lib/stages/order/rows-in-order.ts'
import { parseJsonl } from '../../../lib/stages/parse/jsonl.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { retry } from '../../../lib/stages/retry/retry.ts'
import type { Stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { jsonlRow } from '../../../lib/stages/write/jsonl.ts'
import { openOutput } from '../../../lib/stages/write/output.ts'
import { untilIdle, type VirtualClock } from '../virtual-clock.ts'
import { Gate, type ProcessFault } from './gate.ts'
import { diskOf } from './machine-disk.ts'
import type { Machine } from './machine.ts'
import { Network, type NetworkFault } from './network.ts'

/** The options of a run. */
export interface Task {
  /** The input, as JSON lines. */
  readonly input: string
  /** Maximum requests of a batch. */
  readonly count: number
  readonly errors: boolean
  /** A template of custom_ids; generated if undefined. */
  readonly id?: string | undefined
  /** Maximum retries of a record. */
  readonly attempts: number
  /** Maximum batches in flight. */
  readonly concurrency: number
  /** Whether rows are in input order. */
  readonly ordered?: boolean
  /** What the user has decided about batches whose ids were chosen. */
  readonly adopt?: readonly string[]
  /** The input of an earlier job, whose answers are reused. */
  readonly earlier?: string
}

/** The environment in which processes run one after the other. */
export interface World {
  readonly clock: VirtualClock
  readonly emulator: Emulator
  machine: Machine
}

/** How a process ended, and how far it got. */
export interface Ending {
  readonly how: 'finished' | 'died' | 'failed' | 'hung'
  readonly error?: unknown
  readonly steps: number
  readonly diskCalls: number
  readonly calls: number
  /** The step of its fault; undefined if it ended without one. */
  readonly struckAt: string | undefined
}

export const PLACES = {
  state: '/home/state',
  out: '/home/rows.jsonl',
  errors: '/home/failed.jsonl',
} as const

/** Settings of every run; all times are virtual. */
const POLL_MS = 5_000
const SETTLE_MS = 600_000

/** The number of rounds without sleepers or pending work after which a run counts as stuck. */
const STUCK_ROUNDS = 5

/** Runs the whole pipeline in a process of its own, until it ends or its processFault comes over it. */
export async function runProcess(
  world: World,
  task: Task,
  processFault: ProcessFault,
  fault?: NetworkFault,
): Promise<Ending> {
  const gate = new Gate(processFault)
  const network = new Network(world.emulator, gate, fault)
  let ending: Pick<Ending, 'how' | 'error'> | undefined
  gate.onDeath(() => (ending ??= { how: 'died' }))
  runJob(world, task, gate, network).then(
    () => (ending ??= { how: 'finished' }),
    (error: unknown) => (ending ??= { how: 'failed', error }),
  )
  for (let stuck = 0, seen = 0; !ending; seen = gate.steps) {
    await untilIdle()
    stuck = world.clock.sleepers.size === 0 && gate.steps === seen ? stuck + 1 : 0
    if (stuck > STUCK_ROUNDS) ending ??= { how: 'hung' }
  }
  // A process that hangs is killed, as a user would do.
  void gate.die()
  await network.settled()
  await untilIdle()
  const struckAt = gate.struckAt ?? network.struckAt
  const { steps, diskCalls } = gate
  return { ...ending, steps, diskCalls, calls: network.calls, struckAt }
}

/** The run as the command line makes it. */
async function runJob(world: World, task: Task, gate: Gate, network: Network): Promise<void> {
  const disk = diskOf(world.machine, gate)
  const clock = processClock(world.clock, gate)
  const client = new Anthropic({
    apiKey: 'key',
    baseURL: world.emulator.url,
    fetch: network.fetch,
  })
  const lock = async (): Promise<{ release(): Promise<void> }> => ({ release: async () => {} })
  const { count, attempts, concurrency, id, ordered = false, earlier, adopt } = task
  // A dead process frees its memory; what its streams do as they are destroyed never reaches the world.
  const dead = new AbortController()
  gate.onDeath(() => dead.abort())
  const place = { dir: PLACES.state, disk, clock, lock }
  if (earlier !== undefined) {
    const job = await openStoredJob({ name: 'earlier', ...place })
    try {
      await pipeline(
        from(Readable.from([Buffer.from(earlier)]), parseJsonl()),
        spool({ job }),
        template({ prompt: 'Say {{q}}', id }),
        aggregateReusing({ job, batchSize: count }),
        submit({ client, concurrency, settle: SETTLE_MS }),
        awaitEnd({ client, job, poll: POLL_MS, settle: SETTLE_MS }),
        fetchResults({ client, job, settle: SETTLE_MS }),
        new Writable({ objectMode: true, write: (_result, _encoding, done) => done() }),
        { signal: dead.signal },
      )
    } finally {
      await job.close()
    }
  }
  const reuse: Reuse = {
    answeredBy: answeredByClient(client),
    open: async ({ store: { folder } }) => {
      const found = await inspectJob(disk, PLACES.state, 'earlier')
      const jobs = found && isSound(found) && hasKeys(found) ? [found] : []
      const path = `${folder}/batches/earlier`
      return await EarlierAnswers.open({ disk, path, jobs, answeredBy: answeredByClient(client) })
    },
  }
  const job = await openStoredJob({ name: 'crash', ...place })
  try {
    const through = (attempt: number): Stage<SourceRecord, Result> => {
      const ended = chain(
        template({ prompt: 'Say {{q}}', id }),
        aggregateReusing({
          ...{ job, batchSize: count, attempt },
          reuse: earlier === undefined ? undefined : reuse,
        }),
        submit({ client, concurrency, settle: SETTLE_MS, adopt }),
        awaitEnd({ client, job, poll: POLL_MS, settle: SETTLE_MS, adopt }),
      )
      const results = fetchResults({ client, job, settle: SETTLE_MS })
      return ordered ? chain(ended, inputOrder(), results) : chain(ended, results)
    }
    const row = jsonlRow()
    const output = await openOutput({
      job,
      out: { path: PLACES.out },
      errors: task.errors ? { path: PLACES.errors } : undefined,
      rows: { rowOf: row },
      errorRowOf: row,
      ordered,
    })
    const source = from(Readable.from([Buffer.from(task.input)]), parseJsonl())
    const retried = retry({ job, retries: attempts, createPipeline: through })
    const again = ordered ? chain(retried, rowsInOrder({ job })) : retried
    await pipeline([source, spool({ job }), through(1), again, output], { signal: dead.signal })
    await job.note({ type: 'finished', at: clock.now() }, true)
  } finally {
    await job.close()
  }
}

/** The clock of one process: it starts with the process, and its sleeps never end once the process is dead. */
function processClock(time: VirtualClock, gate: Gate): Clock {
  const began = time.elapsed()
  const dead = new AbortController()
  gate.onDeath(() => dead.abort())
  return {
    now: () => time.now(),
    elapsed: () => time.elapsed() - began,
    sleep: (ms, signal) =>
      time.sleep(ms, signal ? AbortSignal.any([signal, dead.signal]) : dead.signal),
  }
}
