// `adopt: none` counts for batches that an earlier run has named, and for no others.
import t from 'tap'
import type { EmulatorOptions } from '../../../lib/emulator/index.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import {
  asks,
  journalOf,
  makeWorld,
  run,
  said,
  type RunOptions,
  type World,
} from '../../support/world.ts'

type Faults = Extract<EmulatorOptions['faults'], (...args: never[]) => unknown>

const NONE = { adopt: ['none'] }
const NO_LIST = { status: 404, body: 'Not Found', contentType: 'text/plain' }
const STUB = {
  body: '{"data":[],"has_more":false,"first_id":null,"last_id":null}',
  contentType: 'application/json',
}
const LOST = { when: 'before', status: 502 } as const

async function worldOf(t: Parameters<typeof makeWorld>[0], faults: Faults): Promise<World> {
  return await makeWorld(t, { batchTimeMs: 1000, faults })
}

/** Runs the job in a process of its own. */
async function once(
  world: World,
  count: number,
  options: RunOptions,
): Promise<{ rows: string[]; error: unknown; job: StoredJob }> {
  const job = await world.open()
  let error: unknown
  let rows: string[] = []
  try {
    rows = said(await run(world, job, asks(count), options))
  } catch (cause) {
    error = cause
  }
  await job.close()
  return { rows, error, job }
}

for (const [name, list] of [
  ['has no list', NO_LIST],
  ['refuses its list', { status: 403, body: 'Forbidden', contentType: 'text/plain' }],
  ['has a stub of a list', STUB],
] as const)
  void t.test(`a job whose first create is lost ends at a gateway that ${name}`, async t => {
    const world = await worldOf(t, ({ op, nth }) => {
      if (op === 'list') return list
      return op === 'create' && nth === 2 ? LOST : undefined
    })
    const options = { aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
    const { error } = await once(world, 5, options)
    t.match(error, { name: 'BatchStreamError', message: /`adopt`: none/ })
    const decided = { ...options, submit: { ...options.submit, ...NONE } }
    const ended = await once(world, 5, decided)
    t.same([ended.error, ended.rows.length], [undefined, 5])
    t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
  })

void t.test('so does one whose first call is lost', async t => {
  const world = await worldOf(t, ({ op, nth }) => {
    if (op === 'list') return { status: 501 }
    return op === 'create' && nth === 1 ? LOST : undefined
  })
  t.match((await once(world, 2, {})).error, {
    code: 'CBS_API',
    message: /`adopt`: none sends it again$/,
  })
  const { rows, error } = await once(world, 2, { submit: NONE })
  t.same([error, rows.length], [undefined, 2])
  t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
})

void t.test(
  'a batch that the user names is adopted without a list, once its results show it',
  async t => {
    const world = await worldOf(t, ({ op, nth }) => {
      if (op === 'list') return NO_LIST
      return op === 'create' && nth === 1 ? { when: 'after', status: 504 } : undefined
    })
    t.match((await once(world, 2, {})).error, { message: /the API may have batch 1/ })
    const [mine] = world.emulator.ledger.batches()
    const [small, other] = await Promise.all(
      [3, 2].map(requests => world.emulator.addForeign({ requests })),
    )
    const running = await world.emulator.addForeign({ requests: 9, batchTimeMs: 'forever' })
    for (const [id, why] of [
      [small, 'its results do not show that it is batch 1'],
      [other, 'its results do not show that it is batch 1'],
      [running, 'its results do not show that it is batch 1'],
      ['msgbatch_unknown', 'the API does not know it'],
    ] as const)
      t.match((await once(world, 2, { submit: { adopt: [`${id}`] } })).error, {
        code: 'CBS_OPTION',
        message: `\`adopt\` has ${id}, but ${why}`,
        option: 'adopt',
      })
    const owned = {
      submit: { adopt: [`${mine?.id}`], ownedElsewhere: async () => new Set([`${mine?.id}`]) },
    }
    t.match((await once(world, 2, owned)).error, { message: /the API may have batch 1/ })
    const { rows, error } = await once(world, 2, { submit: { adopt: [`${mine?.id}`] } })
    t.same([error, rows.length], [undefined, 2])
    t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
  },
)

void t.test('a candidate that the list has shown before is adopted by its id, too', async t => {
  let isThere = true
  const world = await makeWorld(t, {
    batchTimeMs: 3_600_000,
    faults: ({ op, nth }) => {
      if (op === 'list' && !isThere) return NO_LIST
      return op === 'create' && nth === 1 ? { when: 'after', status: 504 } : undefined
    },
  })
  const job = await world.open()
  const stop = new AbortController()
  job.on('event', ({ type }) => type === 'candidate' && setImmediate(() => stop.abort()))
  await t.rejects(run(world, job, asks(2), { signal: stop.signal }), { name: 'AbortError' })
  await job.close()
  isThere = false
  t.match((await once(world, 2, {})).error, { message: /the API may have batch 1/ })
  const [mine] = world.emulator.ledger.batches()
  const { rows, error } = await once(world, 2, { submit: { adopt: [`${mine?.id}`] } })
  t.same([error, rows.length], [undefined, 2])
  t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
})

void t.test('so are two batches that are candidates of each other', async t => {
  let isThere = true
  const world = await makeWorld(t, {
    batchTimeMs: 3_600_000,
    faults: ({ op, nth }) => {
      if (op === 'list' && !isThere) return NO_LIST
      return op === 'create' && nth <= 2 ? { when: 'after', status: 504 } : undefined
    },
  })
  const job = await world.open()
  const stop = new AbortController()
  job.on('event', () => {
    const counts = [...job.state.batches.values()].map(one => Object.keys(one.candidates).length)
    if (counts.reduce((sum, one) => sum + one, 0) === 3) setImmediate(() => stop.abort())
  })
  const options = { aggregate: { batchSize: 3 } }
  await t.rejects(run(world, job, asks(5), { ...options, signal: stop.signal }), {
    name: 'AbortError',
  })
  await job.close()
  isThere = false
  const adopt = world.emulator.ledger.batches().map(({ id }) => id)
  const { rows, error } = await once(world, 5, { ...options, submit: { adopt } })
  t.same([error, rows.length], [undefined, 5])
  t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
})

void t.test('a named batch that cannot be read keeps its batch from being sent', async t => {
  const world = await makeWorld(t, {
    faults: ({ op, nth }) => {
      if (op === 'list') return NO_LIST
      if (op === 'results') return { body: 'no', contentType: 'text/plain' }
      return op === 'create' && nth === 1 ? { when: 'after', status: 504 } : undefined
    },
  })
  await once(world, 2, {})
  const [mine] = world.emulator.ledger.batches()
  t.match((await once(world, 2, { submit: { adopt: [`${mine?.id}`] } })).error, {
    code: 'CBS_OPTION',
    message: /its results cannot be read/,
  })
  t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
})

void t.test('of two lost batches, each is found under the id that the user names', async t => {
  let creates = 0
  const world = await worldOf(t, ({ op, nth }) => {
    if (op === 'create') return (creates = nth) <= 2 ? { when: 'after', status: 504 } : undefined
    if (op !== 'list') return undefined
    return creates < 2 ? { status: 500 } : NO_LIST
  })
  const options = { aggregate: { batchSize: 3 } }
  await once(world, 5, options)
  const adopt = world.emulator.ledger.batches().map(({ id }) => id)
  const { rows, error } = await once(world, 5, {
    ...options,
    submit: { adopt: adopt.toReversed() },
  })
  t.same([error, rows.length], [undefined, 5])
  t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
})

void t.test('a create that is lost later is not decided', async t => {
  const world = await worldOf(t, ({ op, nth }) => {
    if (op === 'list') return NO_LIST
    if (op !== 'create') return undefined
    // The second batch is not accepted. While it is searched for, the third one is sent.
    return nth === 2 ? LOST : nth === 3 ? { when: 'after', status: 504 } : undefined
  })
  const options = { aggregate: { batchSize: 2 }, submit: { concurrency: 1 } }
  const decided = { ...options, submit: { ...options.submit, ...NONE } }
  t.match((await once(world, 6, options)).error, { message: /the API may have batch 2/ })
  t.match((await once(world, 6, decided)).error, {
    message:
      /the API may have batch 3, .*; this run's `adopt`: none did not count for this create, which no earlier run had named$/,
  })
  t.match(await world.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

void t.test('the error names all batches that need a decision', async t => {
  let creates = 0
  const world = await worldOf(t, ({ op, nth }) => {
    if (op === 'create') return (creates = nth) <= 2 ? LOST : undefined
    if (op !== 'list') return undefined
    return creates < 2 ? { status: 500 } : NO_LIST
  })
  const options = { aggregate: { batchSize: 3 } }
  t.match((await once(world, 5, options)).error, {
    message: /the API may have batch (?:1|2), .*; the same holds for batch (?:1|2)$/,
  })
  const { rows, error } = await once(world, 5, { ...options, submit: NONE })
  t.same([error, rows.length], [undefined, 5])
  t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
})

void t.test('of two batches, the one that the error names is decided', async t => {
  const world = await worldOf(t, ({ op, nth }) => {
    if (op === 'list') return NO_LIST
    if (op !== 'create') return undefined
    return nth === 1 ? LOST : nth === 2 ? { when: 'after', status: 504 } : undefined
  })
  const options = { aggregate: { batchSize: 3 } }
  const decided = { ...options, submit: NONE }
  const first = await once(world, 5, options)
  t.match(first.error, { message: /the API may have batch 1/ })
  const asked = journalOf(first.job.store.folder).filter(({ type }) => type === 'asked')
  t.same(asked, [{ type: 'asked', number: 1 }])
  t.match((await once(world, 5, decided)).error, {
    message: /the API may have batch 2, .* did not count for this create/,
  })
  t.match(await world.emulator.ledger.totals(), { accepted: 5, acceptedTwice: 0 })
})

void t.test('a list whose end cannot be proven shows the batches that it has', async t => {
  for (const status of [400, 500]) {
    const world = await worldOf(t, ({ op, nth }) => {
      if (op === 'create') return nth === 1 ? { when: 'after', status: 504 } : undefined
      // Each look reads the newest page, and what follows its last entry.
      return op === 'list' && isPastEnd ? { status } : undefined
    })
    let isPastEnd = false
    const fetch: typeof globalThis.fetch = async (url, init) => {
      isPastEnd = String(url).includes('after_id')
      return await world.emulator.fetch(url, init)
    }
    const { rows, error } = await once(world, 2, { client: world.client.withOptions({ fetch }) })
    t.same([error, rows.length], [undefined, 2])
    t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
  }
})

void t.test('a candidate that the reply to a create has named needs no list', async t => {
  const world = await worldOf(t, ({ op }) => (op === 'list' ? NO_LIST : undefined))
  // A gateway whose batches have other counts, so that the reply does not show whose it is.
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    const text = (await response.text()).replace('"processing":2', '"processing":1')
    return new Response(text, response)
  }
  const client = world.client.withOptions({ fetch })
  const { rows, error } = await once(world, 4, { client, aggregate: { batchSize: 2 } })
  t.same([error, rows.length], [undefined, 4])
  t.match(await world.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

void t.test(
  'a candidate that the API does not know is no reason to wait after a decision',
  async t => {
    const world = await worldOf(t, ({ op, nth }) => {
      if (op === 'list') return NO_LIST
      return op === 'create' && nth === 1 ? LOST : undefined
    })
    const job = await world.open()
    job.on('event', event => {
      if (event.type !== 'armed') return
      void job.note({ type: 'candidate', number: event.number, id: 'msgbatch_unknown' }, true)
    })
    const settle = { submit: { settle: 0 } }
    t.match(await run(world, job, asks(2), settle).catch(cause => cause), {
      code: 'CBS_API',
      message: /`adopt`: none/,
    })
    await job.close()
    const { rows, error } = await once(world, 2, { submit: { ...settle.submit, ...NONE } })
    t.same([error, rows.length], [undefined, 2])
    t.match(await world.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
  },
)

void t.test('a candidate of another job does not show what a list would', async t => {
  const world = await worldOf(t, ({ op, nth }) => {
    if (op === 'list') return NO_LIST
    return op === 'create' && nth === 2 ? LOST : undefined
  })
  const id = await world.emulator.addForeign({ requests: 2 })
  const job = await world.open()
  job.on('event', event => {
    if (event.type !== 'armed' || event.number !== 2) return
    void job.note({ type: 'candidate', number: 2, id }, true)
  })
  await t.rejects(
    run(world, job, asks(4), { aggregate: { batchSize: 2 }, submit: { settle: 0 } }),
    {
      code: 'CBS_API',
      message: /the API may have batch 2/,
    },
  )
  t.match(await world.emulator.ledger.totals(), { accepted: 2 })
})
