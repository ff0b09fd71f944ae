import { BatchStreamError } from '../../../lib/core/errors.ts'
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import type Anthropic from '@anthropic-ai/sdk'
import t, { type Test } from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { each, from } from '../../../lib/core/chain.ts'
import { echo, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import type { RunEvent } from '../../../lib/core/job/run-event.ts'
import { completeResults } from '../../../lib/stages/results/fetch-results.ts'
import { splitBatch } from '../../../lib/stages/submit/split-batch.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { OrdinalSet } from '../../../lib/store/ordinal-set.ts'
import { openBelow } from '../../support/descriptors.ts'
import { openFor, record, watched } from '../../support/jobs.ts'
import {
  ask,
  asks,
  callsOf,
  clientOf,
  clientThatChanges,
  createdLater,
  deathsOf,
  journalOf,
  makeWorld,
  oneBill,
  reopened,
  run,
  said,
  type World,
} from '../../support/world.ts'

const MINUTE = 60_000
const SETTLE = 10 * MINUTE

function answers(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${i}: succeeded ${echo(`question ${i}`)}`)
}

/** A list of batches from a gateway's stub. */
const EMPTY_LIST = {
  body: '{"data":[],"has_more":false,"first_id":null,"last_id":null}',
  contentType: 'application/json',
}

void t.test('an invalid option is rejected at once', async t => {
  const { client } = await makeWorld(t)
  t.throws(() => submit({ client, settle: -1 }), { code: 'CBS_OPTION' })
})

void t.test('a pipeline that does not wait for ends submits all batches', async t => {
  const world = await makeWorld(t, { batchTimeMs: 3_600_000 })
  const job = await world.open()
  const stages = from(asks(24), aggregate({ job, batchSize: 2 }), submit({ client: world.client }))
  const ids: (string | null)[] = []
  for await (const { id } of each(stages)) ids.push(id)
  t.equal(new Set(ids).size, 12)
  t.match(await world.emulator.ledger.totals(), { batches: 12, acceptedTwice: 0 })
  await job.close()
})

void t.test('the default limit applies if ends are awaited', async t => {
  const world = await makeWorld(t, { batchTimeMs: 60_000 })
  const job = await world.open()
  let most = 0
  job.on('event', () => {
    const inFlight = [...job.state.batches.values()].filter(({ phase }) => phase === 'submitted')
    most = Math.max(most, inFlight.length)
  })
  const { client } = world
  const stages = from(
    asks(24),
    aggregate({ job, batchSize: 2 }),
    submit({ client }),
    awaitEnd({ client }),
  )
  let ended = 0
  for await (const _ of each(stages)) ended += 1
  t.same([ended, most], [12, 10])
  await job.close()
})

void t.test('batches are sent once each and answered in order', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  t.same(said(await run(world, job, asks(7), { aggregate: { batchSize: 3 } })), answers(7))
  await oneBill(world, 7)
  t.same(callsOf(world.emulator, 'create'), { 200: 3 })
})

/** A fault of the first create, and what is right to happen then. */
interface Case {
  readonly name: string
  readonly faults: Parameters<typeof makeWorld>[1]
  /** Statuses of the creates. */
  readonly creates: Record<number, number>
  readonly lists: 'none' | 'one' | 'some'
  /** How long the first batch is not known to be there, at least and at most. */
  readonly waited: readonly [number, number]
  readonly adopted: boolean
}

const cases: Case[] = [
  {
    name: 'a create whose reply is lost is adopted (N01)',
    faults: { faults: [{ on: 'create', nth: 1, when: 'after', reset: true }] },
    creates: { 0: 1 },
    lists: 'some',
    waited: [0, SETTLE],
    adopted: true,
  },
  {
    name: 'a reset before the last byte is tried again at once, without a look at the list (N02)',
    faults: { faults: [{ on: 'create', nth: 1, when: 'early', bytes: 10, reset: true }] },
    creates: { 0: 1, 200: 1 },
    lists: 'none',
    waited: [0, MINUTE],
    adopted: false,
  },
  {
    name: 'a 500 after the batch was made is adopted (N03)',
    faults: { faults: [{ on: 'create', nth: 1, when: 'after', status: 500 }] },
    creates: { 500: 1 },
    lists: 'some',
    waited: [0, SETTLE],
    adopted: true,
  },
  {
    name: 'a 529 after the batch was made is billed once (N40)',
    faults: { faults: [{ on: 'create', nth: 1, when: 'after', status: 529 }] },
    creates: { 529: 1 },
    lists: 'some',
    waited: [0, SETTLE],
    adopted: true,
  },
  {
    name: 'a 500 with nothing made is sent again only after the settle time (N04)',
    faults: { faults: [{ on: 'create', nth: 1, status: 500 }] },
    creates: { 500: 1, 200: 1 },
    lists: 'some',
    waited: [SETTLE, SETTLE + 2 * MINUTE],
    adopted: false,
  },
  {
    name: 'a page of a proxy with 200 leaves the outcome unknown (N32)',
    faults: { faults: [{ on: 'create', nth: 1, when: 'after', body: '<html>Sign in</html>' }] },
    creates: { 200: 1 },
    lists: 'some',
    waited: [0, SETTLE],
    adopted: true,
  },
  {
    name: 'a page of a proxy with 200 and nothing made is sent again after the settle time (N32)',
    faults: { faults: [{ on: 'create', nth: 1, body: '<html>Sign in</html>' }] },
    creates: { 200: 2 },
    lists: 'some',
    waited: [SETTLE, SETTLE + 2 * MINUTE],
    adopted: false,
  },
  {
    name: 'JSON with 200 that is no batch leaves the outcome unknown',
    faults: {
      faults: [
        {
          on: 'create',
          nth: 1,
          when: 'after',
          body: '{"type":"hello"}',
          contentType: 'application/json',
        },
      ],
    },
    creates: { 200: 1 },
    lists: 'some',
    waited: [0, SETTLE],
    adopted: true,
  },
  {
    name: 'half an answer leaves the outcome unknown',
    faults: {
      faults: [
        {
          on: 'create',
          nth: 1,
          when: 'after',
          body: '{"id":"msgba',
          contentType: 'application/json',
        },
      ],
    },
    creates: { 200: 1 },
    lists: 'some',
    waited: [0, SETTLE],
    adopted: true,
  },
  {
    name: 'an answer that stalls in its body is given up and adopted',
    faults: { faults: [{ on: 'create', nth: 1, stallAfterBytes: 20 }] },
    creates: { 200: 1 },
    lists: 'some',
    waited: [4 * MINUTE, SETTLE],
    adopted: true,
  },
  {
    name: 'an answer that never comes is given up and adopted',
    faults: { faults: [{ on: 'create', nth: 1, when: 'after', stallMs: 'forever' }] },
    creates: { 0: 1 },
    lists: 'some',
    waited: [4 * MINUTE, SETTLE],
    adopted: true,
  },
  {
    name: 'a batch that the list shows late is still found',
    faults: {
      faults: [{ on: 'create', nth: 1, when: 'after', reset: true, listedAfterMs: 5 * MINUTE }],
    },
    creates: { 0: 1 },
    lists: 'some',
    waited: [5 * MINUTE, SETTLE],
    adopted: true,
  },
  {
    name: 'a 429 before the last byte means that it is never armed (N35)',
    faults: {
      faults: [
        {
          on: 'create',
          nth: 1,
          when: 'early',
          bytes: -1,
          status: 429,
          headers: { 'retry-after': '90' },
        },
      ],
    },
    creates: { 429: 1, 200: 1 },
    lists: 'none',
    waited: [90_000, 100_000],
    adopted: false,
  },
  {
    name: 'a 429 waits as long as it says',
    faults: { faults: [{ on: 'create', nth: 1, status: 429, headers: { 'retry-after': '90' } }] },
    creates: { 429: 1, 200: 1 },
    lists: 'one',
    waited: [90_000, 100_000],
    adopted: false,
  },
]

for (const { name, faults, creates, lists, waited, adopted } of cases) {
  void t.test(name, async t => {
    const world = await makeWorld(t, { batchTimeMs: 2 * MINUTE, ...faults })
    const job = await world.open()
    const began = world.clock.elapsed()
    let known = 0
    job.on('event', ({ type }) => {
      if (type === 'submitted') known ||= world.clock.elapsed() - began
    })
    t.same(
      said(
        await run(world, job, asks(4), { submit: { concurrency: 1 }, awaitEnd: { poll: 1000 } }),
      ),
      answers(4),
    )
    await oneBill(world, 4)
    t.same(callsOf(world.emulator, 'create'), creates)
    t.ok(known >= waited[0] && known <= waited[1], `known after ${known} ms`)
    if (lists !== 'some')
      t.same(callsOf(world.emulator, 'list'), lists === 'none' ? {} : { 200: 1 })
    const submitted = journalOf(job.store.folder).filter(event => event.type === 'submitted')
    t.equal(submitted.length, 1)
    t.match(submitted[0], { adopted })
  })
}

/** A client behind a proxy that sends the nth create twice, and passes on that the second one is refused. */
function sentTwice(
  world: World,
  nth: number,
  status: number,
  change: (text: string, headers: Headers) => string = text => text,
): Anthropic {
  let creates = 0
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    const { headers } = response
    const text = change(await response.text(), headers)
    headers.delete('content-length')
    if (init?.method?.toUpperCase() !== 'POST' || ++creates !== nth)
      return new Response(text, { status: response.status, headers })
    const error = { type: 'error', error: { type: 'some_error', message: 'requests.0: no' } }
    return Response.json(error, { status, headers: { 'retry-after': '1' } })
  }
  return world.client.withOptions({ fetch })
}

async function costsNothing(world: World, client: Anthropic, concurrency = 1): Promise<void> {
  const options = { client, aggregate: { batchSize: 2 }, submit: { concurrency } }
  const results = await run(world, await world.open(), asks(4), options)
  world.t.same(said(results).sort(), answers(4))
  await oneBill(world, 4)
}

for (const status of [400, 403, 404, 413, 429])
  void t.test(
    `a proxy that sends a create twice, and passes on a ${status}, costs nothing`,
    async t => {
      // The reply to an earlier create shows the API's time, or none does.
      for (const nth of [1, 2]) {
        const world = await makeWorld(t, { batchTimeMs: 2 * MINUTE })
        await costsNothing(world, sentTwice(world, nth, status))
      }
    },
  )

const PAGE = '<html>blocked</html>'
const FOREIGN_ERROR = '{"error":{"message":"blocked","type":"forbidden"}}'

for (const [status, code, body] of [
  [403, 'CBS_ACCESS', PAGE],
  [403, 'CBS_ACCESS', FOREIGN_ERROR],
  [400, 'CBS_API', PAGE],
  [429, 'CBS_API', PAGE],
  [451, 'CBS_API', ''],
] as const)
  void t.test(
    `a filter that blocks the replies to creates and lists with ${status} costs nothing: ${body}`,
    async t => {
      // From the first create on, or after one that shows that this is the API.
      for (const first of [1, 2]) {
        let isBlocked = true
        let creates = 0
        const blocked = { when: 'after', status, body } as const
        const world = await makeWorld(t, {
          batchTimeMs: MINUTE,
          faults: ({ op }) =>
            isBlocked && (op === 'list' || (op === 'create' && ++creates >= first))
              ? blocked
              : undefined,
        })
        const message =
          /API may have (?:the batch: the next run looks for it|batch \d, and only its list)/
        const options = { aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
        const job = await world.open()
        await t.rejects(run(world, job, asks(4), options), { code, message })
        isBlocked = false
        const rows = said(await run(world, await reopened(world, job), asks(4), options))
        t.same(rows.sort(), answers(4))
        await oneBill(world, 4)
      }
    },
  )

void t.test('where the list can never be read, the user decides', async t => {
  let creates = 0
  const blocked = { status: 403, body: '<html>blocked</html>' } as const
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op }) =>
      op === 'list' || (op === 'create' && ++creates === 2) ? blocked : undefined,
  })
  const options = { aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
  const job = await world.open()
  await t.rejects(run(world, job, asks(4), options), { message: /`adopt`: none sends it/ })
  const decided = { ...options, submit: { concurrency: 1, adopt: ['none'] } }
  t.same(said(await run(world, await reopened(world, job), asks(4), decided)), answers(4))
  await oneBill(world, 4)
})

for (const status of [400, 403, 413, 429])
  void t.test(
    `a page with ${status} in reply to a create says nothing about the batch`,
    async t => {
      // The API lists the batch some seconds after it has accepted it.
      const world = await makeWorld(t, {
        batchTimeMs: MINUTE,
        faults: [{ on: 'create', nth: 1, when: 'after', status, body: PAGE }],
      })
      const client = clientThatChanges(world, text =>
        text.includes('"has_more"') && world.clock.elapsed() < 5000 ? EMPTY_LIST.body : text,
      )
      const options = { client, aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
      let job = await world.open()
      if (status === 403) {
        const message =
          /not the API's own, so the API may have the batch: the next run looks for it$/
        await t.rejects(run(world, job, asks(4), options), { message })
        job = await reopened(world, job)
      }
      t.same(said(await run(world, job, asks(4), options)).sort(), answers(4))
      await oneBill(world, 4)
    },
  )

void t.test('a gateway that is busy is asked again after a minute', async t => {
  const busy = { on: 'create', nth: 1, status: 429, body: FOREIGN_ERROR } as const
  const world = await makeWorld(t, { batchTimeMs: MINUTE, faults: [busy] })
  t.same(said(await run(world, await world.open(), asks(2))), answers(2))
  await oneBill(world, 2)
})

void t.test('a refusal by a gateway counts after a minute', async t => {
  for (const named of ['', 'requests.1: ']) {
    const world = await makeWorld(t, {
      batchTimeMs: MINUTE,
      faults: [{ on: 'create', refuseContaining: 'question 1' }],
    })
    const client = clientThatChanges(world, text =>
      text.replace('"type":"error",', '').replace('"message":"', `"message":"${named}`),
    )
    const options = { client, aggregate: { batchSize: 4 } }
    const results = await run(world, await world.open(), asks(4), options)
    t.same(results.map(({ status }) => status).sort(), [
      'rejected',
      'succeeded',
      'succeeded',
      'succeeded',
    ])
    await oneBill(world, 3)
  }
})

void t.test(
  'after a wrong base URL, the batch is sent once the list has shown that it is absent',
  async t => {
    let isWrong = true
    const page = { status: 404, body: '<html>no such page</html>' } as const
    const world = await makeWorld(t, { faults: () => (isWrong ? page : undefined) })
    const job = await world.open()
    await t.rejects(run(world, job, asks(2)), {
      code: 'CBS_API',
      message: /404.*may have the batch/,
    })
    isWrong = false
    t.same(said(await run(world, await reopened(world, job), asks(2))), answers(2))
    await oneBill(world, 2)
  },
)

void t.test('a refusal is not believed on a list without any batch of the job', async t => {
  const world = await makeWorld(t, { batchTimeMs: 20 * MINUTE })
  const empty = (text: string): string => (text.includes('"has_more"') ? EMPTY_LIST.body : text)
  const client = sentTwice(world, 2, 429, empty)
  const options = { client, aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
  const reason = { code: 'CBS_API', message: /list of batches lacks msgbatch_/ }
  await t.rejects(run(world, await world.open(), asks(4), options), reason)
  t.match(await world.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

void t.test('a workspace that cannot be journaled ends the run', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const note = job.note.bind(job)
  job.note = async (event, durable) => {
    if (event.type === 'workspace') throw new BatchStreamError('CBS_DISK', 'the disk is full')
    await note(event, durable)
  }
  await t.rejects(run(world, job, asks(2)), { code: 'CBS_DISK', message: 'the disk is full' })
  t.equal((await world.emulator.ledger.totals()).accepted, 2)
})

void t.test('the same if creation times are behind, or the list comes from a cache', async t => {
  const world = await makeWorld(t, { batchTimeMs: 2 * MINUTE })
  const behind = (text: string): string => createdLater(text, -2 * MINUTE)
  await costsNothing(world, sentTwice(world, 2, 429, behind))
  let reads = 0
  const blocked = await makeWorld(t, {
    batchTimeMs: 2 * MINUTE,
    // It is read once more, further back.
    faults: ({ op }) => (op === 'list' && ++reads === 2 ? { status: 403, body: PAGE } : undefined),
  })
  await costsNothing(blocked, sentTwice(blocked, 2, 429, behind))
  t.ok(reads > 2)
  const other = await makeWorld(t, { batchTimeMs: 2 * MINUTE })
  let lists = 0
  const cached = (text: string, headers: Headers): string => {
    if (!text.includes('"has_more"') || ++lists > 5) return text
    headers.set('age', '30')
    return EMPTY_LIST.body
  }
  await costsNothing(other, sentTwice(other, 2, 429, cached))
  t.ok(lists > 5)
})

void t.test(
  'a refused create without a list, or beside the batch of another, is sent again',
  async t => {
    const refused = { on: 'create', nth: 1, status: 429, headers: { 'retry-after': '1' } } as const
    for (const status of [403, 404, 405]) {
      const unlisted = await makeWorld(t, {
        batchTimeMs: MINUTE,
        faults: [refused, { on: 'list', status }],
      })
      t.same(said(await run(unlisted, await unlisted.open(), asks(3))), answers(3))
    }
    const world = await makeWorld(t, {
      batchTimeMs: MINUTE,
      faults: [refused],
      foreign: [{ requests: 3, createdAgoMs: 0, batchTimeMs: 30 * MINUTE }],
    })
    const waits: string[] = []
    t.same(said(await run(world, await world.open(), asks(3), { waits })), answers(3))
    t.match(waits, [/429/, /may belong to this job; its results will show that when it has ended/])
    const own = await makeWorld(t, { batchTimeMs: MINUTE, faults: [refused] })
    const other = await own.emulator.addForeign({ requests: 3, batchTimeMs: 30 * MINUTE })
    const ownedElsewhere = async (): Promise<Set<string>> => new Set([other])
    const began = own.clock.elapsed()
    const submit = { ownedElsewhere }
    t.same(said(await run(own, await own.open(), asks(3), { submit })), answers(3))
    t.ok(own.clock.elapsed() - began < 5 * MINUTE, 'the batch of another job is not waited for')
    const direct = await makeWorld(t, { batchTimeMs: MINUTE, faults: [refused] })
    await direct.emulator.addForeign({ requests: 3, batchTimeMs: 30 * MINUTE })
    const client = direct.client.withOptions({
      baseURL: 'https://api.anthropic.com',
      fetch: (url, init) =>
        direct.emulator.fetch(new URL(new URL(String(url)).pathname, direct.emulator.url), init),
    })
    t.same(said(await run(direct, await direct.open(), asks(3), { client })), answers(3))
    t.ok(direct.clock.elapsed() < 5 * MINUTE, 'without a gateway, a full queue is believed')
    const late = await makeWorld(t, { batchTimeMs: MINUTE, faults: [refused] })
    const theirs = await late.emulator.addForeign({ requests: 3, batchTimeMs: 30 * MINUTE })
    // The other job has not journaled the id yet when the list is read first.
    let reads = 0
    const ownedLate = async (): Promise<Set<string>> => new Set(++reads > 1 ? [theirs] : [])
    const lateSubmit = { submit: { ownedElsewhere: ownedLate } }
    const before = late.clock.elapsed()
    t.same(said(await run(late, await late.open(), asks(3), lateSubmit)), answers(3))
    t.ok(late.clock.elapsed() - before < 5 * MINUTE, 'nor is the settle time, once it is known')
    t.ok(reads > 1)
  },
)

void t.test('a refusal is reported while the list fails, and believed when it works', async t => {
  let until = 0
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op, nth }) => {
      if (op === 'create' && nth === 1) return { status: 400 }
      return op === 'list' && world.clock.elapsed() < until ? { status: 503 } : undefined
    },
  })
  until = world.clock.elapsed() + 3 * MINUTE
  const waits: { why: string; at: number }[] = []
  const onWait = (_: unknown, why: string): void =>
    void waits.push({ why, at: world.clock.elapsed() })
  const results = await run(world, await world.open(), asks(3), { submit: { onWait } })
  t.same(said(results), answers(3))
  const reported = waits.find(({ why }) => why.includes('400'))
  t.ok(reported && reported.at < until - 2 * MINUTE)
  t.ok(world.clock.elapsed() < until + 5 * MINUTE, 'the settle time does not begin')
  await oneBill(world, 3)
})

/** A create that something on the way drops because of one record, before or after its last byte. */
/** What something on the way replies with to a create, whose body it may read. */
type Filter = (body: () => Promise<unknown>) => Promise<Response>

/** A client whose creates of more bytes are filtered. */
function filtered({ client, emulator }: World, bytes: number, filter: Filter): Anthropic {
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const size = Number(new Headers(init?.headers).get('content-length'))
    if (size <= bytes) return await emulator.fetch(url, init)
    return await filter(async () => await new Response(init?.body ?? null).text())
  }
  return client.withOptions({ fetch })
}

const DROPS: readonly (readonly [string, Filter])[] = [
  ['drops the connection during', async () => await Promise.reject(new TypeError('fetch failed'))],
  [
    'drops the connection after',
    async body => await body().then(() => Promise.reject(new TypeError('fetch failed'))),
  ],
  [
    'replies with a page to',
    async body => await body().then(() => new Response('<html>blocked</html>')),
  ],
  ['fails after', async body => await body().then(() => new Response('{}', { status: 500 }))],
]

const pageWith = (status: number): Response => new Response('<html>blocked</html>', { status })

for (const [when, page] of [
  ['during', async () => pageWith(403)],
  ['after', async body => await body().then(() => pageWith(403))],
  ['with 404 during', async () => pageWith(404)],
] as const satisfies readonly (readonly [string, Filter])[])
  for (const [which, long] of [
    ['later', 7],
    ['first', 1],
  ] as const)
    void t.test(
      `a filter blocks one record ${when} the ${which} create: it is the only one rejected`,
      async t => {
        const world = await makeWorld(t, { batchTimeMs: MINUTE })
        const client = filtered(world, 5000, page)
        const requests = asks(9).map((one, i) => (i === long ? ask('x'.repeat(5000)) : one))
        const options = { client, aggregate: { batchSize: 6 } }
        const collect = async (): Promise<string[]> => {
          const job = await world.open()
          return said(
            await run(world, job, requests, options).finally(() => job.close()),
          ).toSorted()
        }
        if (which === 'first') await t.rejects(collect(), { message: /answered 40[34]/ })
        const rows = await collect()
        t.same(
          rows.filter(row => row.includes('rejected')),
          [`${long}: rejected`],
        )
        t.equal(rows.length, 9)
        await oneBill(world, 8)
      },
    )

for (const body of [undefined, '<html>deploying</html>'])
  void t.test(
    `creates that are refused for a moment (${body ?? 'JSON'}) reject no record`,
    async t => {
      const fault = { on: 'create', nth: 1, times: 4, status: 400 } as const
      const world = await makeWorld(t, {
        batchTimeMs: MINUTE,
        faults: [{ ...fault, ...(body !== undefined && { body }) }],
      })
      const results = await run(world, await world.open(), asks(12))
      t.same(
        results.map(({ status }) => status),
        Array.from({ length: 12 }, () => 'succeeded'),
      )
      await oneBill(world, 12)
    },
  )

void t.test('a filter that blocks every create rejects no record', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', status: 403, body: '<html>blocked</html>' }],
  })
  for (const code of ['CBS_ACCESS', 'CBS_STOPPED', 'CBS_STOPPED']) {
    const job = await world.open()
    await t.rejects(
      run(world, job, asks(20)).finally(() => job.close()),
      { code },
    )
  }
  t.equal((await world.emulator.ledger.totals()).accepted, 0)
})

for (const [what, drop] of DROPS)
  void t.test(
    `something on the way ${what} the create with one record, whose row says so`,
    async t => {
      const world = await makeWorld(t, { batchTimeMs: MINUTE })
      const client = filtered(world, 5000, drop)
      const requests = asks(9).map((one, i) => (i === 7 ? ask('x'.repeat(5000)) : one))
      const options = { client, aggregate: { batchSize: 6 } }
      const results = await run(world, await world.open(), requests, options)
      const rows = said(results).toSorted()
      t.same([...rows.slice(0, 7), ...rows.slice(8)], [...answers(7), ...answers(9).slice(8)])
      t.equal(rows[7], '7: rejected')
      const { error } = results.find(({ status }) => status === 'rejected') ?? {}
      t.match(error, {
        type: 'create_failed',
        message: /every create with this request fails, and/,
      })
      await oneBill(world, 8)
      t.ok(world.clock.elapsed() < 24 * 60 * MINUTE)
    },
  )

void t.test('creates that all fail are neither split nor rejected', async t => {
  let until = 0
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op }) =>
      op === 'create' && world.clock.elapsed() < until ? { status: 500 } : undefined,
  })
  until = world.clock.elapsed() + 5 * 60 * MINUTE
  const options = { aggregate: { batchSize: 2 } }
  const results = await run(world, await world.open(), asks(5), options)
  t.same(said(results).toSorted(), answers(5))
  t.match(await world.emulator.ledger.totals(), { batches: 3, accepted: 5, acceptedTwice: 0 })
})

void t.test('creates that fail for a day end the run', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', status: 500 }] })
  await t.rejects(run(world, await world.open(), asks(1)), {
    code: 'CBS_API',
    message: /cannot submit batch 1/,
  })
  t.ok(world.clock.elapsed() > 24 * 60 * MINUTE)
  t.ok(world.clock.elapsed() < 26 * 60 * MINUTE)
})

void t.test('a storm of 529 for an hour is survived, and billed once (N12)', async t => {
  let until = 0
  const world = await makeWorld(t, {
    faults: ({ op }) =>
      op === 'create' && world.clock.elapsed() < until ? { status: 529 } : undefined,
  })
  until = world.clock.elapsed() + 60 * MINUTE
  const job = await world.open()
  t.same(said(await run(world, job, asks(3))), answers(3))
  await oneBill(world, 3)
})

void t.test(
  'while the list fails for half an hour, a batch stays unknown and others continue (N08)',
  async t => {
    let until = 0
    const world = await makeWorld(t, {
      batchTimeMs: MINUTE,
      faults: ({ op, nth }) => {
        if (op === 'create' && nth === 1) return { when: 'after', reset: true }
        // Batches that were submitted are looked at one by one, so that only the search needs the list.
        return op === 'list' && world.clock.elapsed() < until ? { status: 503 } : undefined
      },
    })
    until = world.clock.elapsed() + 30 * MINUTE
    const job = await world.open()
    const order: number[] = []
    job.on('event', event => void (event.type === 'submitted' && order.push(event.number)))
    const results = await run(world, job, asks(5), { aggregate: { batchSize: 3 } })
    t.same(said(results).sort(), answers(5))
    t.same(order, [2, 1])
    await oneBill(world, 5)
  },
)

for (const [name, fault, message] of [
  ['a 401 (N13)', { status: 401 }, /cannot submit batch 1: the API answered 401/],
  ['a 401 before the last byte (N35)', { status: 401, when: 'early', bytes: 5 }, /401/],
  [
    'a spend limit with 429 (N10)',
    { status: 429, error: { error_code: 'enforced_spend_limit_reached' } },
    /429/,
  ],
  [
    'a spend limit with 400 (N11)',
    {
      status: 400,
      error: { message: 'You have reached your specified workspace API usage limits.' },
    },
    /usage limits/,
  ],
  [
    'an organization on hold',
    { status: 400, error: { error_code: 'organization_on_hold' } },
    /400/,
  ],
] as const) {
  void t.test(`${name} stops the run as CBS_ACCESS, and a later run resumes`, async t => {
    const world = await makeWorld(t, { faults: [{ on: 'create', nth: 1, ...fault }] })
    const job = await world.open()
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_ACCESS', message })
    await job.close()
    const again = await world.open()
    t.same(
      [...again.state.batches.values()].map(({ phase }) => phase),
      ['sealed'],
    )
    t.same(said(await run(world, again, asks(2))), answers(2))
    await oneBill(world, 2)
  })
}

for (const [name, fault] of [
  ['a 404', { status: 404 }],
  ['a redirect (N39)', { redirect: 'https://evil.example/v1/messages/batches', status: 307 }],
] as const) {
  void t.test(`${name} stops the run as CBS_API`, async t => {
    const world = await makeWorld(t, { faults: [{ on: 'create', ...fault }] })
    const job = await world.open()
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_API', message: /cannot submit batch 1/ })
    // A gateway may redirect after it has passed the create on, so the outcome stays unknown.
    t.equal(job.batch(1).phase, 'redirect' in fault ? 'armed' : 'sealed')
    t.equal((await world.emulator.ledger.totals()).accepted, 0)
  })
}

void t.test('a batch that is too large is split until it fits, and billed once (N15)', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', nth: [1, 2], status: 413 }] })
  const job = await world.open()
  const results = await run(world, job, asks(7))
  t.same(said(results).sort(), answers(7))
  t.same(
    [...job.state.batches.values()].map(({ phase, requests }) => [phase, requests]),
    [
      ['void', 7],
      ['void', 4],
      ['fetched', 3],
      ['fetched', 2],
      ['fetched', 2],
    ],
  )
  await oneBill(world, 7)
})

void t.test('a single request that is too large becomes a rejected row (N15)', async t => {
  // The limit of a gateway is lower than the API's.
  for (const bytes of [5_000, 1_100_000]) {
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const page = new Response('<p>too large</p>', { status: 413 })
    const client = filtered(world, bytes, async () => page.clone())
    const requests = asks(6).map((one, i) => (i === 2 ? ask('x'.repeat(bytes)) : one))
    const results = await run(world, await world.open(), requests, { client })
    t.same(
      results.flatMap(({ record, error }) => (error ? [[record?.ordinal, error.type]] : [])),
      [[2, 'request_too_large']],
    )
    await oneBill(world, 5)
  }
})

void t.test('a gateway that answers every create with 413 rejects no record', async t => {
  let creates = 0
  const world = await makeWorld(t, {
    faults: ({ op }) => (op === 'create' && ++creates ? { status: 413 } : undefined),
  })
  const job = await world.open()
  await t.rejects(run(world, job, asks(200)), { code: 'CBS_STOPPED', message: /413/ })
  t.ok(creates < 40, `${creates} creates`)
})

void t.test(
  'a request that the API names is rejected in its place, and the rest is sent (N16)',
  async t => {
    const world = await makeWorld(t, { faults: [{ on: 'create', rejectRequest: 'question 3"' }] })
    const job = await world.open()
    const problem = { type: 'bad', message: 'no' }
    const input = asks(6).map((request, i) => {
      return i === 1 || i === 5
        ? { record: record({ i }, i + 1), problem }
        : { ...request, record: record({ i }, i + 1) }
    })
    const results = await run(world, job, input as never)
    t.same(
      results.map(({ record, status }) => `${record?.line} ${status}`),
      ['1 succeeded', '2 rejected', '3 succeeded', '4 rejected', '5 succeeded', '6 rejected'],
    )
    t.match(results[3]?.error, { type: 'invalid_request_error', message: /requests\.2/ })
    await oneBill(world, 3)
  },
)

void t.test('a split batch keeps its rejected records in the part that covers them', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', nth: 1, status: 413 }] })
  const job = await world.open()
  const problem = { type: 'bad', message: 'no' }
  const input = asks(6).map((request, i) =>
    i === 1 || i === 4 ? { record: record({ i }, i + 1), problem } : request,
  )
  const results = await run(world, job, input as never, { submit: { concurrency: 1 } })
  t.same(
    results.map(({ record }) => record?.ordinal),
    [0, 1, 2, 3, 4, 5],
  )
})

void t.test('batches whose records were all rejected pass without a call', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const input = [1, 2].map(line => ({
    record: record({ line }, line),
    problem: { type: 'bad', message: 'no' },
  }))
  t.same(
    (await run(world, job, input)).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  t.same(world.emulator.ledger.calls(), [])
})

/** What a death at some moment leaves behind, and what is right for the next process. */
const deaths: {
  name: string
  faults?: EmulatorOptions
  at: (event: RunEvent) => boolean
}[] = [
  {
    name: 'after it is armed, with its last byte unsent (C02)',
    faults: { faults: [{ on: 'create', nth: 1, status: 500 }] },
    at: ({ type }) => type === 'armed',
  },
  { name: 'after its last byte (C03)', at: ({ type }) => type === 'armed' },
  { name: 'after its id is durable (C05)', at: ({ type }) => type === 'submitted' },
]

for (const { name, faults, at } of deaths) {
  for (const later of [0, 26 * 60 * MINUTE]) {
    void t.test(
      `a death ${name} leads to one bill, ${later ? 'a day later' : 'at once'} (C09)`,
      async t => {
        const world = await makeWorld(t, { batchTimeMs: 5 * MINUTE, ...faults })
        const first = await world.open()
        const copies = deathsOf(first, world.dir, at)
        const stop = new AbortController()
        first.on(
          'event',
          ({ type }) =>
            type === (faults ? 'armed' : 'submitted') && setImmediate(() => stop.abort()),
        )
        await t.rejects(run(world, first, asks(3), { signal: stop.signal }))
        await first.close()
        world.clock.pass(later)
        // It dies twice more while it finds out.
        for (const round of [1, 2]) {
          const dying = await world.open({ dir: copies[0] as string })
          const end = new AbortController()
          setImmediate(() => end.abort())
          await t.rejects(run(world, dying, asks(3), { signal: end.signal }), `death ${round}`)
          await dying.close()
        }
        const second = await world.open({ dir: copies[0] as string })
        t.same(said(await run(world, second, asks(3))), answers(3))
        await oneBill(world, 3)
      },
    )
  }
}

void t.test('a resume an hour after a crash searches before it sends again (N37)', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', nth: 1, when: 'before', stallMs: 'forever' }],
  })
  const first = await world.open()
  const stop = new AbortController()
  first.on('event', ({ type }) => type === 'armed' && setImmediate(() => stop.abort()))
  await t.rejects(run(world, first, asks(3), { signal: stop.signal }))
  await first.close()
  world.clock.pass(60 * MINUTE)
  const before = world.emulator.ledger.lastCalls().length
  t.same(said(await run(world, await world.open(), asks(3))), answers(3))
  const calls = world.emulator.ledger.lastCalls().slice(before)
  // The first create ends without an answer some time after the stop.
  const ops = calls.filter(({ status }) => status !== 0).map(({ op }) => op)
  t.equal(ops[ops.indexOf('create') - 1], 'list', 'a whole listing comes before the create')
  t.equal(ops.lastIndexOf('create'), ops.indexOf('create'))
  await oneBill(world, 3)
})

void t.test('a batch that is only sealed is sent without reading the list (C01)', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const writing = aggregate({ job })
  for (const request of asks(3)) writing.write(request)
  writing.end()
  for await (const batch of each(writing)) t.equal(batch.requests, 3)
  await job.close()
  const second = await world.open()
  t.same(said(await run(world, second, asks(3))), answers(3))
  await oneBill(world, 3)
  t.same(callsOf(world.emulator, 'list'), {})
})

void t.test('foreign batches with the same count are never adopted', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 3 * MINUTE,
    foreign: [
      { requests: 4, createdAgoMs: 60_000 },
      { requests: 4, batchTimeMs: 8 * MINUTE },
      { requests: 4, createdAgoMs: -30_000, batchTimeMs: 60_000 },
    ],
    faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
  })
  const job = await world.open()
  t.same(said(await run(world, job, asks(4))), answers(4))
  await oneBill(world, 4)
})

void t.test(
  "nothing is resent while a batch with the same count is running that may be this job's",
  async t => {
    const world = await makeWorld(t, {
      foreign: [{ requests: 4, batchTimeMs: 40 * MINUTE }],
      faults: [{ on: 'create', nth: 1, status: 500 }],
    })
    const job = await world.open()
    const waits: string[] = []
    const began = world.clock.elapsed()
    let sent = 0
    job.on(
      'event',
      ({ type }) => void (type === 'submitted' && (sent = world.clock.elapsed() - began)),
    )
    t.same(said(await run(world, job, asks(4), { waits })), answers(4))
    t.ok(sent >= 40 * MINUTE && sent < 45 * MINUTE, `sent after ${sent} ms`)
    t.ok(
      waits.some(why =>
        /may belong to this job; its results will show that when it has ended/.test(why),
      ),
    )
    await oneBill(world, 4)
  },
)

void t.test(
  'a candidate that vanishes before it is proven is not resent, and its rows are unanswered (N36)',
  async t => {
    const world = await makeWorld(t, {
      batchTimeMs: 20 * MINUTE,
      faults: [{ on: 'create', nth: 1, when: 'after', reset: true, vanishAfterMs: 5 * MINUTE }],
    })
    const job = await world.open()
    const waits: string[] = []
    const results = await run(world, job, asks(2), { waits })
    t.same(
      results.map(({ status }) => status),
      ['unanswered', 'unanswered'],
    )
    t.ok(waits.some(why => /no longer listed/.test(why)))
    t.equal((await world.emulator.ledger.totals()).accepted, 2)
  },
)

void t.test('nothing is resent while a candidate has no readable result (N36)', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [
      { on: 'create', nth: 1, when: 'after', reset: true },
      { on: 'results', lines: { cutAfter: 0 } },
    ],
  })
  const job = await world.open()
  const waits: string[] = []
  const results = await run(world, job, asks(2), { waits })
  t.same(
    results.map(({ status }) => status),
    ['unanswered', 'unanswered'],
  )
  t.ok(waits.some(why => /its results have not shown that yet/.test(why)))
  t.equal((await world.emulator.ledger.totals()).accepted, 2)
  const unanswered = new OrdinalSet()
  for (const ordinal of [0, 1]) unanswered.add(ordinal)
  const { client } = world
  const { signal } = new AbortController()
  const downloads = callsOf(world.emulator, 'results')
  t.equal(await completeResults(job, unanswered, { client, signal }), 0)
  t.same(callsOf(world.emulator, 'results'), downloads, 'it has no id to download results of')
})

void t.test('a candidate whose results are unreadable for a while is checked again', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [
      { on: 'create', nth: 1, when: 'after', reset: true },
      { on: 'results', nth: [1, 2], status: 500 },
      { on: 'results', nth: 3, stallMs: 'forever' },
    ],
  })
  const job = await world.open()
  t.same(said(await run(world, job, asks(2))), answers(2))
  await oneBill(world, 2)
})

void t.test('ids that other jobs of this machine own are not candidates', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', nth: 1, status: 500 }],
  })
  const other = await world.emulator.addForeign({ requests: 2, batchTimeMs: 'forever' })
  const job = await world.open()
  const ownedElsewhere = async () => new Set([other])
  t.same(said(await run(world, job, asks(2), { submit: { ownedElsewhere } })), answers(2))
})

void t.test('batches with other counts are sent while one has an unknown outcome', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60 * MINUTE,
    faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
  })
  const job = await world.open()
  const results = await run(world, job, asks(20), { aggregate: { batchSize: 4 } })
  t.same(said(results).sort(), answers(20).sort())
  const made = world.emulator.ledger.batches()
  t.same(made.filter(({ requests }) => requests === 4).length, 1, 'the count is a tag')
  const at = made.map(({ created_at }) => Date.parse(created_at))
  t.ok(
    Math.max(...at) - Math.min(...at) < MINUTE,
    'the search takes an hour, and none waits for it',
  )
  await oneBill(world, 20)
})

void t.test('a batch waits while one with the same count has an unknown outcome', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 3 * MINUTE,
    faults: [{ on: 'create', nth: 1, status: 500 }],
  })
  const job = await world.open()
  // Two batches of one request each: the least count there is leaves no other choice.
  const results = await run(world, job, asks(2), { aggregate: { batchSize: 1 } })
  t.same(said(results).sort(), answers(2))
  const events = journalOf(job.store.folder).flatMap(event =>
    'number' in event ? [`${event.type} ${event.number}`] : [],
  )
  t.ok(events.indexOf('armed 2') > events.indexOf('disarmed 1'), events.join(', '))
  await oneBill(world, 2)
})

for (const hours of [-1, 24, -24 * 40, 24 * 40]) {
  void t.test(
    `a clock that jumps by ${hours} h while the outcome is unknown changes nothing (P11)`,
    async t => {
      const world = await makeWorld(t, {
        batchTimeMs: 15 * MINUTE,
        faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
      })
      const job = await world.open()
      job.on(
        'event',
        ({ type }) =>
          type === 'armed' && Math.abs(hours) <= 24 && world.clock.jump(hours * 60 * MINUTE),
      )
      if (Math.abs(hours) > 24) world.clock.jump(hours * 60 * MINUTE)
      t.same(said(await run(world, job, asks(2))), answers(2))
      await oneBill(world, 2)
    },
  )
}

void t.test(
  'a journal that fails when a batch is armed holds back the last byte (F05)',
  async t => {
    let failing = false
    const disk = watched(what => {
      if (what === 'sync' && failing) throw new Error('EIO')
    })
    const world = await makeWorld(t)
    const job = await world.open({ disk })
    const later = async function* () {
      yield* asks(2)
    }
    job.on('event', ({ type }) => void (type === 'sealed' && (failing = true)))
    await t.rejects(run(world, job, later()), { code: 'CBS_DISK', message: /nothing more is sent/ })
    t.equal((await world.emulator.ledger.totals()).accepted, 0)
  },
)

void t.test('a body shorter than the journal says is CBS_STATE, and is not sent', async t => {
  const world = await makeWorld(t)
  for (const cut of [0, 30]) {
    const job = await world.open({ name: `cut-${cut}` })
    job.on(
      'event',
      ({ type }) => void (type === 'sealed' && truncateSync(job.store.path(1, 'body'), cut)),
    )
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_STATE' })
  }
  t.equal((await world.emulator.ledger.totals()).accepted, 0)
})

void t.test(
  'a key of another workspace is refused by name before anything is sent (N14)',
  async t => {
    const world = await makeWorld(t, {
      keys: { 'key-a': 'wrkspc_a', 'key-b': 'wrkspc_b' },
      faults: [{ on: 'create', nth: 2, status: 401 }],
    })
    const job = await world.open()
    await t.rejects(
      run(world, job, asks(2), {
        client: clientOf(world.emulator, 'key-a'),
        aggregate: { batchSize: 1 },
      }),
    )
    await job.close()
    const again = await world.open()
    const wrong = run(world, again, asks(2), {
      client: clientOf(world.emulator, 'key-b'),
      aggregate: { batchSize: 1 },
    })
    await t.rejects(wrong, {
      code: 'CBS_ACCESS',
      message: /wrkspc_a, but this key belongs to wrkspc_b/,
    })
    await again.close()
    t.equal(callsOf(world.emulator, 'create')[200], 1)
    const third = await world.open()
    t.equal(
      (await run(world, third, asks(2), { client: clientOf(world.emulator, 'key-a') })).length,
      2,
    )
  },
)

void t.test(
  'a stage that is destroyed during a send or a search closes, and leaves no file open',
  async t => {
    for (const fault of [
      { when: 'early', bytes: 5, stallMs: 'forever' },
      { when: 'after', reset: true },
    ] as const) {
      const stop = new AbortController()
      const world = await makeWorld(t, {
        batchTimeMs: 60 * MINUTE,
        faults: ({ op }) => {
          if (op !== 'create') return undefined
          if (fault.when === 'early') setImmediate(() => stop.abort())
          return fault
        },
      })
      const job = await world.open()
      const running = run(world, job, asks(2), {
        signal: stop.signal,
        submit: { onWait: () => stop.abort() },
      })
      await t.rejects(running)
      await job.close()
      t.same(openBelow(world.dir), [])
      t.equal(world.clock.sleepers.size, 0)
    }
  },
)

void t.test('a list that lacks another batch of the job proves nothing', async t => {
  let isStub = true
  const world = await makeWorld(t, {
    faults: ({ op, nth }) => {
      if (op === 'create' && nth === 2) return { when: 'after', reset: true }
      if (op !== 'list' || !isStub) return undefined
      return EMPTY_LIST
    },
  })
  const options = { aggregate: { batchSize: 2 } }
  const job = await world.open()
  await t.rejects(run(world, job, asks(5), options), {
    code: 'CBS_API',
    message: /list of batches lacks msgbatch_\w+, a batch of the job, so/,
  })
  await job.close()
  isStub = false
  t.equal(said(await run(world, await world.open(), asks(5), options)).length, 5)
  await oneBill(world, 5)
})

void t.test('a job whose only other batch was deleted asks before it sends again', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', nth: 2, when: 'before', reset: true, times: 1 }],
  })
  const options = { aggregate: { batchSize: 2 } }
  const job = await world.open()
  job.on('event', event => {
    // Between its results and the search for the next one.
    if (event.type !== 'fetched' || event.number !== 1) return
    const { id } = job.batch(1)
    void world.client.messages.batches.delete(String(id))
  })
  await t.rejects(run(world, job, asks(4), options), {
    code: 'CBS_API',
    message: /If the job's batches were deleted, or .*, resume it with `adopt`: none$/,
  })
  await job.close()
  const decided = { ...options, submit: { adopt: ['none'] } }
  t.equal(said(await run(world, await world.open(), asks(4), decided)).length, 4)
  await oneBill(world, 4)
})

void t.test(
  'a gateway that knows no batch for a while proves nothing, although one is running',
  async t => {
    let until = Infinity
    const world = await makeWorld(t, {
      batchTimeMs: 60 * MINUTE,
      faults: ({ op, nth }) => {
        if (op === 'create' && nth === 2) return { when: 'after', reset: true }
        if (world.clock.elapsed() > until) return undefined
        if (op === 'retrieve') return { status: 404 }
        if (op !== 'list') return undefined
        return EMPTY_LIST
      },
    })
    const options = { aggregate: { batchSize: 2 } }
    const job = await world.open()
    await t.rejects(run(world, job, asks(5), options), {
      code: 'CBS_API',
      message: /list of batches lacks msgbatch_\w+, a batch of the job/,
    })
    await job.close()
    until = 0
    t.equal(said(await run(world, await world.open(), asks(5), options)).length, 5)
    await oneBill(world, 5)
  },
)

void t.test('a deleted batch does not keep a list with others from being complete', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', nth: 3, when: 'before', reset: true, times: 1 }],
  })
  const options = { aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
  const job = await world.open()
  job.on('event', event => {
    if (event.type === 'fetched' && event.number === 1)
      void world.client.messages.batches.delete(String(job.batch(1).id))
  })
  t.equal(said(await run(world, job, asks(6), options)).length, 6)
  await oneBill(world, 6)
})

for (const body of ['<html>Sign in</html>', '{}']) {
  void t.test(`a list that answers 200 with ${body} proves nothing (N32)`, async t => {
    let until = 0
    const world = await makeWorld(t, {
      batchTimeMs: 3 * MINUTE,
      faults: ({ op, nth }) => {
        if (op === 'create' && nth === 1) return { when: 'after', reset: true }
        if (op !== 'list' || world.clock.elapsed() > until) return undefined
        return { body, contentType: 'application/json' }
      },
    })
    until = world.clock.elapsed() + 30 * MINUTE
    const job = await world.open()
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_API' })
    t.equal(job.batch(1).phase, 'armed')
    await job.close()
    world.clock.pass(30 * MINUTE)
    t.same(said(await run(world, await world.open(), asks(2))), answers(2))
    await oneBill(world, 2)
  })
}

void t.test(
  'an API whose queue is full for a day ends with CBS_API, and nothing is lost',
  async t => {
    let until = Infinity
    const world = await makeWorld(t, {
      faults: ({ op }) =>
        op === 'create' && world.clock.elapsed() < until
          ? { status: 429, headers: { 'retry-after': '600' } }
          : undefined,
    })
    const job = await world.open()
    await t.rejects(run(world, job, asks(2)), { code: 'CBS_API', message: /answered 429/ })
    t.ok(world.clock.elapsed() >= 24 * 60 * MINUTE)
    await job.close()
    until = 0
    t.same(said(await run(world, await world.open(), asks(2))), answers(2))
    await oneBill(world, 2)
  },
)

void t.test('a batch that is older than a page of the list is found on the next page', async t => {
  let pages = 0
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op }) => {
      if (op === 'create') return { when: 'after', reset: true }
      if (op !== 'list' || world.clock.elapsed() < 2000) return undefined
      // The next page of each look has the batch, and one more nothing.
      if (pages++ % 3 > 0) return undefined
      // What somebody else has made in the meantime fills the first page of every look.
      const page = { data: [other], has_more: true, first_id: other.id, last_id: other.id }
      return { body: JSON.stringify(page), contentType: 'application/json' }
    },
  })
  const other = {
    id: await world.emulator.addForeign({ requests: 9, createdAgoMs: -1000 }),
    processing_status: 'in_progress',
    request_counts: { processing: 9, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date(world.clock.now() + 1000).toISOString(),
  }
  t.same(said(await run(world, await world.open(), asks(3))), answers(3))
  await oneBill(world, 3)
  t.same(callsOf(world.emulator, 'create'), { 0: 1 })
})

void t.test(
  'a search that has lost the ids of its own batch ends, and nothing is resent',
  async t => {
    const world = await makeWorld(t, { faults: [{ on: 'create', when: 'after', reset: true }] })
    const job = await world.open()
    job.on('event', event => event.type === 'armed' && rmSync(job.store.path(1, 'ids')))
    const mine = asks(2).map((one, i) => ({ ...one, custom_id: `mine-${i}` }))
    await t.rejects(run(world, job, mine), {
      code: 'CBS_STATE',
      message: /1\.ids of the job is gone/,
    })
    t.equal((await world.emulator.ledger.totals()).acceptedTwice, 0)
  },
)

void t.test('a batch whose body is gone is CBS_STATE, and nothing is sent', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  job.on('event', event => event.type === 'sealed' && rmSync(job.store.path(1, 'body')))
  await t.rejects(run(world, job, asks(2)), {
    code: 'CBS_STATE',
    message: /1\.body.* of the job is gone/,
  })
  t.same(callsOf(world.emulator, 'create'), {})
})

void t.test(
  'a large batch is split in constant memory, each request with its own answer',
  async t => {
    const world = await makeWorld(t, { faults: [{ on: 'create', nth: 1, status: 413 }] })
    const texts = Array.from({ length: 8 }, (_, i) => `${i} ${'x'.repeat(600_000)}`)
    const results = await run(
      world,
      await world.open(),
      texts.map(text => ask(text)),
    )
    t.same(
      results.map(({ response }) => response),
      texts.map(text => echo(text)),
    )
    await oneBill(world, 8)
  },
)

void t.test(
  'a body that was truncated or changed on disk is detected when it is split (13.9)',
  async t => {
    const job = await openFor(t, t.testdir())
    for await (const _ of each(from(asks(3), aggregate({ job }))));
    const path = job.store.path(1, 'body')
    const body = readFileSync(path)
    const damaged = {
      code: 'CBS_STATE',
      message: /the body of batch 1 on disk was changed since it was sealed/,
    }
    truncateSync(path, body.length - 100)
    await t.rejects(
      splitBatch(job, 1, () => 0),
      damaged,
    )
    for (let at = 0; at < body.length; at += 10) {
      const changed = Buffer.from(body)
      changed.writeUInt8((body[at] as number) ^ 1, at)
      writeFileSync(path, changed)
      await t.rejects(
        splitBatch(job, 1, () => 0),
        damaged,
      )
    }
    t.equal(job.batch(1).phase, 'sealed')
    writeFileSync(path, body)
    t.equal((await splitBatch(job, 1, () => 0)).length, 1)
  },
)

void t.test('a candidate that ended without a results_url is not resent (N36)', async t => {
  const world = await makeWorld(t, {
    faults: ({ op }) => {
      if (op === 'create') return { when: 'after', reset: true }
      const page = { data: [ended], has_more: false, first_id: ended.id, last_id: ended.id }
      return { body: JSON.stringify(page), contentType: 'application/json' }
    },
  })
  const ended = {
    id: 'msgbatch_ended',
    processing_status: 'ended',
    request_counts: { processing: 0, succeeded: 2, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date(world.clock.now()).toISOString(),
    results_url: null,
  }
  const results = await run(world, await world.open(), asks(2))
  t.same(
    results.map(({ status }) => status),
    ['unanswered', 'unanswered'],
  )
  t.equal((await world.emulator.ledger.totals()).accepted, 2)
})

void t.test('a create that another workspace answers is never repeated (N14)', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', nth: 1, headers: { 'anthropic-workspace-id': 'wrkspc_other' } }],
  })
  const job = await world.open()
  const own = 'wrkspc_01EmulatorDefaultWrkspc'
  await job.note({ type: 'workspace', id: own }, false)
  await t.rejects(run(world, job, asks(2)), {
    code: 'CBS_ACCESS',
    message:
      /belongs to workspace wrkspc_01EmulatorDefaultWrkspc, but this key belongs to wrkspc_other/,
  })
  // Whatever the header says, the batch has an id.
  t.ok(job.batch(1).id)
  await job.close()
  t.same(said(await run(world, await world.open(), asks(2))), answers(2))
  await oneBill(world, 2)
})

/** A job of three batches, for the second of which a gateway used a key of another workspace. */
async function inTwoWorkspaces(t: Test): Promise<{
  world: World
  collect: (key: 'a' | 'b' | 'both', adopt?: readonly string[]) => Promise<readonly string[]>
}> {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    keys: { 'key-a': 'wrkspc_a', 'key-b': 'wrkspc_b' },
  })
  const a = clientOf(world.emulator, 'key-a')
  let creates = 0
  const spread: typeof fetch = async (url, init) => {
    const headers = new Headers(init?.headers)
    if (init?.method === 'POST' && ++creates === 2) headers.set('authorization', 'Bearer key-b')
    return await world.emulator.fetch(url, { ...init, headers })
  }
  const clients = {
    a,
    b: clientOf(world.emulator, 'key-b'),
    both: a.withOptions({ fetch: spread }),
  }
  return {
    world,
    collect: async (key, adopt = []) => {
      const job = await world.open()
      const decided = { submit: { adopt }, awaitEnd: { adopt }, fetch: { adopt } }
      const options = { client: clients[key], aggregate: { batchSize: 1 }, ...decided }
      return said(await run(world, job, asks(3), options).finally(() => job.close()))
    },
  }
}

const IN_B = {
  code: 'CBS_ACCESS',
  message: /batch 2 was sent to workspace wrkspc_b, and wrkspc_a does/,
}

void t.test('batches that a gateway has created in two workspaces are collected', async t => {
  const { world, collect } = await inTwoWorkspaces(t)
  const message = /belongs to workspace wrkspc_a, but this key belongs to wrkspc_b/
  await t.rejects(collect('both'), { code: 'CBS_ACCESS', message })
  await t.rejects(collect('a'), IN_B)
  await t.rejects(collect('b'), { code: 'CBS_ACCESS', message })
  t.equal((await world.emulator.ledger.totals()).accepted, 2)
  t.same(await collect('a'), answers(3))
  await oneBill(world, 3)
})

void t.test('a batch in another workspace is given up if the user says so', async t => {
  const { world, collect } = await inTwoWorkspaces(t)
  await t.rejects(collect('both'), { code: 'CBS_ACCESS' })
  await t.rejects(collect('a'), IN_B)
  const rows = await collect('a', ['none'])
  t.same(rows.toSorted(), [answers(1)[0], '1: unanswered', answers(3)[2]])
  await oneBill(world, 3)
})

void t.test('a lost reply is found even if the API never sends its time', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
  })
  const timeless: typeof fetch = async (url, init) => {
    const { body, status, headers } = await world.emulator.fetch(url, init)
    headers.delete('date')
    return new Response(body, { status, headers })
  }
  const client = world.client.withOptions({ fetch: timeless })
  t.same(said(await run(world, await world.open(), asks(2), { client })), answers(2))
  await oneBill(world, 2)
})

void t.test('a batch that was proven foreign is not checked again after a crash', async t => {
  const looked: number[] = []
  const world = await makeWorld(t, {
    batchTimeMs: 20 * MINUTE,
    foreign: [{ requests: 3, batchTimeMs: MINUTE }],
    faults: ({ op, batch }) => {
      if (op === 'results' && batch !== undefined) looked.push(batch)
      return op === 'create' ? { when: 'after', reset: true } : undefined
    },
  })
  const dying = await world.open()
  const stop = new AbortController()
  dying.on('event', ({ type }) => type === 'ruledOut' && stop.abort())
  await t.rejects(run(world, dying, asks(3), { signal: stop.signal }))
  await dying.close()
  t.equal(looked.length, 2, 'one reply is not enough to rule a batch out')
  t.same(said(await run(world, await world.open(), asks(3))), answers(3))
  t.equal(looked.filter(number => number === looked[0]).length, 2)
  await oneBill(world, 3)
})

void t.test('nothing else is sent before the batch that primes the cache has ended', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const job = await world.open()
  const results = await run(world, job, asks(5), { aggregate: { prime: true, batchSize: 2 } })
  t.same(said(results).sort(), answers(5))
  t.same(
    world.emulator.ledger.batches().map(({ requests }) => requests),
    [1, 2, 2],
  )
  const events = journalOf(job.store.folder).flatMap(event =>
    'number' in event ? [`${event.type} ${event.number}`] : [],
  )
  t.ok(events.indexOf('armed 2') > events.indexOf('ended 1'), events.join(', '))
})

void t.test('onBusy is called when the queue is full', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', nth: 1, status: 429 }] })
  let told = 0
  const onBusy = (): void => void (told += 1)
  t.same(said(await run(world, await world.open(), asks(2), { submit: { onBusy } })), answers(2))
  t.equal(told, 1)
})

void t.test('callbacks that throw or reject do not affect a run (13.4)', async t => {
  const world = await makeWorld(t, {
    faults: [
      { on: 'create', nth: 1, status: 429 },
      { on: 'retrieve', nth: 1, status: 503 },
      { on: 'results', nth: 1, status: 503 },
    ],
  })
  const warnings: string[] = []
  const warn = ({ message }: Error): void => void warnings.push(message)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const onBusy = (): never => {
    throw new Error('busy')
  }
  const onWait = async (): Promise<never> => Promise.reject(new Error('wait'))
  const results = await run(world, await world.open(), asks(2), {
    submit: { onBusy, onWait },
    awaitEnd: { onWait: async () => Promise.reject(new Error('end')) },
    fetch: { onWait: async () => Promise.reject(new Error('fetch')) },
  })
  t.same(said(results), answers(2))
  t.same(
    warnings.map(message => message.replace(/ failed, and the run continues/, '')),
    ['`onBusy`: busy', '`onWait`: wait', '`onWait`: end', '`onWait`: fetch'],
  )
})
