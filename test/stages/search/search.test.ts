import t from 'tap'
import type Anthropic from '@anthropic-ai/sdk'
import type { RemoteBatch } from '../../../lib/api/remote-batch.ts'
import { echo, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import { completeResults } from '../../../lib/stages/results/fetch-results.ts'
import { OrdinalSet } from '../../../lib/store/ordinal-set.ts'
import type { BatchRequest } from '../../../lib/core/flow.ts'
import {
  asks,
  clientThatChanges,
  createdLater,
  makeWorld,
  reopened,
  run,
  said,
  type World,
} from '../../support/world.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** The reply to the first create is lost. */
const LOST: EmulatorOptions = {
  batchTimeMs: MINUTE,
  faults: [{ on: 'create', nth: 1, when: 'after', reset: true }],
}

/** A client whose answers to what it reads are altered on their way. */
function altering(world: World, alter: (text: string, path: string) => string): Anthropic {
  return clientThatChanges(world, (text, path, method) =>
    method === 'POST' ? text : alter(text, path),
  )
}

/** Three answers, and one bill for them. */
async function found(world: World, client: Anthropic): Promise<void> {
  const results = said(await run(world, await world.open(), asks(3), { client }))
  world.t.same(
    results,
    [0, 1, 2].map(i => `${i}: succeeded ${echo(`question ${i}`)}`),
  )
  const { accepted, acceptedTwice } = await world.emulator.ledger.totals()
  world.t.same({ accepted, acceptedTwice }, { accepted: 3, acceptedTwice: 0 })
}

const FOREIGN = '{"custom_id":"foreign-1","result":{"type":"expired"}}\n'

const heads: readonly [name: string, alter: (set: string) => string][] = [
  ['begins with a line of another batch', set => FOREIGN + set],
  ['holds another custom_id first', set => set.replaceAll(/^{/gm, '{"of":{"custom_id":"a"},')],
  ['has its results before its ids', set => set.replaceAll(/^{("[^,]*),(.*)}$/gm, '{$2,$1}')],
  ['writes its keys with escapes', set => set.replaceAll('"custom_id"', '"custom\\u005fid"')],
  ['is a page that talks of ids', () => '<p>"custom_id": "a"</p>'],
  ['is cut in its first id', set => set.slice(0, 18)],
  ['is cut behind its first id', set => set.slice(0, 40)],
]

for (const [name, alter] of heads) {
  void t.test(`a batch of ours is found though its set ${name}`, async t => {
    const world = await makeWorld(t, LOST)
    let sets = 0
    await found(
      world,
      altering(world, (text, path) =>
        path.endsWith('/results') && ++sets === 1 ? alter(text) : text,
      ),
    )
  })
}

void t.test('only the start of a large set is read to prove it foreign', async t => {
  const line = JSON.stringify({ custom_id: 'foreign-1', result: { type: 'x'.repeat(300_000) } })
  const world = await makeWorld(t, {
    batchTimeMs: 20 * MINUTE,
    foreign: [{ requests: 3, batchTimeMs: MINUTE }],
    faults: [{ on: 'create', nth: 1, reset: true }],
  })
  let lines = 0
  const fetch: typeof globalThis.fetch = async (url, init) => {
    if (!String(url).endsWith('/results') || lines > 0) return world.emulator.fetch(url, init)
    const pull = (controller: ReadableStreamDefaultController): void => {
      lines += 1
      controller.enqueue(Buffer.from(`${line}\n`))
    }
    return new Response(new ReadableStream({ pull }))
  }
  await found(world, world.client.withOptions({ fetch }))
  t.ok(lines > 0 && lines < 10, `${lines} lines`)
})

for (const days of [-3, 3]) {
  for (const batchTimeMs of [1000, 30 * MINUTE]) {
    void t.test(
      `a batch of ours of ${batchTimeMs} ms is found though its times are ${days} days off`,
      async t => {
        const world = await makeWorld(t, { ...LOST, batchTimeMs })
        const client = altering(world, text => createdLater(text, days * DAY))
        await found(world, client)
      },
    )
  }
}

for (const days of [-3, 3, 40]) {
  void t.test(`a local clock that was ${days} days off costs nothing when it is set`, async t => {
    const world = await makeWorld(t, { ...LOST, batchTimeMs: 60 * MINUTE })
    world.clock.jump(days * DAY)
    const job = await world.open()
    job.on('event', ({ type }) => type === 'armed' && world.clock.jump(-days * DAY))
    t.equal((await run(world, job, asks(3))).length, 3)
    t.match(await world.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
  })
}

void t.test('another batch of the job shows that creation times are behind', async t => {
  for (const concurrency of [1, 2]) {
    const world = await makeWorld(t, {
      batchTimeMs: 30 * MINUTE,
      faults: [{ on: 'create', nth: 2, when: 'after', reset: true }],
    })
    const client = clientThatChanges(world, text => createdLater(text, -60 * MINUTE))
    const options = { client, aggregate: { batchSize: 3 }, submit: { concurrency } }
    const results = await run(world, await world.open(), asks(5), options)
    t.equal(results.filter(({ status }) => status === 'succeeded').length, 5)
    t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
  }
})

void t.test('one of the job’s first batches shows that creation times may be behind', async t => {
  const many = 8
  const world = await makeWorld(t, {
    batchTimeMs: 30 * MINUTE,
    faults: [{ on: 'create', nth: many, when: 'after', reset: true }],
  })
  const ids: string[] = []
  // The machine that creates the first and the last batch has a clock of its own.
  const seen = (batch: RemoteBatch): RemoteBatch => {
    if (!ids.includes(batch.id)) ids.push(batch.id)
    if (![0, many - 1].includes(ids.indexOf(batch.id))) return batch
    return JSON.parse(createdLater(JSON.stringify(batch), -60 * MINUTE))
  }
  const client = clientThatChanges(world, text => {
    if (!text.startsWith('{') || text.includes('"custom_id"')) return text
    const reply = JSON.parse(text)
    return JSON.stringify(reply.data ? { ...reply, data: reply.data.map(seen) } : seen(reply))
  })
  const options = { client, aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
  const results = await run(world, await world.open(), asks(2 * many), options)
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 2 * many)
  t.match(await world.emulator.ledger.totals(), { accepted: 2 * many, acceptedTwice: 0 })
})

void t.test('the batch of an earlier run with the same chosen ids is not adopted', async t => {
  const mine = asks(6).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    // The first reply shows the API's time.
    faults: [{ on: 'create', nth: 2, when: 'before', reset: true }],
  })
  const customIds = mine.slice(3).map(({ custom_id }) => custom_id)
  await world.emulator.addForeign({ customIds, createdAgoMs: DAY, batchTimeMs: MINUTE })
  const results = await run(world, await world.open(), mine, { aggregate: { batchSize: 3 } })
  t.same(
    said(results).sort(),
    [0, 1, 2, 3, 4, 5].map(i => `${i}: succeeded ${echo(`question ${i}`)}`),
  )
  t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

void t.test('a list without an end fails the run, and the next run resumes', async t => {
  const faults = [{ on: 'create', nth: 1, when: 'before', reset: true }] as const
  const world = await makeWorld(t, { faults })
  await world.emulator.addForeign({ requests: 9 })
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(String(url).replace(/&?after_id=\w+/, ''), init)
    if (!new URL(String(url)).search) return response
    return Response.json({ ...(await response.json()), has_more: true })
  }
  const client = world.client.withOptions({ fetch })
  const job = await world.open()
  await t.rejects(run(world, job, asks(3), { client }), {
    code: 'CBS_API',
    message: /does not end, or does not say what follows its last entry/,
  })
  await job.close()
  await found(world, world.client)
})

void t.test('a list in another order is read to its end', async t => {
  const world = await makeWorld(t, LOST)
  const old = [2, 1].map(days => ({
    id: `msgbatch_old${days}`,
    processing_status: 'ended' as const,
    request_counts: { processing: 0, succeeded: 9, errored: 0, canceled: 0, expired: 0 },
    created_at: new Date(world.clock.now() - days * DAY).toISOString(),
    ended_at: null,
    archived_at: null,
    expires_at: null,
    cancel_initiated_at: null,
    results_url: null,
  })) satisfies RemoteBatch[]
  const first = { data: old, has_more: true, first_id: old[0]?.id, last_id: old[1]?.id }
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const { pathname, searchParams } = new URL(String(url))
    const isList = pathname.endsWith('/batches') && init?.method?.toUpperCase() !== 'POST'
    if (!isList) return world.emulator.fetch(url, init)
    if (!searchParams.has('after_id')) return Response.json(first)
    return world.emulator.fetch(String(url).replace(/&?after_id=msgbatch_old\w+/, ''), init)
  }
  await found(world, world.client.withOptions({ fetch }))
})

void t.test('a reply that belongs to another create leaves the outcome unknown', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  let earlier: string | undefined
  const cached: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (init?.method?.toUpperCase() !== 'POST') return response
    earlier ??= await response.text()
    return new Response(earlier, { headers: { 'content-type': 'application/json' } })
  }
  const client = world.client.withOptions({ fetch: cached })
  const job = await world.open()
  const options = { client, aggregate: { batchSize: 2 } }
  const results = await run(world, job, asks(4), options)
  t.same(
    results.map(({ status }) => status),
    Array(4).fill('succeeded'),
  )
  t.equal((await world.emulator.ledger.totals()).acceptedTwice, 0)
})

void t.test('foreign batches with incomplete data do not end the search', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const foreign = await world.emulator.addForeign({ batchTimeMs: 'forever' })
  const client = altering(world, text => {
    return text.replace(new RegExp(`("${foreign}".{0,60}?"processing_status":")\\w+`), '$1queued')
  })
  const results = await run(world, await world.open(), asks(3), {
    client,
    aggregate: { batchSize: 1 },
  })
  t.same(
    results.map(({ status }) => status),
    Array(3).fill('succeeded'),
  )
})

void t.test('a lost reply is found after the machine has slept for days', async t => {
  let slept = 0
  const clock = new VirtualClock()
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    clock: { ...clock.server, now: () => clock.server.now() + slept },
    faults: [{ on: 'create', nth: 2, when: 'after', reset: true }],
  })
  const job = await world.open({ clock })
  const requests = async function* (): AsyncGenerator<BatchRequest> {
    yield* asks(2)
    await job.when(
      () => job.state.batches.get(1)?.phase === 'fetched',
      new AbortController().signal,
    )
    // Wall time goes on, and so does the API's; the clock that we measure by does not.
    slept = 3 * DAY
    clock.jump(slept)
    yield* asks(4).slice(2)
  }
  const results = await run(world, job, requests(), { aggregate: { batchSize: 2 } })
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 4)
  t.equal((await world.emulator.ledger.totals()).acceptedTwice, 0)
})

void t.test('an API whose clock jumps does not shorten the settle time', async t => {
  let jumped = 0
  const clock = new VirtualClock()
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    clock: { ...clock.server, now: () => clock.server.now() + jumped },
    faults: [
      { on: 'create', nth: 1 },
      { on: 'create', nth: 2, when: 'after', reset: true, listedAfterMs: DAY + MINUTE },
    ],
  })
  const job = await world.open({ clock })
  const results = await run(world, job, asks(4), {
    aggregate: { batchSize: 2 },
    // The outcome is unknown from here on.
    submit: { concurrency: 1, onWait: () => (jumped = DAY) },
  })
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 4)
  t.equal((await world.emulator.ledger.totals()).acceptedTwice, 0)
})

/** A client whose first lists are empty and come from a cache. */
function cachedLists(world: World, count: number, seen: string[] = []): Anthropic {
  let lists = 0
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const { searchParams, pathname } = new URL(String(url))
    const isList = pathname.endsWith('/batches') && init?.method?.toUpperCase() === 'GET'
    if (isList) seen.push(String(new Headers(init.headers).get('cache-control')))
    // The first call of a run asks for one batch: it only shows the workspace.
    if (!isList || searchParams.get('limit') === '1' || ++lists > count)
      return world.emulator.fetch(url, init)
    return Response.json({ data: [], has_more: false, last_id: null }, { headers: { age: '20' } })
  }
  return world.client.withOptions({ fetch })
}

void t.test('a list from a cache does not prove that a batch does not exist', async t => {
  const world = await makeWorld(t, LOST)
  const seen: string[] = []
  await found(world, cachedLists(world, 4, seen))
  t.same([...new Set(seen)], ['no-cache'])
})

void t.test(
  'a gateway that always lists from its cache ends the run; nothing is sent again',
  async t => {
    const world = await makeWorld(t, LOST)
    const job = await world.open()
    await t.rejects(run(world, job, asks(3), { client: cachedLists(world, Infinity) }), {
      code: 'CBS_API',
      message: /cannot list batches: the list came from a cache \(age: 20\)/,
    })
    await job.close()
    await found(world, world.client)
  },
)

for (const headers of [{}, { age: '30' }])
  void t.test(
    `another batch's results do not rule a batch out at once ${headers.age ?? ''}`,
    async t => {
      const world = await makeWorld(t, LOST)
      // With such headers they never do.
      const forMs = headers.age === undefined ? 50_000 : 5 * MINUTE
      let since: number | undefined
      const fetch: typeof globalThis.fetch = async (url, init) => {
        if (!String(url).endsWith('/results')) return world.emulator.fetch(url, init)
        const now = world.clock.elapsed()
        since ??= now
        if (now - since > forMs) return world.emulator.fetch(url, init)
        return new Response(FOREIGN, { headers })
      }
      await found(world, world.client.withOptions({ fetch }))
    },
  )

void t.test(
  'a list that shows batches as they once were does not hide that one has ended',
  async t => {
    const faults = [{ on: 'create', nth: 1, when: 'after', reset: true }] as const
    const world = await makeWorld(t, { faults, batchTimeMs: MINUTE })
    const client = clientThatChanges(world, text =>
      text.includes('"has_more"') ? text.replaceAll('"ended"', '"in_progress"') : text,
    )
    const results = await run(world, await world.open(), asks(2), { client })
    t.equal(results.filter(({ status }) => status === 'succeeded').length, 2)
    t.ok(world.clock.elapsed() < 60 * MINUTE)
  },
)

void t.test('a byte order mark before results does not hide whose they are', async t => {
  const faults = [{ on: 'create', nth: 1, when: 'after', reset: true }] as const
  const world = await makeWorld(t, { faults, batchTimeMs: MINUTE })
  const client = clientThatChanges(world, (text, path) =>
    path.endsWith('/results') ? `\ufeff${text}` : text,
  )
  const results = await run(world, await world.open(), asks(1), { client })
  t.same(
    results.map(({ status }) => status),
    ['succeeded'],
  )
  t.ok(world.clock.elapsed() < 60 * MINUTE)
})

void t.test('results that another batch has had never rule a batch out', async t => {
  const faults = [{ on: 'create', nth: 2, when: 'after', reset: true }] as const
  const world = await makeWorld(t, { faults, batchTimeMs: MINUTE })
  let first: string | undefined
  // A cache of results that ignores the id of the batch.
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (!String(url).endsWith('/results') || world.clock.elapsed() > 60 * MINUTE) return response
    first ??= await response.text()
    return new Response(first)
  }
  const client = world.client.withOptions({ fetch })
  const options = { client, aggregate: { batchSize: 3 }, submit: { concurrency: 1 } }
  const results = await run(world, await world.open(), asks(6), options)
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 6)
  const { accepted, acceptedTwice } = await world.emulator.ledger.totals()
  t.same({ accepted, acceptedTwice }, { accepted: 6, acceptedTwice: 0 })
})

for (const offMs of [60 * MINUTE, -60 * MINUTE])
  void t.test(`a gateway whose clock is ${offMs / MINUTE} minutes off costs nothing`, async t => {
    const faults = [{ on: 'create', nth: 2, when: 'after', reset: true }] as const
    const world = await makeWorld(t, { faults, batchTimeMs: 30 * MINUTE })
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await world.emulator.fetch(url, init)
      const date = Date.parse(response.headers.get('date') ?? '') + offMs
      response.headers.set('date', new Date(date).toUTCString())
      return response
    }
    const client = world.client.withOptions({ fetch })
    const options = { client, aggregate: { batchSize: 3 }, submit: { concurrency: 1 } }
    const results = await run(world, await world.open(), asks(5), options)
    t.equal(results.filter(({ status }) => status === 'succeeded').length, 5)
    const { accepted, acceptedTwice } = await world.emulator.ledger.totals()
    t.same({ accepted, acceptedTwice }, { accepted: 5, acceptedTwice: 0 })
  })

for (const days of [-20_000, -5, 5, 30_000])
  void t.test(`one \`date\` header that is ${days} days off costs nothing`, async t => {
    const faults = [{ on: 'create', nth: 3, when: 'after', reset: true }] as const
    const world = await makeWorld(t, { faults, batchTimeMs: 30 * MINUTE })
    let creates = 0
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await world.emulator.fetch(url, init)
      if (init?.method === 'POST' && ++creates === 2)
        response.headers.set('date', new Date(world.clock.now() + days * DAY).toUTCString())
      return response
    }
    const client = world.client.withOptions({ fetch })
    const options = { client, aggregate: { batchSize: 3 }, submit: { concurrency: 9 } }
    const results = await run(world, await world.open(), asks(8), options)
    t.equal(results.filter(({ status }) => status === 'succeeded').length, 8)
    const { accepted, acceptedTwice } = await world.emulator.ledger.totals()
    t.same({ accepted, acceptedTwice }, { accepted: 8, acceptedTwice: 0 })
  })

void t.test('a cache of lists that hides itself proves nothing', async t => {
  // The API takes the batch long after the first listing.
  const faults = [{ on: 'create', nth: 2, when: 'after', reset: true }] as const
  const world = await makeWorld(t, { faults, batchTimeMs: 30 * MINUTE })
  const pages = new Map<string, string>()
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (!new URL(String(url)).search) return response
    const fresh = await response.text()
    const page = JSON.parse(fresh)
    // The first page that each URL had lacks the batch.
    const [newest, ...others] = page.data
    const stale = JSON.stringify({ ...page, data: newest ? others : [] })
    const cached = pages.get(String(url)) ?? (pages.size === 0 ? stale : fresh)
    pages.set(String(url), cached)
    return new Response(cached, { headers: response.headers })
  }
  const client = world.client.withOptions({ fetch })
  const options = { client, aggregate: { batchSize: 3 }, submit: { concurrency: 1 } }
  const results = await run(world, await world.open(), asks(5), options)
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 5)
  t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
})

for (const status of [403, 500])
  void t.test(
    `a batch of the job that cannot be looked up (${status}) is not known to be listed`,
    async t => {
      let page: unknown
      const world = await makeWorld(t, {
        batchTimeMs: 60 * MINUTE,
        faults: ({ op, nth }) => {
          if (op === 'create' && nth === 2) return { when: 'after', reset: true }
          if (!page) return undefined
          if (op === 'list') return { body: JSON.stringify(page), contentType: 'application/json' }
          return op === 'retrieve' ? { status } : undefined
        },
      })
      await world.emulator.addForeign({ requests: 9, createdAgoMs: 4 * DAY, batchTimeMs: MINUTE })
      page = await (await world.client.messages.batches.list().asResponse()).json()
      const options = { aggregate: { batchSize: 3 }, submit: { concurrency: 9 } }
      await t.rejects(run(world, await world.open(), asks(5), options), {
        code: 'CBS_API',
        message: /the API's list of batches lacks msgbatch_/,
      })
      t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
    },
  )

void t.test(
  'a list of the newest batches only does not show that an older one is missing',
  async t => {
    const world = await makeWorld(t, LOST)
    const job = await world.open()
    job.on('event', ({ type }) => {
      if (type !== 'armed') return
      for (let i = 0; i < 20; i++)
        void world.emulator.addForeign({ requests: 9, createdAgoMs: -5000 })
    })
    // A gateway that has the newest batches of the workspace, and no pages.
    const client = altering(world, text => {
      if (!text.includes('"has_more"')) return text
      const page = JSON.parse(text)
      const data = page.data.filter(
        ({ request_counts: { succeeded, processing } }: RemoteBatch) =>
          succeeded + processing === 9,
      )
      return JSON.stringify({ ...page, data, has_more: false })
    })
    await t.rejects(run(world, job, asks(3), { client }), {
      code: 'CBS_API',
      message: /only such as were created after the one whose create got no reply/,
    })
    t.match(await world.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
  },
)

void t.test('a list with pages shows that a create without a batch before it has none', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE / 6,
    faults: [
      { on: 'create', nth: 1, when: 'before', status: 529 },
      { on: 'create', nth: 2, status: 429, headers: { 'retry-after': '30' } },
    ],
  })
  const options = { aggregate: { batchSize: 5 } }
  const results = await run(world, await world.open(), asks(60), options)
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 60)
  t.match(await world.emulator.ledger.totals(), { accepted: 60, acceptedTwice: 0 })
})

void t.test('a batch is found although a gateway leaves some counts out', async t => {
  const world = await makeWorld(t, {
    ...LOST,
    respond: params =>
      JSON.stringify(params).includes('question 1') ? { error: { type: 'x', message: 'no' } } : 'y',
  })
  const client = altering(world, text =>
    text.replaceAll(/,"(?:errored|canceled|expired)":\d+/g, ''),
  )
  const results = await run(world, await world.open(), asks(3), { client })
  t.same(
    results.map(({ status }) => status),
    ['succeeded', 'errored', 'succeeded'],
  )
  t.match(await world.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
})

void t.test('a batch that a reply shows in another workspace is not given up', async t => {
  const keys = { 'key-a': 'wrkspc_a', 'key-b': 'wrkspc_b' }
  const world = await makeWorld(t, { keys, batchTimeMs: MINUTE })
  let creates = 0
  // A gateway that balances over two keys.
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const isOther = init?.method?.toUpperCase() === 'POST' && ++creates === 2
    const headers = new Headers(init?.headers)
    headers.set('authorization', `Bearer ${isOther ? 'key-b' : 'key-a'}`)
    return await world.emulator.fetch(url, { ...init, headers })
  }
  const client = world.client.withOptions({ fetch })
  const options = { client, aggregate: { batchSize: 2 } }
  const first = await world.open()
  await t.rejects(run(world, first, asks(4), options), { code: 'CBS_ACCESS' })
  const second = await reopened(world, first)
  await t.rejects(run(world, second, asks(4), options), {
    code: 'CBS_ACCESS',
    message: /batch 2 was sent to workspace wrkspc_b, and wrkspc_a does not have it/,
  })
  t.equal(second.batch(2).phase, 'submitted')
  t.match(await world.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

for (const status of [500, 404])
  void t.test(
    `a clock that was days off and one failed download (${status}) cost nothing`,
    async t => {
      const world = await makeWorld(t, {
        batchTimeMs: MINUTE,
        faults: [
          { on: 'create', nth: 1, when: 'after', reset: true },
          { on: 'results', nth: [1, 2, 3], status },
        ],
      })
      world.clock.jump(-9 * DAY)
      const job = await world.open()
      const stop = new AbortController()
      job.on('event', ({ type }) => type === 'armed' && setImmediate(() => stop.abort()))
      await t.rejects(run(world, job, asks(3), { signal: stop.signal }), { name: 'AbortError' })
      await job.close()
      world.clock.jump(9 * DAY)
      await found(world, world.client)
    },
  )

void t.test('a candidate that the list no longer reaches is retrieved', async t => {
  const faults = [{ on: 'create', nth: 1, when: 'before', reset: true }] as const
  const world = await makeWorld(t, { faults, batchTimeMs: MINUTE })
  const id = await world.emulator.addForeign({ requests: 3, createdAgoMs: 4 * DAY })
  await world.emulator.addForeign({ requests: 9, createdAgoMs: 3.5 * DAY })
  // With pages of one batch, the search stops before the older one.
  const fetch: typeof globalThis.fetch = async (url, init) =>
    await world.emulator.fetch(String(url).replace(/limit=\d+/, 'limit=1'), init)
  const job = await world.open()
  job.on('event', event => {
    if (event.type === 'armed') void job.note({ type: 'candidate', number: event.number, id }, true)
  })
  const results = await run(world, job, asks(3), { client: world.client.withOptions({ fetch }) })
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 3)
  t.equal((await world.emulator.ledger.totals()).accepted, 3)
})

for (const at of ['armed', 'submitted', 'ended'] as const)
  void t.test(`another base URL does not show that a batch is missing that was ${at}`, async t => {
    const other = await makeWorld(t)
    const client = other.client.withOptions({ baseURL: 'http://gateway.test' })
    const world = await makeWorld(t, at === 'armed' ? LOST : { batchTimeMs: MINUTE })
    const stop = new AbortController()
    const first = await world.open()
    first.on('event', ({ type }) => type === at && setImmediate(() => stop.abort()))
    await t.rejects(run(world, first, asks(3), { signal: stop.signal }), { name: 'AbortError' })
    await first.close()
    const second = await world.open()
    t.equal(second.batch(1).phase, at)
    await t.rejects(run(world, second, asks(3), { client }), {
      code: 'CBS_ACCESS',
      message:
        /batch 1 was sent to http:\/\/127\.0\.0\.1:0, and http:\/\/gateway\.test does not have it: use the settings that it was sent with/,
    })
    t.match(await other.emulator.ledger.totals(), { accepted: 0 })
    await second.close()
    await found(world, world.client)
  })

void t.test('nor are the answers that are missing asked for again at another base URL', async t => {
  const other = await makeWorld(t)
  const client = other.client.withOptions({ baseURL: 'http://gateway.test' })
  const world = await makeWorld(t, { faults: [{ on: 'results', lines: { drop: [1] } }] })
  const job = await world.open()
  t.equal((await run(world, job, asks(3))).length, 3)
  const unanswered = new OrdinalSet()
  unanswered.add(1)
  const { signal } = new AbortController()
  await t.rejects(completeResults(job, unanswered, { client, signal }), {
    code: 'CBS_ACCESS',
    message: /and http:\/\/gateway\.test does not have it: use the settings that it was sent with/,
  })
  const again = await reopened(world, job)
  t.equal(await completeResults(again, unanswered, { client, adopt: ['none'], signal }), 0)
})

void t.test('the user may know that the base URL is another one of the same API', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', when: 'before', reset: true, times: 1 }],
  })
  const stop = new AbortController()
  const first = await world.open()
  first.on('event', ({ type }) => type === 'armed' && setImmediate(() => stop.abort()))
  await t.rejects(run(world, first, asks(3), { signal: stop.signal }), { name: 'AbortError' })
  const client = world.client.withOptions({ baseURL: 'http://gateway.test' })
  const second = await reopened(world, first)
  await t.rejects(run(world, second, asks(3), { client }), { code: 'CBS_ACCESS' })
  const third = await reopened(world, second)
  const adopt = ['none']
  const results = await run(world, third, asks(3), { client, submit: { adopt } })
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 3)
  t.match(await world.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
})
