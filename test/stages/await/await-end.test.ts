import { Readable } from 'node:stream'
import t from 'tap'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { nextLook } from '../../../lib/stages/await/await-end.ts'
import { openBelow } from '../../support/descriptors.ts'
import { record } from '../../support/jobs.ts'
import {
  clientThatChanges,
  ask,
  asks,
  callsOf,
  clientOf,
  makeWorld,
  run,
  said,
} from '../../support/world.ts'

const MINUTE = 60_000

void t.test('an invalid option is rejected at once', async t => {
  const { client } = await makeWorld(t)
  for (const wrong of [{ poll: 0 }, { settle: -1 }])
    t.throws(() => awaitEnd({ client, ...wrong }), { code: 'CBS_OPTION' })
})

for (const [pollMs, age, wait] of [
  [undefined, 0, 5_000],
  [undefined, 50_000, 5_000],
  [undefined, 300_000, 30_000],
  [undefined, 7_200_000, 60_000],
  [123, 7_200_000, 123],
] as const) {
  void t.test(
    `a batch of ${age} ms is polled again after ${wait} ms if pollMs is ${pollMs}`,
    async t => {
      t.equal(nextLook(pollMs, age), wait)
    },
  )
}

void t.test(
  'one list call covers several batches, a single batch is retrieved by its id',
  async t => {
    // With each list one of its batches is retrieved, too.
    for (const [count, op, other, most] of [
      [1, 'list', 'retrieve', 15],
      [6, 'retrieve', 'list', 0],
    ] as const) {
      const world = await makeWorld(t, { batchTimeMs: MINUTE })
      const job = await world.open({ name: op })
      t.equal((await run(world, job, asks(6), { aggregate: { batchSize: count } })).length, 6)
      t.ok((callsOf(world.emulator, other)[200] ?? 0) <= most)
      t.ok((callsOf(world.emulator, op)[200] as number) < 15)
    }
  },
)

void t.test('batches are passed on in the order in which they end', async t => {
  const times = [5, 1, 3]
  const world = await makeWorld(t, {
    batchTimeMs: ({ number }) => (times[number - 1] as number) * MINUTE,
  })
  const results = await run(world, await world.open(), asks(6), { aggregate: { batchSize: 2 } })
  t.same(
    results.map(({ record }) => record?.ordinal),
    [2, 3, 4, 5, 0, 1],
  )
})

for (const concurrency of [1, 3]) {
  void t.test(`at most ${concurrency} batches are in flight, and all are sent`, async t => {
    let most = 0
    const world = await makeWorld(t, {
      batchTimeMs: ({ number }) => (number % 3) * MINUTE + 1000,
      faults: () => {
        const running = world.emulator.ledger.batches().filter(batch => batch.state !== 'ended')
        most = Math.max(most, running.length)
        return undefined
      },
    })
    const job = await world.open()
    const results = await run(world, job, asks(20), {
      aggregate: { batchSize: 2 },
      submit: { concurrency },
    })
    t.equal(results.length, 20)
    t.equal(most, concurrency)
  })
}

void t.test('a 404 just after a create is waited for, and the batch is not resent', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', notFoundMs: 5 * MINUTE }],
  })
  t.same(
    (await run(world, await world.open(), asks(1))).map(({ status }) => status),
    ['succeeded'],
  )
  t.same(callsOf(world.emulator, 'create'), { 200: 1 })
})

void t.test('after the settle time the rows of a lost batch are unanswered', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60 * MINUTE,
    faults: [{ on: 'create', vanishAfterMs: MINUTE }],
  })
  const began = world.clock.elapsed()
  const results = await run(world, await world.open(), asks(2))
  t.same(
    results.map(({ status }) => status),
    ['unanswered', 'unanswered'],
  )
  t.match(
    results[0]?.error?.message,
    /the API does not know batch msgbatch_\w+, and its list has no other batch/,
  )
  const minutes = (world.clock.elapsed() - began) / MINUTE
  t.ok(minutes >= 11 && minutes < 14, `${minutes} minutes`)
  t.same(callsOf(world.emulator, 'create'), { 200: 1 })
})

for (const status of [403, 404, 405, 500, 429])
  void t.test(`a gateway without a list (${status}) does not stop batches in flight`, async t => {
    const world = await makeWorld(t, { batchTimeMs: MINUTE, faults: [{ on: 'list', status }] })
    const results = await run(world, await world.open(), asks(6), { aggregate: { batchSize: 2 } })
    t.equal(results.filter(({ status }) => status === 'succeeded').length, 6)
    t.match(await world.emulator.ledger.totals(), { accepted: 6 })
  })

void t.test('an outage of hours is survived and reported (N33)', async t => {
  let until = Infinity
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op }) =>
      op === 'retrieve' && world.clock.elapsed() < until ? { reset: true } : undefined,
  })
  until = world.clock.elapsed() + 120 * MINUTE
  const waits: string[] = []
  t.same(
    (await run(world, await world.open(), asks(1), { waits })).map(({ status }) => status),
    ['succeeded'],
  )
  t.ok(waits.length > 50 && waits.length < 200, `${waits.length} lines in two hours`)
})

void t.test(
  'a revoked key stops the wait with CBS_ACCESS, and a new key resumes (N13)',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: 5 * MINUTE, keys: { old: 'w', new: 'w' } })
    const job = await world.open()
    job.on('event', ({ type }) => type === 'submitted' && world.emulator.revokeKey('old'))
    await t.rejects(run(world, job, asks(2), { client: clientOf(world.emulator, 'old') }), {
      code: 'CBS_ACCESS',
      message: /401/,
    })
    await job.close()
    const again = await world.open()
    t.equal(
      (await run(world, again, asks(2), { client: clientOf(world.emulator, 'new') })).length,
      2,
    )
    t.same(callsOf(world.emulator, 'create'), { 200: 1 })
  },
)

void t.test('the key of another workspace does not make a batch look lost (N14)', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 5 * MINUTE,
    keys: { a: 'wrkspc_a', b: 'wrkspc_b' },
  })
  const job = await world.open()
  job.on('event', ({ type }) => type === 'submitted' && world.emulator.revokeKey('a'))
  await t.rejects(run(world, job, asks(2), { client: clientOf(world.emulator, 'a') }))
  await job.close()
  const again = await world.open()
  await t.rejects(run(world, again, asks(2), { client: clientOf(world.emulator, 'b') }), {
    code: 'CBS_ACCESS',
    message: /wrkspc_a, but this key belongs to wrkspc_b/,
  })
  t.equal(again.batch(1).phase, 'submitted')
})

for (const hours of [-1, 24]) {
  void t.test(`a clock that jumps by ${hours} h changes no wait (P11)`, async t => {
    const world = await makeWorld(t, { batchTimeMs: 10 * MINUTE })
    const job = await world.open()
    job.on('event', ({ type }) => type === 'submitted' && world.clock.jump(hours * 60 * MINUTE))
    const began = world.clock.elapsed()
    t.equal((await run(world, job, asks(1))).length, 1)
    t.ok(world.clock.elapsed() - began < 13 * MINUTE)
  })
}

void t.test(
  'batches behind one that must be resent do not block it, with concurrency 1',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    // The first must be resent, the second is already in flight.
    const other = await world.open({ name: 'other' })
    const writer = await other.store.newBatch()
    const next = await other.store.newBatch()
    for (const [at, one] of [writer, next].entries()) {
      const ordinal = await other.input.appendOrVerify(record({ at }, at + 1))
      one.add(
        Buffer.from(JSON.stringify({ custom_id: `c-${at}`, ...ask(`q ${at}`) })),
        ordinal,
        `c-${at}`,
      )
      await other.seal(await one.seal(1, ordinal + 1))
    }
    const { id } = await world.client.messages.batches.create({
      requests: [{ custom_id: 'c-1', params: ask('q 1').params as never }],
    })
    await other.note({ type: 'submitted', number: 2, id, at: 0, adopted: false }, true)
    await other.input.complete()
    await other.close()
    const again = await world.open({ name: 'other' })
    const results = await run(world, again, Readable.from([]), { submit: { concurrency: 1 } })
    t.same(
      said(results).map(row => row.slice(0, 12)),
      ['1: succeeded', '0: succeeded'],
    )
  },
)

void t.test(
  'a stage that is destroyed while it waits closes at once, without a timer or an open file',
  async t => {
    const world = await makeWorld(t, {
      batchTimeMs: 60 * MINUTE,
      faults: [{ on: 'retrieve', stallMs: 'forever' }],
    })
    const job = await world.open()
    const stop = new AbortController()
    job.on(
      'event',
      ({ type }) => type === 'submitted' && setImmediate(() => setImmediate(() => stop.abort())),
    )
    await t.rejects(run(world, job, asks(2), { signal: stop.signal }), { name: 'AbortError' })
    await job.close()
    t.same(openBelow(world.dir), [])
    t.equal(world.clock.sleepers.size, 0)
  },
)

void t.test('batches that are lost at the same time keep their order', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60 * MINUTE,
    faults: [{ on: 'create', vanishAfterMs: MINUTE }],
  })
  const results = await run(world, await world.open(), asks(3), { aggregate: { batchSize: 1 } })
  t.same(said(results), ['0: unanswered', '1: unanswered', '2: unanswered'])
})

void t.test('a machine that was suspended for 6 h polls as soon as it wakes (P12)', async t => {
  const world = await makeWorld(t, { batchTimeMs: 60 * MINUTE })
  const job = await world.open()
  job.on('event', ({ type }) => type === 'submitted' && world.clock.pass(360 * MINUTE))
  const began = world.clock.elapsed()
  t.same(
    (await run(world, job, asks(1))).map(({ status }) => status),
    ['succeeded'],
  )
  t.ok(world.clock.elapsed() - began < 362 * MINUTE)
  t.same(callsOf(world.emulator, 'create'), { 200: 1 })
})

void t.test('batches behind a page of foreign ones are found on the next page', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    foreign: Array.from({ length: 120 }, () => ({ requests: 1, createdAgoMs: -1000 })),
  })
  const results = await run(world, await world.open(), asks(2), { aggregate: { batchSize: 1 } })
  t.equal(results.length, 2)
  const [lists, retrieved] = ['list', 'retrieve'].map(op => callsOf(world.emulator, op)[200] ?? 0)
  t.ok(Number(retrieved) <= Number(lists) / 2, 'not one by one')
})

void t.test(
  'a list that shows batches as they were does not hide that they have ended',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const stale = (text: string): string =>
      text.includes('"has_more"')
        ? text.replaceAll('"processing_status":"ended"', '"processing_status":"in_progress"')
        : text
    const client = clientThatChanges(world, stale)
    const began = world.clock.elapsed()
    const options = { client, aggregate: { batchSize: 1 } }
    const results = await run(world, await world.open(), asks(6), options)
    t.equal(results.filter(({ status }) => status === 'succeeded').length, 6)
    t.ok(world.clock.elapsed() - began < 5 * MINUTE)
  },
)

void t.test(
  'a job that is closed too early is named as the reason, and the next run pays nothing',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    job.on('event', ({ type }) => type === 'armed' && void job.close())
    const early: unknown = await run(world, job, asks(2)).catch((cause: unknown) => cause)
    t.match(early, {
      code: 'CBS_OPTION',
      message: /^job test is closed: open it again, and close it when the pipeline has ended$/,
      cause: { code: 'CBS_DISK' },
    })
    const results = await run(world, await world.open(), asks(2))
    t.equal(results.length, 2)
    t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
  },
)
