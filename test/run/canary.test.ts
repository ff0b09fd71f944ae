import t from 'tap'
import type { StoredJob } from '../../lib/store/job.ts'
import type { RunEvent } from '../../lib/core/job/run-event.ts'
import type { Result } from '../../lib/core/results/result.ts'
import { answerCheck } from '../../lib/core/schema/answer-check.ts'
import { Canary, type CanaryOptions } from '../../lib/run/canary.ts'
import { ask, asks, deathsOf, makeWorld, run, type World } from '../support/world.ts'

const FAILING = {
  respond: () => ({ error: { type: 'invalid_request_error', message: 'no such' } }),
}

interface Ran {
  readonly results: readonly Result[]
  readonly canary: Canary
  readonly events: readonly RunEvent[]
}

/** Asks twelve records in batches of four, the first three of them alone. */
async function sent(
  world: World,
  job: StoredJob,
  options: Partial<CanaryOptions> = {},
): Promise<Ran> {
  const canary = new Canary({ job, records: 3, ...options })
  const events: RunEvent[] = []
  job.on('event', event => void events.push(event))
  const results = await run(world, job, asks(12), {
    aggregate: { batchSize: 4, canary: 3 },
    submit: { admit: (batch, signal) => canary.admit(batch, signal) },
  })
  return { results, canary, events }
}

/** The ordinals of all records that the API ever accepted. */
async function accepted(world: World): Promise<number[]> {
  const ordinals: number[] = []
  for await (const { custom_id } of world.emulator.ledger.requests())
    ordinals.push(parseInt(custom_id.split('-').at(-1) ?? '', 36))
  return ordinals
}

t.test('the first records go alone, and the rest when their answers are here', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const { results, events, canary } = await sent(world, job)
  t.equal(results.length, 12)
  t.equal(canary.stopped, undefined)
  const sizes = world.emulator.ledger.batches().map(({ requests }) => requests)
  t.equal(sizes[0], 3)
  const order = events.flatMap(event =>
    event.type === 'armed' || event.type === 'fetched' ? [`${event.type} ${event.number}`] : [],
  )
  t.same(order.slice(0, 3), ['armed 1', 'fetched 1', 'armed 2'])
})

t.test(
  'who waits for a canary that is never sent is told when something else stops the job',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    const canary = new Canary({ job, records: 3 })
    const results = await run(world, job, asks(12), {
      aggregate: { batchSize: 4, canary: 3 },
      submit: {
        admit: async (batch, signal) => {
          if (batch.number === 1) return false
          const admitted = canary.admit(batch, signal)
          canary.giveUp()
          return await admitted
        },
      },
    })
    t.same([results.length, canary.stopped, await accepted(world)], [0, undefined, []])
    await t.rejects(canary.admit({ number: 2 }, AbortSignal.abort(new Error('left'))), {
      message: 'left',
    })
  },
)

t.test('when none of them is answered nothing more is sent', async t => {
  const world = await makeWorld(t, FAILING)
  const job = await world.open()
  const { results, canary } = await sent(world, job)
  t.equal(results.length, 3, 'their rows come out')
  t.equal(canary.stopped, 'none of the first 3 records was answered (errored: no such)')
  t.same((await accepted(world)).length, 3)
})

t.test('one good answer is enough; a broken one is none', async t => {
  let asked = 0
  const respond = () => (asked++ === 0 ? '{"ok":true}' : FAILING.respond())
  const world = await makeWorld(t, { respond })
  const check = answerCheck({ type: 'object', required: ['ok'] })
  t.equal((await sent(world, await world.open(), { check })).canary.stopped, undefined)
  const wrong = await makeWorld(t, { respond: () => 'no JSON' })
  const { canary } = await sent(wrong, await wrong.open(), { check })
  t.match(canary.stopped, /^none of the first 3 records was answered \(invalid: /)
})

t.test('a process that dies after any event sends nothing before the canary is here', async t => {
  const world = await makeWorld(t, FAILING)
  const job = await world.open()
  const deaths = deathsOf(job, world.dir, () => true)
  await sent(world, job)
  await job.close()
  t.ok(deaths.length >= 6, `${deaths.length} deaths`)
  for (const [at, dir] of deaths.entries()) {
    const again = await world.open({ dir })
    const { canary } = await sent(world, again)
    t.ok(canary.stopped, `death ${at}`)
    await again.close()
  }
  t.ok(
    (await accepted(world)).every(ordinal => ordinal < 3),
    'no record of the rest was ever accepted',
  )
})

t.test('a process that dies goes on to the end where the canary is fine', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const deaths = deathsOf(job, world.dir, ({ type }) =>
    ['sealed', 'armed', 'submitted', 'fetched'].includes(type),
  )
  await sent(world, job)
  await job.close()
  for (const [at, dir] of deaths.entries()) {
    const again = await world.open({ dir })
    const before = new Set([...again.state.batches.values()].map(({ phase }) => phase))
    const { results, events } = await sent(world, again)
    t.equal(results.length, 12, `death ${at}`)
    const isFirst = (event: RunEvent, type: string): boolean =>
      event.type === type && 'number' in event && event.number === 1
    const fetched = events.findIndex(event => isFirst(event, 'fetched'))
    const armed = events.findIndex(event => event.type === 'armed' && event.number > 1)
    if (!before.has('fetched') && armed >= 0) t.ok(fetched >= 0 && fetched < armed, `death ${at}`)
    await again.close()
  }
})

t.test('who was told and goes on has chosen to', async t => {
  const world = await makeWorld(t, FAILING)
  const job = await world.open()
  await sent(world, job)
  await job.note({ type: 'warned', at: 0 }, true)
  await job.close()
  const again = await world.open()
  t.ok(again.state.warned)
  const { results, canary } = await sent(world, again)
  t.equal(results.length, 12)
  t.equal(canary.stopped, undefined)
})

t.test('a run that does not wait for answers sends the canary alone', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const canary = new Canary({ job, records: 3, drains: false })
  const stop = new AbortController()
  const running = run(world, job, asks(12), {
    aggregate: { batchSize: 4, canary: 3 },
    // Nothing is looked at here, as nothing is when a run detaches.
    awaitEnd: { poll: 2 ** 31 - 1 },
    submit: {
      admit: async (batch, signal) => {
        const isAdmitted = await canary.admit(batch, signal)
        if (!isAdmitted) stop.abort()
        return isAdmitted
      },
    },
    signal: stop.signal,
  })
  await t.rejects(running, { name: 'AbortError' })
  t.ok(canary.isHeld)
  t.same((await accepted(world)).length, 3)
})

t.test('a canary that the API will not take whole is one in its parts', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', nth: 1, status: 413 }] })
  const job = await world.open()
  const deaths = deathsOf(job, world.dir, ({ type }) => type === 'split')
  const { results } = await sent(world, job)
  t.equal(results.length, 12)
  t.same(
    world.emulator.ledger
      .batches()
      .map(({ requests }) => requests)
      .slice(0, 2),
    [2, 1],
  )
  await job.close()
  const again = await world.open({ dir: deaths[0] ?? '' })
  t.equal((await sent(world, again)).results.length, 12, 'also in another process')
})

t.test('records that cannot be asked prove nothing', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const canary = new Canary({ job, records: 2 })
  const bad = { ...ask('x', 'not an id!') }
  const results = await run(world, job, [bad, bad, ask('a'), ask('b')], {
    aggregate: { batchSize: 4, canary: 2 },
    submit: { admit: (batch, signal) => canary.admit(batch, signal) },
  })
  t.equal(results.length, 2)
  t.match(canary.stopped, /none of the first 2 records was answered \(the API gave no line/)
})

t.test('a job that began without a canary goes on without one', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const canary = new Canary({ job, records: 2 })
  const results = await run(world, job, asks(8), {
    aggregate: { batchSize: 4 },
    submit: { admit: (batch, signal) => canary.admit(batch, signal) },
  })
  t.equal(results.length, 8)
})
