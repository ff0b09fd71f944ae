// Runs of the library whose jobs are in a ledger: their folders are caches that may be lost.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  BatchStreamError,
  openJob,
  postgresLedger,
  runBatches,
  type JobOptions,
  type RunOptions,
  type SharedLedger,
} from '../../lib/index.ts'
import { systemClock, type Clock } from '../../lib/core/clock.ts'
import {
  createEmulator,
  type Emulator,
  type EmulatorOptions,
  type FaultRule,
} from '../../lib/emulator/index.ts'
import { storedJob } from '../../lib/store/job.ts'
import type { LedgerPool } from '../../lib/store/postgres/pool.ts'
import { ledgerDatabase } from '../support/postgres.ts'
import { clientOf } from '../support/world.ts'

const reviews = Array.from({ length: 10 }, (_, id) => ({ id, text: `text ${id}` }))

interface Machines {
  readonly emulator: Emulator
  /** The name of the job. */
  readonly name: string
  readonly ledger: SharedLedger
  /** Runs the job on a machine, which has a disk of its own; gives its rows. */
  run(machine: string, more?: Partial<RunOptions>): Promise<string[]>
  lose(machine: string): void
  folder(machine: string): string
}

let jobs = 0

async function machines(
  t: Test,
  options: EmulatorOptions = {},
  ledgerOf: (pool: LedgerPool) => SharedLedger = pool => postgresLedger({ pool }),
): Promise<Machines> {
  const ledger = ledgerOf((await ledgerDatabase(t)).pool)
  const emulator = await createEmulator({ port: null, batchTimeMs: 5, ...options })
  t.teardown(() => emulator.close())
  const dir = t.testdir()
  const name = `run-${++jobs}`
  const folder = (machine: string): string => join(dir, machine)
  return {
    ...{ emulator, name, ledger, folder },
    lose: machine => rmSync(folder(machine), { recursive: true, force: true }),
    run: async (machine, more = {}) => {
      const run = runBatches(reviews, {
        client: clientOf(emulator),
        prompt: '{{text}}',
        ...{ batchSize: 3, poll: 5, settle: 50, backoff: { first: 1, most: 4 } },
        job: { name, dir: folder(machine), ledger },
        ...more,
      })
      const rows: string[] = []
      for await (const { record, status, value } of run)
        rows.push(`${record.line} ${status} ${String(value)}`)
      return rows
    },
  }
}

void t.test('results are downloaded again if the disk is lost, in every kind of run', async t => {
  const kinds: Partial<RunOptions>[] = [{}, { order: 'input', dedupe: true }]
  for (const kind of kinds) {
    const world = await machines(t)
    const first = await world.run('a', kind)
    t.equal(first.length, 10)
    world.lose('a')
    const sent = world.emulator.ledger.batches().length
    t.same((await world.run('b', kind)).sort(), first.toSorted())
    t.equal(world.emulator.ledger.batches().length, sent, 'nothing is sent')
    t.match(await world.emulator.ledger.totals(), { acceptedTwice: 0 })
  }
})

void t.test('each step of a job may run on another machine', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const world = await machines(t, { batchTimeMs: 3_600_000, clock })
  const step = { maxWait: 0, concurrency: 2, order: 'input' } as const
  t.same(await world.run('a', step), [])
  t.equal(world.emulator.ledger.batches().length, 2)
  world.lose('a')
  turned += 7_200_000
  t.equal((await world.run('b', step)).length, 6)
  t.equal(world.emulator.ledger.batches().length, 4)
  world.lose('b')
  turned += 7_200_000
  t.equal((await world.run('c', step)).length, 10)
  t.match(await world.emulator.ledger.totals(), { billed: 10, billedTwice: 0, acceptedTwice: 0 })
})

void t.test('a step does not wait for queue slots that other workers use', async t => {
  const world = await machines(t, { batchTimeMs: 3_600_000, queueLimit: 6 })
  const step = { maxWait: 0, concurrency: 10 }
  t.same(await world.run('a', step), [])
  t.equal(world.emulator.ledger.batches().length, 2, 'the API takes two batches')
  t.same(await world.run('b', step), [])
  t.equal(world.emulator.ledger.batches().length, 2)
})

void t.test('a run waits until other workers release their queue slots', async t => {
  let turned = 0
  const server = { now: (): number => Date.now() + turned }
  const world = await machines(t, { batchTimeMs: 3_600_000, queueLimit: 6, clock: server })
  t.same(await world.run('a', { maxWait: 0, concurrency: 10 }), [])
  t.equal(world.emulator.ledger.batches().length, 2, 'the API takes two batches')
  const clock: Clock = {
    ...{ now: () => systemClock.now(), elapsed: () => systemClock.elapsed() },
    sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 10), signal),
  }
  const { name, ledger } = world
  const job = storedJob(await openJob({ name, dir: world.folder('b'), ledger, clock }))
  t.teardown(() => job.close())
  const waits: string[] = []
  let ended = 0
  job.on('event', event => {
    if (event.type === 'waiting') waits.push(event.why)
    else if (event.type !== 'submitted') return
    // The batches at the API end, so that the queue has room again.
    const sent = world.emulator.ledger.batches().length
    if (sent > ended) turned += 7_200_000
    ended = sent
  })
  t.equal((await world.run('b', { job })).length, 10)
  t.match(waits[0], /the API's queue is full/)
  t.match(await world.emulator.ledger.totals(), { billed: 10, billedTwice: 0, acceptedTwice: 0 })
})

void t.test(
  'a run that waits for queue slots of other workers ends when submission stops',
  async t => {
    let turned = 0
    const server = { now: (): number => Date.now() + turned }
    const world = await machines(t, { batchTimeMs: 3_600_000, queueLimit: 6, clock: server })
    t.same(await world.run('a', { maxWait: 0, concurrency: 10 }), [])
    const { name, ledger } = world
    const job = storedJob(await openJob({ name, dir: world.folder('b'), ledger }))
    t.teardown(() => job.close())
    const reason = new BatchStreamError('CBS_STOPPED', 'enough')
    job.on('event', event => {
      if (event.type !== 'waiting') return
      t.match(event.why, /according to the ledger, the API's queue is full/)
      job.queue.stop(reason)
      turned += 7_200_000
    })
    await t.rejects(world.run('b', { job }), reason)
    t.equal(world.emulator.ledger.batches().length, 2)
    t.equal(job.batch(2).phase, 'fetched', 'what was sent is here')
  },
)

void t.test('results that are gone from both the lost disk and the API are an error', async t => {
  let turned = 0
  const server = { now: (): number => Date.now() + turned }
  const faults: FaultRule[] = [{ on: 'list', nth: 1, status: 529 }]
  const world = await machines(t, { batchTimeMs: 5, clock: server, faults })
  t.equal((await world.run('a')).length, 10)
  world.lose('a')
  turned += 30 * 24 * 3_600_000
  await t.rejects(world.run('b'), {
    code: 'CBS_API',
    message: /results of batch 1 are on the disk of another machine and cannot be downloaded again/,
  })
})

void t.test(
  'after a lost disk, results may be more complete than before, but not less',
  async t => {
    let isShort = true
    const world = await machines(t, {
      faults: ({ op }) => (op === 'results' && isShort ? { lines: { drop: 1 } } : undefined),
    })
    const rows = (await world.run('a', { batchSize: 5 })).join('')
    t.equal(rows.match(/unanswered/g)?.length, 2, 'one row of each batch')
    world.lose('a')
    isShort = false
    t.notMatch((await world.run('b', { batchSize: 5 })).join(''), 'unanswered')
    world.lose('b')
    isShort = true
    await t.rejects(world.run('c', { batchSize: 5 }), {
      code: 'CBS_API',
      message: /cannot be downloaded again: the API sends 4 of its 5 lines/,
    })
  },
)

void t.test('each shard reads its part of the source', async t => {
  const world = await machines(t)
  const shardOn = (machine: string, index: number): JobOptions => ({
    ...{ name: 'parts', dir: world.folder(machine), ledger: world.ledger },
    shard: { index, count: 3, block: 2 },
  })
  const rows = await Promise.all(
    [0, 1, 2].map(index => world.run(`m${index}`, { job: shardOn(`m${index}`, index) })),
  )
  t.same(
    rows.map(part => part.map(row => parseInt(row)).sort((a, b) => a - b)),
    [
      [1, 2, 7, 8],
      [3, 4, 9, 10],
      [5, 6],
    ],
  )
  const job = await openJob(shardOn('open', 1))
  t.teardown(() => job.close())
  t.equal((await world.run('open', { job })).length, 4, 'so does an open job')
  await job.close()
  t.match(await world.emulator.ledger.totals(), { billed: 10, billedTwice: 0, acceptedTwice: 0 })
})

void t.test('a run that loses its job while it waits ends at once, with the reason', async t => {
  let isAway = false
  const mayFail = async (): Promise<void> => {
    if (isAway) throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  }
  const world = await machines(t, { batchTimeMs: 3_600_000 }, pool => {
    const flaky: LedgerPool = {
      connect: async () => (await mayFail(), await pool.connect()),
      query: async (text, values) => (await mayFail(), await pool.query(text, values)),
    }
    return postgresLedger({ pool: flaky, leaseMs: 1000 })
  })
  await t.rejects(
    world.run('a', { onEvent: ({ type }) => type === 'submitted' && (isAway = true) }),
    { code: 'CBS_API', message: /ledger cannot be reached.*its lease has ended/s },
  )
  const abort = new AbortController()
  isAway = false
  await t.rejects(
    world.run('b', {
      maxWait: 60_000,
      signal: abort.signal,
      onEvent: ({ type }) => type === 'submitted' && abort.abort(),
    }),
    abort.signal.reason,
  )
})
