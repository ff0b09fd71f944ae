// The reply to a create has an id that the API does not know: a gateway answers from a broken cache, or a byte has changed.
import t, { type Test } from 'tap'
import { echo, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import type { BatchRequest } from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import type { RunEvent } from '../../../lib/core/job/run-event.ts'
import {
  asks,
  callsOf,
  clientThatChanges,
  createdLater,
  deathsOf,
  journalOf,
  makeWorld,
  run,
  said,
  type RunOptions,
  type World,
} from '../../support/world.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** The first create makes a batch and replies with another id. */
const WRONG: EmulatorOptions = {
  batchTimeMs: MINUTE,
  faults: [{ on: 'create', nth: 1, replyId: 'msgbatch_wrong' }],
}

const answers = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${i}: succeeded ${echo(`question ${i}`)}`)

/** Each request was accepted and answered once. */
async function paidOnce({ t, emulator }: World, count: number): Promise<void> {
  const { accepted, acceptedTwice } = await emulator.ledger.totals()
  t.same({ accepted, acceptedTwice }, { accepted: count, acceptedTwice: 0 })
}

async function answered(world: World, count: number, options: RunOptions = {}): Promise<void> {
  const results = await run(world, await world.open(), asks(count), options)
  world.t.same(said(results).sort(), answers(count).sort())
  await paidOnce(world, count)
}

void t.test('the batch is found in the list, and its rows are written', async t => {
  const world = await makeWorld(t, WRONG)
  const waits: string[] = []
  await answered(world, 3, { waits })
  t.match(waits, [/the API does not know batch msgbatch_wrong; searching its list/])
  const [real] = world.emulator.ledger.batches()
  const job = journalOf(`${world.dir}/jobs/test`)
  const ids = job.flatMap(event => (event.type === 'submitted' ? [[event.id, event.adopted]] : []))
  t.same(ids, [
    ['msgbatch_wrong', false],
    [real?.id, true],
  ])
})

void t.test('a batch that is still running is waited for', async t => {
  const world = await makeWorld(t, { ...WRONG, batchTimeMs: 120 * MINUTE })
  const waits: string[] = []
  await answered(world, 3, { waits })
  t.ok(waits.some(why => /may belong to this job; its results will show that/.test(why)))
})

void t.test('every reply may be wrong, and batches of others may be as large', async t => {
  let nth = 0
  const world = await makeWorld(t, {
    batchTimeMs: ({ number }) => number * 7 * MINUTE,
    foreign: [{ requests: 2 }, { requests: 2, createdAgoMs: -MINUTE, batchTimeMs: 30 * MINUTE }],
    faults: ({ op }) => (op === 'create' ? { replyId: `msgbatch_wrong${++nth}` } : undefined),
  })
  await answered(world, 6, { aggregate: { batchSize: 2 } })
})

void t.test('the other batches of the job do not wait for the search', async t => {
  const world = await makeWorld(t, {
    ...WRONG,
    batchTimeMs: ({ number }) => (number === 1 ? 300 : 30) * MINUTE,
  })
  const results = await run(world, await world.open(), asks(4), { aggregate: { batchSize: 2 } })
  t.same(
    results.map(({ record }) => record?.ordinal),
    [2, 3, 0, 1],
  )
  await paidOnce(world, 4)
})

void t.test('replies of 404 between which the API knew the batch do not add up', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 30 * MINUTE,
    faults: [{ on: 'retrieve', nth: [1, 3], status: 404 }],
  })
  const waits: string[] = []
  const awaitEnd = { poll: 12 * MINUTE }
  await answered(world, 2, { waits, awaitEnd })
  t.same(waits, [])
  const job = journalOf(`${world.dir}/jobs/test`)
  const since = job.flatMap(event => (event.type === 'missing' ? [event.since !== null] : []))
  t.same(since, [true, false, true, false])
})

for (const status of [400, 403, 500, 200])
  for (const batchSize of [2, 6])
    void t.test(`a ${status} for a wrong id stops no job of batches of ${batchSize}`, async t => {
      const world = await makeWorld(t, {
        ...WRONG,
        faults: [{ on: 'create', nth: batchSize === 2 ? 2 : 1, replyId: 'msgbatch_wrong' }],
      })
      const fetch: typeof globalThis.fetch = async (url, init) => {
        if (!String(url).endsWith('/msgbatch_wrong')) return await world.emulator.fetch(url, init)
        const [one] = world.emulator.ledger.batches()
        // A gateway may have ids of its own, and reply with the API's.
        if (status === 200)
          return await world.emulator.fetch(
            String(url).replace('msgbatch_wrong', `${one?.id}`),
            init,
          )
        const error = { type: 'error', error: { type: 'some_error', message: 'an invalid id' } }
        return Response.json(error, { status })
      }
      const client = world.client.withOptions({ fetch })
      await answered(world, 6, { client, aggregate: { batchSize } })
    })

void t.test('a key that is refused while a batch is polled does not make it look lost', async t => {
  let isRefused = false
  const world = await makeWorld(t, {
    batchTimeMs: 60 * MINUTE,
    faults: ({ op }) => {
      isRefused ||= op === 'retrieve'
      return isRefused ? { status: 401 } : undefined
    },
  })
  await t.rejects(run(world, await world.open(), asks(2)), { code: 'CBS_ACCESS' })
})

void t.test('a batch that was deleted is unanswered, and nothing is sent again', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60 * MINUTE,
    foreign: [{ requests: 2 }],
    faults: [{ on: 'create', vanishAfterMs: MINUTE }],
  })
  const results = await run(world, await world.open(), asks(2))
  t.same(said(results), ['0: unanswered', '1: unanswered'])
  t.match(
    results[0]?.error?.message,
    /^the API does not know batch msgbatch_\w+, and its list has no other batch with these requests; the batch may have been deleted, or be in another workspace$/,
  )
  t.same(callsOf(world.emulator, 'create'), { 200: 1 })
})

void t.test('a reply from a cache without a batch is unanswered', async t => {
  const body = JSON.stringify({ id: 'msgbatch_cached', type: 'message_batch' })
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', nth: 1, body, contentType: 'application/json' }],
  })
  const results = await run(world, await world.open(), asks(2))
  t.same(said(results), ['0: unanswered', '1: unanswered'])
  await paidOnce(world, 0)
})

void t.test('a batch that is listed is not lost, although its id is a 404', async t => {
  for (const batchTimeMs of [MINUTE, 60 * MINUTE]) {
    const world = await makeWorld(t, {
      batchTimeMs,
      faults: [{ on: 'retrieve', status: 404 }],
    })
    await answered(world, 2)
    t.equal(world.emulator.ledger.batches().length, 1)
  }
})

void t.test('a batch of another job is not adopted', async t => {
  const mine = asks(2).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
  const world = await makeWorld(t, {
    batchTimeMs: 60 * MINUTE,
    faults: [{ on: 'create', vanishAfterMs: MINUTE }],
  })
  const other = await world.emulator.addForeign({
    customIds: ['row-0', 'row-1'],
    createdAgoMs: -MINUTE,
    batchTimeMs: MINUTE,
  })
  const ownedElsewhere = async (): Promise<Set<string>> => new Set([other])
  const results = await run(world, await world.open(), mine, { awaitEnd: { ownedElsewhere } })
  t.same(said(results), ['0: unanswered', '1: unanswered'])
})

for (const isTimeKnown of [false, true]) {
  void t.test(
    `a later run with the same chosen ids is not adopted, its time ${isTimeKnown ? 'known' : 'unknown'}`,
    async t => {
      const mine = asks(3).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
      const world = await makeWorld(t, {
        batchTimeMs: 60 * MINUTE,
        faults: [{ on: 'create', nth: isTimeKnown ? 2 : 1, vanishAfterMs: MINUTE }],
      })
      const job = await world.open()
      const stop = new AbortController()
      const last = isTimeKnown ? 2 : 1
      job.on(
        'event',
        event =>
          event.type === 'submitted' && event.number === last && setImmediate(() => stop.abort()),
      )
      const options = { aggregate: { batchSize: isTimeKnown ? 1 : 3 }, signal: stop.signal }
      await t.rejects(run(world, job, mine, options))
      await job.close()
      world.clock.pass(DAY)
      const customIds = isTimeKnown ? ['row-1'] : ['row-0', 'row-1', 'row-2']
      await world.emulator.addForeign({ customIds, batchTimeMs: MINUTE })
      world.clock.pass(60 * MINUTE)
      const again = await world.open()
      t.equal(again.batch(last).armed?.serverAt !== null, isTimeKnown)
      const searched = run(world, again, mine, { aggregate: { batchSize: 1 } })
      // Without the API's time, the local one may be wrong by days.
      if (!isTimeKnown)
        return await t.rejects(searched, { code: 'CBS_STOPPED', message: /`adopt`/ })
      const results = await searched
      t.equal(results.filter(({ status }) => status === 'unanswered').length, 1)
      t.notMatch(said(results).join(), /another tool/)
    },
  )
}

/** Runs the job and closes it, so that it can be run again. */
async function runOnce(world: World, mine: BatchRequest[], options: RunOptions): Promise<Result[]> {
  const job = await world.open()
  return await run(world, job, mine, options).finally(() => job.close())
}

const NAMED = (event: RunEvent): boolean => 'number' in event

void t.test('a death at any line of the journal costs nothing', async t => {
  for (const foreign of [[], [{ requests: 3, createdAgoMs: -MINUTE, batchTimeMs: 20 * MINUTE }]]) {
    const world = await makeWorld(t, { ...WRONG, batchTimeMs: 40 * MINUTE, foreign })
    const job = await world.open()
    const copies = deathsOf(job, `${world.dir}/deaths`, NAMED)
    t.same(said(await run(world, job, asks(3))), answers(3))
    await job.close()
    const events = journalOf(`${world.dir}/jobs/test`).map(({ type }) => type)
    t.match(events.join(), /submitted,missing,(candidate,)+(ruledOut,)*submitted,ended,fetched/)
    t.ok(copies.length >= 7)
    for (const dir of copies) {
      const again = await world.open({ dir })
      const isUnsent = ['sealed'].includes(again.batch(1).phase)
      if (!isUnsent) t.same(said(await run(world, again, asks(3))), answers(3), dir)
      await again.close()
    }
    await paidOnce(world, 3)
  }
})

void t.test('one download that fails days later does not make a batch lost', async t => {
  const world = await makeWorld(t, {
    ...WRONG,
    faults: [
      { on: 'create', nth: 1, replyId: 'msgbatch_wrong' },
      { on: 'results', nth: [1, 2], reset: true },
    ],
  })
  const job = await world.open()
  const stop = new AbortController()
  job.on('event', ({ type }) => type === 'submitted' && setImmediate(() => stop.abort()))
  await t.rejects(run(world, job, asks(2), { signal: stop.signal }))
  await job.close()
  world.clock.pass(3 * DAY)
  await answered(world, 2)
})

void t.test('a batch whose results cannot be read is named', async t => {
  const world = await makeWorld(t, {
    ...WRONG,
    faults: [
      { on: 'create', nth: 1, replyId: 'msgbatch_wrong' },
      { on: 'results', status: 404 },
    ],
  })
  const results: Result[] = await run(world, await world.open(), asks(2))
  t.same(said(results), ['0: unanswered', '1: unanswered'])
  const [real] = world.emulator.ledger.batches()
  t.equal(
    results[0]?.error?.message,
    `the API does not know batch msgbatch_wrong, and the answers may be those of ${real?.id}, which cannot be read`,
  )
})

for (const requests of [3, 2]) {
  void t.test(`the id of another batch of ${requests} requests is replaced`, async t => {
    let other = ''
    const world = await makeWorld(t, {
      batchTimeMs: MINUTE,
      faults: ({ op, nth }) => (op === 'create' && nth === 1 ? { replyId: other } : undefined),
    })
    other = await world.emulator.addForeign({ requests, batchTimeMs: MINUTE })
    const job = await world.open()
    const copies = deathsOf(job, `${world.dir}/deaths`, NAMED)
    const results = await run(world, job, asks(3))
    t.same(said(results), answers(3))
    const real = job.batch(1).id
    t.not(real, other)
    t.ok(
      results.every(({ batch }) => batch.id === real),
      'rows name the batch of their answers',
    )
    await paidOnce(world, 3)
    t.match(
      journalOf(`${world.dir}/jobs/test`)
        .map(({ type }) => type)
        .join(),
      /submitted,ended,candidate,(ruledOut,)?submitted,ended,fetched/,
    )
    await job.close()
    for (const dir of copies.slice(2)) {
      const again = await world.open({ dir })
      t.same(said(await run(world, again, asks(3))), answers(3), dir)
      await again.close()
    }
    await paidOnce(world, 3)
  })
}

void t.test(
  'results of another batch are not rows while the right one is still running',
  async t => {
    let other = ''
    const world = await makeWorld(t, {
      batchTimeMs: 60 * MINUTE,
      faults: ({ op, nth }) => (op === 'create' && nth === 1 ? { replyId: other } : undefined),
    })
    other = await world.emulator.addForeign({ requests: 3, batchTimeMs: MINUTE })
    const job = await world.open()
    await t.rejects(run(world, job, asks(3)), { code: 'CBS_API', message: /are invalid after 5/ })
    await job.close()
    world.clock.pass(60 * MINUTE)
    await answered(world, 3)
  },
)

/** A client whose first two creates get each other's reply. */
function swapping(world: World): NonNullable<RunOptions['client']> {
  const replies: ((other: Response) => void)[] = []
  const got: Response[] = []
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (init?.method?.toUpperCase() !== 'POST' || got.length === 2) return response
    got.push(response)
    const [one, two] = got
    if (one && two) {
      replies[0]?.(two)
      return one
    }
    return await new Promise<Response>(resolve => replies.push(resolve))
  }
  return world.client.withOptions({ fetch })
}

void t.test('two batches of a job that got the id of each other are told apart', async t => {
  const world = await makeWorld(t, { batchTimeMs: ({ number }) => number * 20 * MINUTE })
  const job = await world.open()
  // Batches of one size are sent one after the other.
  const client = swapping(world)
  const requests = asks(5)
  const other = await world.open({ name: 'other' })
  const ids = async (mine: StoredJob): Promise<Set<string>> =>
    new Set([...mine.state.batches.values()].flatMap(({ id }) => id ?? []))
  const one = (mine: StoredJob, theirs: StoredJob, part: BatchRequest[]): Promise<Result[]> => {
    const ownedElsewhere = (): Promise<Set<string>> => ids(theirs)
    return run(world, mine, part, { client, submit: { ownedElsewhere }, fetch: { ownedElsewhere } })
  }
  const first = one(job, other, requests.slice(0, 2))
  const second = one(other, job, requests.slice(3, 5))
  const ended = await Promise.allSettled([first, second])
  t.match(
    ended.filter(({ status }) => status === 'rejected'),
    [{ reason: { code: 'CBS_API', message: /are invalid after 5 downloads/ } }],
    'the first that ends finds that the other one still runs',
  )
  await Promise.all([job.close(), other.close()])
  world.clock.pass(60 * MINUTE)
  for (const [name, at] of [
    ['test', 0],
    ['other', 3],
  ] as const) {
    const again = await world.open({ name })
    const results = await run(world, again, requests.slice(at, at + 2), {})
    t.same(
      said(results),
      [0, 1].map(i => `${i}: succeeded ${echo(`question ${at + i}`)}`),
    )
    await again.close()
  }
  await paidOnce(world, 4)
})

/** A client whose nth create is answered with a batch that the API has already. */
function cachedReply(
  world: World,
  nth: number,
  batch: () => Promise<unknown>,
): NonNullable<RunOptions['client']> {
  let creates = 0
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (init?.method?.toUpperCase() !== 'POST' || ++creates !== nth) return response
    await response.body?.cancel()
    return Response.json(await batch(), { headers: response.headers })
  }
  return world.client.withOptions({ fetch })
}

const retrieved = async (world: World, id: string): Promise<unknown> =>
  await world.client.messages.batches.retrieve(id)

void t.test('a reply with the batch of another job is not believed', async t => {
  for (const isChosen of [false, true]) {
    const mine = asks(2).map((one, i) => (isChosen ? { ...one, custom_id: `row-${i}` } : one))
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const other = await world.emulator.addForeign({ customIds: ['row-0', 'row-1'] })
    const client = cachedReply(world, 1, () => retrieved(world, other))
    const ownedElsewhere = async (): Promise<Set<string>> => new Set([other])
    const waits: string[] = []
    const options = { client, waits, submit: { ownedElsewhere } }
    const first = runOnce(world, mine, options)
    if (isChosen) await t.rejects(first, { code: 'CBS_STOPPED', message: /`adopt`/ })
    else t.same(said(await first), answers(2))
    t.match(waits[0], `the reply to the create is batch ${other}, which belongs to another job`)
    const [real] = world.emulator.ledger.batches()
    t.notOk(journalOf(`${world.dir}/jobs/test`).some(one => 'id' in one && one.id === other))
    if (isChosen) {
      const adopt = [`${real?.id}`]
      const again = await runOnce(world, mine, {
        submit: { ...options.submit, adopt },
      })
      t.same(said(again), answers(2))
    }
    await paidOnce(world, 2)
  }
})

void t.test('nor is one with the batch of a job that runs at the same time', async t => {
  const mine = asks(4).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  let other = ''
  const client = cachedReply(world, 2, async () => {
    // It was created in the same second.
    other = await world.emulator.addForeign({ customIds: ['row-2', 'row-3'], createdAgoMs: 0 })
    return await retrieved(world, other)
  })
  const ownedElsewhere = async (): Promise<Set<string>> => new Set([other])
  const submit = { ownedElsewhere, concurrency: 1 }
  const waits: string[] = []
  const options = { client, waits, aggregate: { batchSize: 2 }, submit }
  await t.rejects(runOnce(world, mine, options), { code: 'CBS_STOPPED', message: /`adopt`/ })
  t.match(waits[0], `the reply to the create is batch ${other}, which belongs to another job`)
  await paidOnce(world, 4)
})

void t.test('a reply with a batch of another size is not believed', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const other = await world.emulator.addForeign({ requests: 3 })
  const client = cachedReply(world, 1, () => retrieved(world, other))
  const waits: string[] = []
  t.same(said(await run(world, await world.open(), asks(2), { client, waits })), answers(2))
  t.match(waits[0], `the reply to the create is batch ${other}, which has 3 requests`)
  await paidOnce(world, 2)
})

void t.test('nor is one to the first create, whose time its own date shows', async t => {
  const mine = asks(2).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const customIds = ['row-0', 'row-1']
  const other = await world.emulator.addForeign({ customIds, createdAgoMs: 60 * MINUTE })
  const client = cachedReply(world, 1, () => retrieved(world, other))
  const waits: string[] = []
  const message = new RegExp(other)
  await t.rejects(runOnce(world, mine, { client, waits }), { code: 'CBS_STOPPED', message })
  t.ok(waits.some(why => why.includes(`${other}, which was created before that`)))
  const [real] = world.emulator.ledger.batches()
  t.same(said(await runOnce(world, mine, { submit: { adopt: [`${real?.id}`] } })), answers(2))
  await paidOnce(world, 2)
})

void t.test('a reply with a batch that is older than the create is not believed', async t => {
  for (const isChosen of [false, true]) {
    const mine = asks(4).map((one, i) => (isChosen ? { ...one, custom_id: `row-${i}` } : one))
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const customIds = ['row-2', 'row-3']
    const other = await world.emulator.addForeign({ customIds, createdAgoMs: 60 * MINUTE })
    // The first reply shows the API's time.
    const client = cachedReply(world, 2, () => retrieved(world, other))
    const waits: string[] = []
    const options = { client, waits, aggregate: { batchSize: 2 } }
    const first = runOnce(world, mine, options)
    if (isChosen) await t.rejects(first, { code: 'CBS_STOPPED', message: new RegExp(other) })
    else t.same(said(await first).sort(), answers(4).sort())
    t.ok(waits.some(why => why.includes(`${other}, which was created before that`)))
    if (isChosen) {
      const real = world.emulator.ledger.batches().find(({ number }) => number === 2)
      const submit = { adopt: [`${real?.id}`] }
      const again = await runOnce(world, mine, {
        aggregate: { batchSize: 2 },
        submit,
      })
      t.same(said(again).sort(), answers(4).sort())
    }
    await paidOnce(world, 4)
  }
})

void t.test('a gateway that removes a request from each create is paid once', async t => {
  const world = await makeWorld(t, { batchTimeMs: 30 * MINUTE })
  const fetch: typeof globalThis.fetch = async (url, init) => {
    if (init?.method?.toUpperCase() !== 'POST') return await world.emulator.fetch(url, init)
    const { requests } = JSON.parse(await new Response(init.body).text())
    const headers = new Headers(init.headers)
    headers.delete('content-length')
    const body = JSON.stringify({ requests: requests.slice(0, -1) })
    return await world.emulator.fetch(url, { ...init, headers, body })
  }
  const client = world.client.withOptions({ fetch })
  const waits: string[] = []
  const results = await runOnce(world, asks(3), { client, waits })
  t.same(
    results.map(({ status }) => status),
    ['succeeded', 'succeeded', 'unanswered'],
  )
  t.ok(waits.some(why => /the reply to the create is batch \w+, which has 2 requests/.test(why)))
  t.match(await world.emulator.ledger.totals(), { batches: 1, accepted: 2 })
})

void t.test('an API whose batches have wrong times is not paid twice', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const client = clientThatChanges(world, text => createdLater(text, -60 * MINUTE))
  const mine = asks(2).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
  const options = { client, aggregate: { batchSize: 1 } }
  await t.rejects(runOnce(world, mine, options), { code: 'CBS_STOPPED' })
  await t.rejects(runOnce(world, mine, options), { code: 'CBS_STOPPED' })
  t.equal((await world.emulator.ledger.totals()).acceptedTwice, 0)
})

/** A job whose create was answered with the id of another batch, while its own batch is not listed. */
async function worldWithoutOwn(t: Test, requests: number): Promise<World> {
  let other = ''
  const world = await makeWorld(t, {
    batchTimeMs: 30 * MINUTE,
    faults: ({ op, nth }) =>
      op === 'create' && nth === 1 ? { replyId: other, vanishAfterMs: MINUTE } : undefined,
  })
  other = await world.emulator.addForeign({ requests, batchTimeMs: 30 * MINUTE })
  return world
}

void t.test('a batch whose results are those of another one can be given up', async t => {
  for (const requests of [2, 3]) {
    const world = await worldWithoutOwn(t, requests)
    const give = { fetch: { adopt: ['none'] } }
    for (const options of [give, {}] as RunOptions[])
      await t.rejects(
        runOnce(world, asks(3), options),
        {
          code: 'CBS_API',
          message:
            /are invalid after 5 .* give the batch up with `adopt`: none, which makes its rows `unanswered`$/,
        },
        'none does not count before the batch was named',
      )
    const results = await runOnce(world, asks(3), give)
    t.same(said(results), ['0: unanswered', '1: unanswered', '2: unanswered'])
    t.match(results[0]?.error?.message, /^batch 1 of the job was given up: .* the id of another/)
    t.same(said(await runOnce(world, asks(3), {})), said(results), 'the decision is kept')
    t.same(callsOf(world.emulator, 'create'), { 200: 1 })
  }
})

void t.test('a batch with results of its own is never given up', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'results', lines: { unknownId: 1 } }],
  })
  for (let nth = 0; nth < 2; nth++)
    await t.rejects(runOnce(world, asks(3), { fetch: { adopt: ['none'] } }), { code: 'CBS_API' })
})

void t.test('a given-up batch keeps the answers that it has', async t => {
  const world = await worldWithoutOwn(t, 3)
  const job = await world.open()
  // A short set came before the invalid ones.
  let downloads = 0
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (!String(url).endsWith('/results') || ++downloads > 1) return response
    const id = `${job.run}-1-1`
    const text = (await response.text())
      .split('\n')[0]
      ?.replace(/"custom_id":"[^"]*"/, `"custom_id":"${id}"`)
    return new Response(`${text}\n`)
  }
  const client = world.client.withOptions({ fetch })
  await t.rejects(run(world, job, asks(3), { client }), { code: 'CBS_API' })
  await job.close()
  const results = await runOnce(world, asks(3), { fetch: { adopt: ['none'] } })
  t.same(
    results.map(({ status }) => status),
    ['unanswered', 'succeeded', 'unanswered'],
  )
})

void t.test('a reply to a create that came from a cache is not believed', async t => {
  for (const [name, value] of [
    ['age', '7'],
    ['x-cache', 'HIT from proxy'],
    ['x-cache', 'TCP_HIT'],
    ['x-cache-status', 'hit'],
    ['cf-cache-status', 'HIT'],
  ] as const) {
    // A minute older, of the same size, with the same ids, and from another state directory.
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const mine = asks(2).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
    const other = await world.emulator.addForeign({
      customIds: ['row-0', 'row-1'],
      createdAgoMs: MINUTE,
    })
    let creates = 0
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await world.emulator.fetch(url, init)
      if (init?.method?.toUpperCase() !== 'POST' || ++creates > 1) return response
      await response.body?.cancel()
      const date = new Date(world.clock.now() - MINUTE).toUTCString()
      return Response.json(await retrieved(world, other), { headers: { date, [name]: value } })
    }
    const client = world.client.withOptions({ fetch })
    const waits: string[] = []
    await t.rejects(runOnce(world, mine, { client, waits }), { code: 'CBS_STOPPED' })
    t.match(waits[0], `the reply to the create is batch ${other} from a cache (${name}: ${value})`)
    const [real] = world.emulator.ledger.batches()
    const again = await runOnce(world, mine, { submit: { adopt: [`${real?.id}`] } })
    t.same(said(again), answers(2))
    await paidOnce(world, 2)
  }
})

void t.test('headers of a cache that did not have the reply change nothing', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    response.headers.set('age', '0')
    response.headers.set('x-cache', 'Miss from cloudfront')
    response.headers.set('cf-cache-status', 'DYNAMIC')
    return response
  }
  const waits: string[] = []
  await answered(world, 2, { client: world.client.withOptions({ fetch }), waits })
  t.same(waits, [])
})
