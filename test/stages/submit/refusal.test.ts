import fc from 'fast-check'
import t from 'tap'
import type { Result } from '../../../lib/core/results/result.ts'
import { planProbes, PROBES, RefusalTracker } from '../../../lib/stages/submit/refusal.ts'
import { ask, asks, callsOf, makeWorld, reopened, run, said } from '../../support/world.ts'

const MINUTE = 60_000
const TYPE = { type: 'invalid_request_error' }
const JUDGED = { ...TYPE, judges: true }
const PAGE = { ...TYPE, judges: false }

void t.test('probes are single requests, spread evenly, and the parts keep the order', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20_000 }), requests => {
      const { partOf, probes } = planProbes(requests)
      const sizes: number[] = []
      let last = -1
      for (let position = 0; position < requests; position++) {
        const part = Number(partOf(position))
        if (part < last || part > last + 1) return false
        sizes[part] = (sizes[part] ?? 0) + 1
        last = part
      }
      const gaps = sizes.filter((_, index) => !probes.includes(index))
      return (
        new Set(probes).size === Math.min(PROBES, requests) &&
        probes.every(part => sizes[part] === 1) &&
        Math.max(0, ...gaps) <= Math.ceil(requests / Math.min(PROBES, requests))
      )
    }),
  )
})

void t.test('identical refusals have a common cause only while nothing is accepted', async t => {
  const judge = new RefusalTracker()
  const refuse = (number: number, message = 'requests.0: no'): string =>
    judge.refusedAlone({ number, message, ...JUDGED }).kind
  for (let number = 1; number < PROBES; number++) t.equal(refuse(number), 'undecided')
  t.match(judge.accepted(), { kind: 'reject', refused: { length: PROBES - 1 } })
  t.match(judge.accepted(), { kind: 'undecided' })
  for (let number = 1; number < PROBES; number++) refuse(number, `requests.${number}: no`)
  t.equal(refuse(PROBES), 'common', 'the position does not count')
})

void t.test('different refusals are caused by the requests themselves', async t => {
  const judge = new RefusalTracker()
  judge.refusedAlone({ number: 1, message: 'a', ...JUDGED })
  t.match(judge.refusedAlone({ number: 2, message: 'b', ...JUDGED }), {
    kind: 'reject',
    refused: [{ number: 1 }, { number: 2 }],
  })
  t.match(judge.ended(false), { kind: 'undecided' })
})

void t.test('at the end a few refusals are judged by what the API has accepted', async t => {
  const judge = new RefusalTracker()
  judge.refusedAlone({ number: 1, message: 'a', ...JUDGED })
  t.match(judge.ended(false), { kind: 'reject', refused: [{ number: 1 }] })
  judge.refusedAlone({ number: 1, message: 'a', ...JUDGED })
  judge.refusedAlone({ number: 2, message: 'a', ...JUDGED })
  t.match(judge.ended(false), { kind: 'common', message: 'a' })
  t.match(judge.ended(true), { kind: 'reject' })
})

void t.test('refusals that do not judge a request prove nothing by their differences', async t => {
  const judge = new RefusalTracker()
  const refuse = (number: number): string =>
    judge.refusedAlone({ number, message: `page ${'ab'.repeat(number)}`, ...PAGE }).kind
  refuse(1)
  t.match(judge.ended(false), { kind: 'common' }, 'nothing was ever accepted')
  t.same(judge.ended(true), {
    kind: 'reject',
    unless: 'blocked',
    refused: [{ number: 1, message: 'page ab', ...PAGE }],
  })
  for (let number = 1; number < PROBES; number++) t.equal(refuse(number), 'undecided')
  t.equal(refuse(PROBES), 'common')
})

/** Refusals of gateways and filters, each with a text of its own. */
const PAGES: readonly [name: string, status: number, body: (nth: number) => string][] = [
  ['a page with the id of the reply', 403, nth => `<p>Your support ID is: ${nth ** 9}</p>`],
  [
    'an error with a time',
    400,
    nth => JSON.stringify({ timestamp: new Date(nth * 1e10).toISOString(), error: 'Bad Request' }),
  ],
  [
    'an error in the form of the API',
    400,
    nth =>
      JSON.stringify({
        type: 'error',
        error: { type: 'new_api_error', message: `no channel (request id: ${nth})` },
      }),
  ],
]

for (const [name, status, body] of PAGES) {
  void t.test(
    `something that blocks all creates for a while rejects no record: ${name}`,
    async t => {
      let creates = 0
      let isOpen = false
      const world = await makeWorld(t, {
        batchTimeMs: MINUTE,
        faults: ({ op }) =>
          op === 'create' && ++creates > 2 && !isOpen ? { status, body: body(creates) } : undefined,
      })
      const options = { aggregate: { batchSize: 4 } }
      const job = await world.open()
      await t.rejects(run(world, job, asks(20), options), { code: 'CBS_STOPPED' })
      t.ok(creates < 20, `${creates} creates`)
      isOpen = true
      const results = await run(world, await reopened(world, job), asks(20), options)
      t.equal(results.filter(({ status: is }) => is === 'succeeded').length, 20)
      t.match(await world.emulator.ledger.totals(), { accepted: 20, acceptedTwice: 0 })
    },
  )

  void t.test(`what is blocked at the end is sent once more after a while: ${name}`, async t => {
    for (const minutes of [5, 500]) {
      let creates = 0
      let until = Infinity
      const world = await makeWorld(t, {
        batchTimeMs: MINUTE,
        faults: ({ op }) => {
          if (op !== 'create' || ++creates < 3) return undefined
          if (creates === 3) until = world.clock.now() + minutes * MINUTE
          return world.clock.now() < until ? { status, body: body(creates) } : undefined
        },
      })
      const options = { aggregate: { batchSize: 4 } }
      const results = await run(world, await world.open(), asks(9), options)
      const last = minutes === 5 ? 'succeeded' : 'rejected'
      t.same(
        results.map(({ status: is }) => is),
        [...Array.from({ length: 8 }, () => 'succeeded'), last],
      )
    }
  })
}

/** A refusal without the name of a request, of something on the way and of the API. */
const UNNAMED = [
  '<p>no</p>',
  '{"type":"error","error":{"type":"invalid_request_error","message":"no"}}',
]

for (const page of UNNAMED)
  void t.test(`records in a row that never pass are rejected in the end: ${page}`, async t => {
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const body = init?.body ? await new Response(init.body).text() : undefined
      if (body?.includes('poison')) return new Response(page, { status: 400 })
      return await world.emulator.fetch(url, { ...init, ...(body !== undefined && { body }) })
    }
    const client = world.client.withOptions({ fetch })
    const all = asks(40).map((one, i) => (i >= 20 && i < 32 ? ask(`poison ${i}`) : one))
    const options = { client, aggregate: { batchSize: 20 } }
    let results: Result[] | undefined
    for (let runs = 0; !results && runs < 9; runs++) {
      const job = await world.open()
      results = await run(world, job, all, options).catch(async (cause: unknown) => {
        t.match(cause, { code: 'CBS_STOPPED' })
        await job.close()
        world.clock.pass(10 * MINUTE)
        return undefined
      })
    }
    t.equal(results?.filter(({ status: is }) => is === 'rejected').length, 12)
    t.match(await world.emulator.ledger.totals(), { accepted: 28, acceptedTwice: 0 })
  })

for (const bad of [[0], [9], [3, 4], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [5, 90, 199]]) {
  void t.test(
    `R02: requests ${bad.join()} that the API refuses without naming them are rejected rows`,
    async t => {
      const world = await makeWorld(t, {
        faults: [{ on: 'create', refuseContaining: 'poison' }],
      })
      const job = await world.open()
      const all = Array.from({ length: 200 }, (_, i) =>
        ask(bad.includes(i) ? `poison ${i}` : `question ${i}`),
      )
      const results = await run(world, job, all, { aggregate: { batchSize: 100 } })
      t.equal(results.length, 200)
      for (const { record, status, error, response } of results) {
        const n = Number(record?.ordinal)
        if (bad.includes(n)) t.match([status, error?.message], ['rejected', /is not accepted/])
        else t.match([status, response], ['succeeded', new RegExp(`question ${n}$`)])
      }
      const { accepted, acceptedTwice } = await world.emulator.ledger.totals()
      t.same([accepted, acceptedTwice], [200 - bad.length, 0])
    },
  )
}

void t.test('R02: with one batch in flight the parts of a refused one do not wait', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60 * 60 * 1000,
    faults: [{ on: 'create', refuseContaining: 'question 17"' }],
  })
  const job = await world.open()
  const results = await run(world, job, asks(40), { submit: { concurrency: 1 } })
  t.equal(results.filter(({ status }) => status === 'rejected').length, 1)
  t.ok(world.clock.elapsed() < 2 * 60 * 60 * 1000, 'all parts were in flight together')
})

void t.test('R02: a refused request and a lost reply are handled together', async t => {
  const world = await makeWorld(t, {
    faults: [
      { on: 'create', refuseContaining: 'question 7"' },
      { on: 'create', nth: [2, 4, 5], when: 'after', reset: true },
    ],
  })
  const job = await world.open()
  const results = await run(world, job, asks(30))
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 29)
  t.match(await world.emulator.ledger.totals(), { accepted: 29, acceptedTwice: 0 })
})

for (const count of [3, 4, 10, 1000]) {
  void t.test(`R03: a refusal common to all requests in batches of ${count} stops`, async t => {
    const world = await makeWorld(t, {
      faults: [{ on: 'create', times: 999, status: 400, error: { message: 'no such beta' } }],
    })
    const job = await world.open()
    const stops = {
      code: 'CBS_STOPPED',
      message: /refuses every request, .* no such beta/,
    }
    await t.rejects(run(world, job, asks(40), { aggregate: { batchSize: count } }), stops)
    const creates = callsOf(world.emulator, 'create')[400] ?? 0
    t.ok(creates <= 12, `${creates} creates were refused`)
    await job.close()
    // A resume tries again, and stops again: no record is rejected for what is not its fault.
    const again = await world.open()
    await t.rejects(run(world, again, asks(40), { aggregate: { batchSize: count } }), stops)
    const more = (callsOf(world.emulator, 'create')[400] ?? 0) - creates
    t.ok(more <= 12, `${more} more creates were refused`)
  })
}

void t.test('R03: once the cause is fixed, a resume sends every record', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', times: 9, status: 400, error: { message: 'no such beta' } }],
  })
  const job = await world.open()
  await t.rejects(run(world, job, asks(40)), { code: 'CBS_STOPPED' })
  await job.close()
  const results = await run(world, await world.open(), asks(40))
  t.same(
    said(results).filter(text => !text.includes('succeeded')),
    [],
  )
  t.equal(results.length, 40)
})

void t.test('a single record that the API refuses is a rejected row', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', status: 400, error: { message: 'requests.99.params: bad' } }],
  })
  const job = await world.open()
  const [only, ...others] = await run(world, job, asks(1))
  t.match([only?.status, only?.error?.message, others], ['rejected', /requests.99/, []])
})

void t.test('R03: requests that are refused by name one after the other are probed', async t => {
  const world = await makeWorld(t, {
    faults: [
      { on: 'create', times: 999, status: 400, error: { message: 'requests.0.params.x: no' } },
    ],
  })
  const job = await world.open()
  await t.rejects(run(world, job, asks(1000)), { code: 'CBS_STOPPED' })
  const creates = callsOf(world.emulator, 'create')[400] ?? 0
  t.ok(creates <= 20, `${creates} creates were refused`)
})
