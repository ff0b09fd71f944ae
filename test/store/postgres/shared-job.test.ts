import { rmSync } from 'node:fs'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { t, type Test } from 'tap'
import { openBelow } from '../../support/descriptors.ts'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import { systemClock } from '../../../lib/core/clock.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { shardJobName } from '../../../lib/core/shard.ts'
import type { RunEvent } from '../../../lib/core/job/run-event.ts'
import { listPrice } from '../../../lib/cost/price.ts'
import { Cap } from '../../../lib/run/cap.ts'
import { capOf } from '../../../lib/run/capped-job.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import { parseJsonl } from '../../../lib/stages/parse/jsonl.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { submit, type SubmitOptions } from '../../../lib/stages/submit/submit.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { nodeDisk, type Disk } from '../../../lib/store/disk.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { openStoredJob, type StoredJobOptions } from '../../../lib/store/open.ts'
import { postgresLedger, postgresLedgerOf } from '../../../lib/store/postgres/ledger.ts'
import type { LedgerPool } from '../../../lib/store/postgres/pool.ts'
import { SCHEMA_VERSION } from '../../../lib/store/postgres/schema.ts'
import { PostgresShard } from '../../../lib/store/postgres/shard.ts'
import { clientOf } from '../../support/world.ts'
import { record, records } from '../../support/jobs.ts'
import { pglitePool } from '../../support/postgres.ts'

const LEASE_MS = 1000

const pool = pglitePool()
t.teardown(() => pool.end())

let jobs = 0

interface Machines {
  readonly emulator: Emulator
  readonly name: string
  /** Opens the job on a machine: each has a disk of its own. */
  open(machine: string, more?: Partial<StoredJobOptions>): Promise<StoredJob>
  /** Loses a machine's disk. */
  lose(machine: string): void
}

async function machines(
  t: Test,
  ledgerPool: LedgerPool = pool,
  api: EmulatorOptions = {},
): Promise<Machines> {
  const emulator = await createEmulator({ port: null, batchTimeMs: 10, ...api })
  t.teardown(() => emulator.close())
  const dir = t.testdir()
  const name = `job-${++jobs}`
  const ledger = postgresLedger({ pool: ledgerPool, leaseMs: LEASE_MS })
  return {
    emulator,
    name,
    open: async (machine, more = {}) => {
      const { shard } = more
      const job = await openStoredJob({
        ...{ name: shard ? shardJobName(name, shard.index) : name, ledger },
        dir: `${dir}/${machine}`,
        ...more,
      })
      t.teardown(() => job.close().catch(() => {}))
      return job
    },
    lose: machine => rmSync(`${dir}/${machine}`, { recursive: true, force: true }),
  }
}

interface RunOptions extends Partial<SubmitOptions> {
  readonly id?: string
  readonly count?: number
  readonly stopAt?: (event: RunEvent) => boolean
  readonly cap?: Cap | undefined
}

/** Runs the job over records in batches of 4; gives the rows, or what came of them before the stop. */
async function run(
  { emulator }: Machines,
  job: StoredJob,
  input: Iterable<SourceRecord>,
  { count = 4, id, stopAt, cap, ...options }: RunOptions = {},
): Promise<string[]> {
  const client = clientOf(emulator)
  const stop = new AbortController()
  if (stopAt) job.on('event', event => stopAt(event) && setImmediate(() => stop.abort()))
  const rows: string[] = []
  await pipeline(
    Readable.from(input),
    spool({ job }),
    template({ model: 'claude-haiku-5-5', maxTokens: 64, prompt: 'n {{n}}', id }),
    aggregate({ job, batchSize: count }),
    submit({ client, settle: 50, ...options }),
    awaitEnd({ client, job, poll: 5, settle: 50, adopt: options.adopt }),
    fetchResults({ client, job }),
    new Writable({
      objectMode: true,
      write({ record, status, response }: Result, _encoding, done) {
        rows.push(`${record?.ordinal} ${status} ${response}`)
        done()
      },
    }),
    { signal: stop.signal },
  ).catch(async (cause: unknown) => {
    if (stop.signal.aborted) return
    await job.close()
    throw cause
  })
  await cap?.settle()
  await job.close()
  return rows.sort((a, b) => parseInt(a) - parseInt(b))
}

/** Nothing was paid twice, and so many records were paid for in all. */
async function mustBePaidOnce(t: Test, { emulator }: Machines, count: number): Promise<void> {
  t.match(await emulator.ledger.totals(), { billed: count, billedTwice: 0, acceptedTwice: 0 })
}

/** The rows of ten records in an undisturbed run; the first test fills it. */
let undisturbed: readonly string[] = []

void t.test('a job with a ledger writes the rows of a job without one', async t => {
  const world = await machines(t)
  undisturbed = await run(world, await world.open('a'), records(10))
  t.equal(undisturbed.length, 10)
  await mustBePaidOnce(t, world, 10)
})

void t.test('another machine continues a job whose disk is lost, at any point', async t => {
  const stops: Record<string, (event: RunEvent) => boolean> = {
    'a sealed batch': ({ type }) => type === 'sealed',
    'the second sealed batch': event => event.type === 'sealed' && event.number === 2,
    'an armed batch': ({ type }) => type === 'armed',
    'a submitted batch': ({ type }) => type === 'submitted',
    'the last submitted batch': event => event.type === 'submitted' && event.number === 3,
    'an ended batch': ({ type }) => type === 'ended',
    'a fetched batch': ({ type }) => type === 'fetched',
  }
  for (const [where, stopAt] of Object.entries(stops)) {
    const world = await machines(t)
    await run(world, await world.open('a'), records(10), { stopAt })
    world.lose('a')
    const code = await world
      .open('b')
      .then(job => run(world, job, records(10)))
      .catch(({ code }: { code: string }) => code)
    // An armed batch that was not accepted lost its body with the disk: the next start seals its records anew.
    const rows = code === 'CBS_API' ? await run(world, await world.open('b'), records(10)) : code
    t.same(rows, undisturbed, where)
    await mustBePaidOnce(t, world, 10)
  }
})

void t.test('a batch id that the API does not know is replaced, on whatever machine', async t => {
  const stops: Record<string, (event: RunEvent) => boolean> = {
    'the wrong id': ({ type }) => type === 'submitted',
    'a candidate': ({ type }) => type === 'candidate',
    'the right id': event => event.type === 'submitted' && event.adopted,
    'the end': ({ type }) => type === 'ended',
    'no stop': () => false,
  }
  for (const [where, stopAt] of Object.entries(stops)) {
    const world = await machines(t)
    world.emulator.addFault({ on: 'create', nth: 1, replyId: `msgbatch_wrong-${world.name}` })
    await run(world, await world.open('a'), records(10), { stopAt, count: 10 })
    world.lose('a')
    t.same(await run(world, await world.open('b'), records(10), { count: 10 }), undisturbed, where)
    await mustBePaidOnce(t, world, 10)
    const { rows } = await pool.query(
      'select id, phase, pool from claude_batch_stream.batch where job = $1',
      [world.name],
    )
    const [real] = world.emulator.ledger.batches()
    t.same(rows, [{ id: real?.id, phase: 'fetched', pool: null }], where)
  }
})

void t.test('the same machine sends the batches whose bodies are on its disk', async t => {
  const world = await machines(t)
  await run(world, await world.open('a'), records(10), { approve: async () => false })
  t.equal(world.emulator.ledger.batches().length, 0)
  const job = await world.open('a')
  t.same(
    [...job.state.batches.values()].map(({ phase }) => phase),
    ['sealed', 'sealed', 'sealed'],
  )
  t.same(await run(world, job, records(10)), undisturbed)
  await mustBePaidOnce(t, world, 10)
})

void t.test('input in pages is verified on another machine', async t => {
  const world = await machines(t)
  const spoolOn = async (machine: string, text: string): Promise<void> => {
    const job = await world.open(machine)
    const taken = new Writable({ objectMode: true, write: (_chunk, _encoding, done) => done() })
    const input = Readable.from([Buffer.from(text)])
    await pipeline(input, parseJsonl(), spool({ job }), taken).finally(() => job.close())
  }
  await spoolOn('a', '{"n":1}\n{"n":2}\n')
  await t.rejects(spoolOn('b', '{"n":1}\n{"n":3}\n'), { code: 'CBS_INPUT' })
  await spoolOn('c', '{"n":1}\n{"n":2}\n')
})

void t.test('the bill of results that are on a lost disk stays open', async t => {
  const world = await machines(t)
  await run(world, await world.open('a'), records(4))
  world.lose('a')
  const job = await world.open('b')
  await capOf(job, 10n ** 18n, listPrice).settle()
  t.same([...((await job.shared?.settled()) ?? [])], [])
  await run(world, job, records(4))
  const again = await world.open('b')
  await capOf(again, 10n ** 18n, listPrice).settle()
  t.same([...((await again.shared?.settled())?.keys() ?? [])], [1])
})

void t.test('a decision about chosen ids counts on whatever machine', async t => {
  for (const when of ['before', 'after'] as const) {
    const world = await machines(t)
    world.emulator.addFault({ on: 'create', nth: 1, when, reset: true })
    const customIds = Array.from({ length: 10 }, (_, i) => `row-${i}`)
    const other = await world.emulator.addForeign({ customIds, createdAgoMs: 0 })
    const options = { count: 10, id: 'row-{{n}}' }
    const question = { code: 'CBS_STOPPED', message: new RegExp(other) }
    await t.rejects(run(world, await world.open('a'), records(10), options), question)
    world.lose('a')
    await t.rejects(run(world, await world.open('b'), records(10), options), question)
    world.lose('b')
    const real = world.emulator.ledger.batches().find(({ id }) => id !== other)
    const adopt = [real?.id ?? 'none']
    const decided = run(world, await world.open('c'), records(10), { ...options, adopt })
    // The body was lost with the first machine, so the same command sends the records again.
    if (!real) await t.rejects(decided, { code: 'CBS_API', message: /its body was lost/ })
    else t.same(await decided, undisturbed)
    world.lose('c')
    t.same(await run(world, await world.open('d'), records(10), options), undisturbed)
    await mustBePaidOnce(t, world, 10)
  }
})

void t.test('results are fetched again on a new machine, and nothing is sent', async t => {
  const world = await machines(t)
  t.same(await run(world, await world.open('a'), records(10)), undisturbed)
  world.lose('a')
  const calls = world.emulator.ledger.batches().length
  t.same(await run(world, await world.open('b'), records(10)), undisturbed)
  t.equal(world.emulator.ledger.batches().length, calls)
  // The first machine's disk may be older than the ledger: it is not believed.
  t.same(await run(world, await world.open('a'), records(10)), undisturbed)
  await mustBePaidOnce(t, world, 10)
})

void t.test(
  'a changed input is detected when the records are read again, and nothing is sent',
  async t => {
    const world = await machines(t)
    const stopAt = ({ type }: RunEvent): boolean => type === 'submitted'
    await run(world, await world.open('a'), records(10), { stopAt })
    world.lose('a')
    const sent = world.emulator.ledger.batches().length
    const changed = records(10)
    changed[2] = record({ n: 'another' }, 3)
    const job = await world.open('b')
    await t.rejects(run(world, job, changed), { code: 'CBS_INPUT' })
    await job.close()
    t.equal(world.emulator.ledger.batches().length, sent)
  },
)

void t.test('a second worker waits one lease, and is refused while the first is alive', async t => {
  const world = await machines(t)
  const first = await world.open('a')
  const began = performance.now()
  await t.rejects(world.open('b'), {
    code: 'CBS_JOB_IN_USE',
    message: /another worker has job/,
  })
  t.ok(performance.now() - began >= LEASE_MS)
  await first.close()
  await (await world.open('b')).close()
})

void t.test('another number of shards or block size is refused', async t => {
  const world = await machines(t)
  await (await world.open('a', { shard: { index: 1, count: 4, block: 100 } })).close()
  for (const shard of [
    { index: 1, count: 5, block: 100 },
    { index: 1, count: 4, block: 10 },
  ])
    await t.rejects(world.open('a', { shard }), {
      code: 'CBS_INPUT',
      message: /4 shards and blocks of 100/,
    })
})

void t.test(
  'a worker whose job was taken over writes nothing more, and its late batch id is evidence',
  async t => {
    const world = await machines(t)
    const ledger = postgresLedgerOf(postgresLedger({ pool, leaseMs: LEASE_MS }))
    const key = { job: world.name, index: 0, count: 1, block: 0 }
    const filesOf = async (): Promise<Uint8Array> => Buffer.alloc(0)
    // Its clock stands still, so it never renews its lease, as a process that is stopped.
    const frozen = { ...systemClock, sleep: () => new Promise<void>(() => {}) }
    const { shard: old } = await ledger.take(key, frozen, filesOf)
    const sealed = {
      number: 1,
      attempt: 1,
      next: 1,
      first: 0,
      records: 1,
      requests: 1,
      bytes: 9,
      hash: 'x',
    }
    await old.append({ type: 'opened', version: 2, run: 'abcdefghij', at: 1 }, true)
    await old.append({ type: 'sealed', ...sealed }, false)
    await old.append({ type: 'armed', number: 1, at: 2, serverAt: null }, true)
    old.assertOwned()
    const { shard: heir, events, epoch } = await ledger.take(key, systemClock, filesOf)
    t.equal(events.length, 3)
    t.equal(epoch, 2)
    t.throws(() => old.assertOwned(), { code: 'CBS_API', message: /lease on the job ended/ })
    t.equal(await heir.lateIdOf(1), undefined)
    const late = {
      type: 'submitted',
      number: 1,
      id: 'msgbatch_late',
      at: 3,
      adopted: false,
    } as const
    await t.rejects(old.append(late, true), { code: 'CBS_JOB_IN_USE', message: /has taken over/ })
    t.ok(old.lost.aborted)
    t.throws(() => old.assertOwned(), { code: 'CBS_JOB_IN_USE' })
    t.equal(await heir.lateIdOf(1), 'msgbatch_late')
    t.ok(heir.leaseEndedMs() >= 0)
    t.ok(heir.leaseEndedMs() < 5000)
    await heir.close()
  },
)

void t.test(
  'a database that has lost committed events is refused, and nothing is sent',
  async t => {
    const world = await machines(t)
    const job = await world.open('a')
    await run(world, job, records(2), { stopAt: ({ type }) => type === 'submitted' })
    await pool.query('delete from claude_batch_stream.event where job = $1 and seq = 2', [
      world.name,
    ])
    await t.rejects(world.open('b'), {
      code: 'CBS_STATE',
      message: `the ledger has lost event 2 of job ${world.name} and has later ones`,
    })
    t.equal(world.emulator.ledger.batches().length, 1)
  },
)

void t.test('a commit whose reply is lost counts once', async t => {
  let losing = false
  let lost = 0
  const flaky: LedgerPool = {
    query: (text, values) => pool.query(text, values),
    connect: async () => {
      const connection = await pool.connect()
      return {
        release: destroy => connection.release(destroy),
        query: async (text, values) => {
          const rows = await connection.query(text, values)
          if (losing && text === 'commit') {
            lost += 1
            losing = false
            throw new Error('read ECONNRESET')
          }
          return rows
        },
      }
    },
  }
  const world = await machines(t, flaky)
  const job = await world.open('a')
  job.on('event', ({ type }) => {
    if (type === 'sealed' || type === 'armed' || type === 'submitted') losing = true
  })
  t.same(await run(world, job, records(10)), undisturbed)
  t.ok(lost >= 3)
  await mustBePaidOnce(t, world, 10)
  losing = true
  await (await world.open('a')).close()
})

void t.test('an unreachable, refusing or newer database is reported as such', async t => {
  const failing = (code: string, message: string): LedgerPool => {
    const fail = async (): Promise<never> => {
      throw Object.assign(new Error(message), { code })
    }
    return { query: fail, connect: fail }
  }
  const open = async (failingPool: LedgerPool): Promise<unknown> =>
    (await machines(t, failingPool)).open('a')
  await t.rejects(open(failing('ECONNREFUSED', '')), { code: 'CBS_API' })
  await t.rejects(open(failing('28P01', 'password authentication failed')), { code: 'CBS_ACCESS' })
  await t.rejects(open(failing('42P01', 'no such table')), { code: 'CBS_STATE' })
  const newer = pglitePool()
  t.teardown(() => newer.end())
  await (await (await machines(t, newer)).open('a')).close()
  await newer.query('update claude_batch_stream.version set version = 99')
  await t.rejects(open(newer), { code: 'CBS_STATE', message: /have version 99/ })
})

void t.test('the queue and the budget are shared by shards, and empty at the end', async t => {
  const world = await machines(t)
  const shards = [0, 1].map(index => ({ index, count: 2, block: 5 }))
  const [a, b] = await Promise.all(shards.map(shard => world.open(`m${shard.index}`, { shard })))
  if (!a || !b) throw new Error('two shards were opened')
  const cap = 100n
  const capped = (job: StoredJob): Cap =>
    new Cap({ job, most: cap, worstOf: async () => 40n, spentOn: async () => 30n })
  const caps = [capped(a), capped(b)]
  const all = await Promise.all(
    [a, b].map(async (job, i) => {
      const approve: SubmitOptions['approve'] = async (batch, signal) => {
        const isAdmitted = (await caps[i]?.approve(batch, signal)) ?? true
        const { rows } = await pool.query(
          'select spent::text, reserved::text from claude_batch_stream.budget where job = $1',
          [world.name],
        )
        t.ok(BigInt(String(rows[0]?.['spent'])) + BigInt(String(rows[0]?.['reserved'])) <= cap)
        return isAdmitted
      }
      const rows = await run(world, job, records(8).slice(i * 4, i * 4 + 4), {
        count: 2,
        approve,
        cap: caps[i],
      })
      return rows
    }),
  )
  // Three batches of 30 fit below 100 and a fourth does not; the caps settled what came of them.
  t.ok(all.flat().length <= 6)
  const { rows: held } = await pool.query(
    `select number from claude_batch_stream.batch where job = $1 and (pool is not null or reserved > 0)`,
    [world.name],
  )
  t.same(held, [])
  const { rows: budget } = await pool.query(
    'select spent::text, reserved::text from claude_batch_stream.budget where job = $1',
    [world.name],
  )
  t.same(budget, [{ spent: '90', reserved: '0' }])
})

void t.test(
  'worst cases are raised as far as a batch of any shard was billed above its own',
  async t => {
    const world = await machines(t)
    const shards = await Promise.all(
      [0, 1].map(index => world.open(`machine-${index}`, { shard: { index, count: 2, block: 1 } })),
    )
    const [first, second] = shards.map(({ shared }) => shared)
    if (!first || !second) throw new Error('the job is in a ledger')
    const part = { attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
    for (const job of shards)
      for (const number of [1, 2, 3]) await job.note({ type: 'sealed', number, ...part }, true)
    const cap = 100n
    for (const shared of [first, second])
      for (const number of [1, 2]) t.equal(await shared.reserveBudget(number, 10n, cap), 'reserved')
    t.same(await second.spending(), { spent: 0n, reserved: 40n })
    await first.settle(1, { spent: 15n, isWhole: true }, cap)
    t.same(await second.spending(), { spent: 15n, reserved: 45n })
    t.same(await second.reserveBudget(3, 30n, cap), { spent: 15n, reserved: 45n, worst: 45n })
    // Some answers will never arrive, or their cost is unknown.
    await second.settle(1, { spent: 4n, isWhole: false }, cap)
    await first.settle(2, { spent: 17n, isWhole: false }, cap)
    t.same(await second.spending(), { spent: 15n + 15n + 17n, reserved: 17n })
    t.same([...(await second.settled())], [[1, 15n]])
  },
)

void t.test('tables of the version before get their new columns', async t => {
  await pool.query(
    'alter table claude_batch_stream.budget drop column billed, drop column estimated',
  )
  await pool.query('update claude_batch_stream.version set version = 1')
  const world = await machines(t)
  const { shared } = await world.open('a')
  t.same(await shared?.spending(), { spent: 0n, reserved: 0n })
  const { rows } = await pool.query('select version from claude_batch_stream.version')
  t.same(rows, [{ version: SCHEMA_VERSION }])
})

void t.test('a limit on the requests per minute is no full queue', async t => {
  for (const [after, isFull] of [
    ['1', false],
    ['3600', true],
  ] as const) {
    const world = await machines(t, pool, {
      // The reply to the first create shows the workspace, whose queue the others fill.
      batchTimeMs: ({ number }) => (number === 2 ? 500 : 1),
      faults: [{ on: 'create', nth: 3, status: 429, headers: { 'retry-after': after } }],
    })
    const job = await world.open('a')
    await pool.query('delete from claude_batch_stream.pool')
    const stopAt = ({ type }: RunEvent): boolean => isFull && type === 'disarmed'
    await run(world, job, records(6), { count: 2, stopAt })
    const { rows } = await pool.query(
      'delete from claude_batch_stream.pool where cap is not null returning name',
    )
    t.equal(rows.length > 0, isFull, after)
  }
})

void t.test('a repeated question about a batch gets the same answer from the ledger', async t => {
  const world = await machines(t)
  const job = await world.open('a')
  const { shared } = job
  if (!(shared instanceof PostgresShard)) throw new Error('the job is in a ledger')
  t.same(await shared.spending(), { spent: 0n, reserved: 0n })
  t.equal(await shared.filesOfBatch(1), undefined)
  const part = { number: 1, attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
  await job.note({ type: 'sealed', ...part }, true)
  for (const _ of [1, 2]) t.equal(await shared.reserveBudget(1, 40n, 100n), 'reserved')
  t.same(await shared.spending(), { spent: 0n, reserved: 40n })
  t.same(
    await shared.reserveBudget(1, 40n, 39n),
    { spent: 0n, reserved: 0n, worst: 40n },
    'the cap was lowered since',
  )
  for (const _ of [1, 2]) await shared.settle(1, { spent: 30n, isWhole: true }, 100n)
  t.same(await shared.spending(), { spent: 30n, reserved: 0n })
  await pool.query(
    `insert into claude_batch_stream.event (job, shard, seq, epoch, line)
     select job, shard, seq + 1, epoch - 1, '{}' from claude_batch_stream.event
     where job = $1 order by seq desc limit 1`,
    [world.name],
  )
  await t.rejects(job.note({ type: 'armed', number: 1, at: 1, serverAt: null }, true), {
    code: 'CBS_JOB_IN_USE',
  })
  // The next sign of life is left out.
  await systemClock.sleep(LEASE_MS / 2)
  await job.close()
})

void t.test('a failed start frees the job, and a shard is named by its number', async t => {
  const world = await machines(t)
  const shard = { index: 0, count: 2, block: 5 }
  const disk: Disk = {
    ...nodeDisk,
    readWhole: async () => {
      throw new BatchStreamError('CBS_DISK', 'the disk is broken')
    },
  }
  await t.rejects(world.open('a', { shard, disk }), { code: 'CBS_DISK' })
  const sealing = await world.open('a', { shard })
  const sealed = { attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
  await sealing.note({ type: 'sealed', number: 1, ...sealed }, true)
  await sealing.close()
  const late: Disk = {
    ...nodeDisk,
    stat: async path => {
      if (path.endsWith('1.body')) throw new BatchStreamError('CBS_DISK', 'the disk is broken')
      return await nodeDisk.stat(path)
    },
  }
  await t.rejects(world.open('a', { shard, disk: late }), { code: 'CBS_DISK' })
  t.same(openBelow(sealing.store.folder), [])
  const job = await world.open('b', { shard })
  await t.rejects(world.open('c', { shard }), {
    code: 'CBS_JOB_IN_USE',
    message: /another worker has shard 0 of job/,
  })
  await job.close()
  const named = await world.open('d', { shard, name: `plain-${world.name}` })
  t.same(named.state.shard, shard)
  await named.close()
})

void t.test('a stale connection is retried once', async t => {
  let isStale = true
  const stale: LedgerPool = {
    connect: async () => await pool.connect(),
    query: async (text, values) => {
      if (!isStale) return await pool.query(text, values)
      isStale = false
      throw new Error('Connection terminated unexpectedly')
    },
  }
  await (await (await machines(t, stale)).open('a')).close()
  t.notOk(isStale)
})

void t.test('a job in the ledger without a card, and one that cannot be read', async t => {
  const world = await machines(t)
  await (await world.open('a')).close()
  let isBroken = false
  const broken: LedgerPool = {
    connect: async () => await pool.connect(),
    query: async (text, values) => {
      if (isBroken && text.includes('order by seq')) throw new TypeError('a bug')
      return await pool.query(text, values)
    },
  }
  const ledger = postgresLedgerOf(postgresLedger({ pool: broken }))
  t.match(await ledger.shards(world.name), [{ job: world.name, card: undefined, isHeld: false }])
  isBroken = true
  await t.rejects(ledger.shards(), { code: 'CBS_STATE', message: /a bug/ })
})

void t.test('values that are not a pool or a ledger are rejected', async t => {
  // What a user without types may pass.
  const wrong = {} as never
  t.throws(() => postgresLedger({ pool: wrong }), { code: 'CBS_OPTION', option: 'pool' })
  const options = { name: 'j', dir: t.testdir(), ledger: wrong }
  await t.rejects(openStoredJob(options), { code: 'CBS_OPTION', option: 'ledger' })
})
