import t from 'tap'
import type { StoredJob } from '../../lib/store/job.ts'
import type { RunEvent } from '../../lib/core/job/run-event.ts'
import type { Result } from '../../lib/core/results/result.ts'
import { answerCheck } from '../../lib/core/schema/answer-check.ts'
import { BatchStreamError } from '../../lib/core/errors.ts'
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

/** Runs twelve records in batches of four, with a canary of the first three. */
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
    submit: { approve: (batch, signal) => canary.approve(batch, signal) },
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

t.test('the first records are sent alone, and the rest once they are answered', async t => {
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
  'waiting for a canary that is never sent ends when something else stops the job',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    job.queue.isStopHandled = true
    const canary = new Canary({ job, records: 3 })
    const results = await run(world, job, asks(12), {
      aggregate: { batchSize: 4, canary: 3 },
      submit: {
        approve: async (batch, signal) => {
          if (batch.number === 1) return false
          const approved = canary.approve(batch, signal)
          job.queue.stop(new BatchStreamError('CBS_STOPPED', 'enough'))
          return await approved
        },
      },
    })
    t.same([results.length, canary.stopped, await accepted(world)], [0, undefined, []])
    await t.rejects(canary.approve({ number: 2 }, AbortSignal.abort(new Error('left'))), {
      message: 'left',
    })
  },
)

t.test('if none of them succeeds, nothing more is sent', async t => {
  const world = await makeWorld(t, FAILING)
  const job = await world.open()
  const { results, canary } = await sent(world, job)
  t.equal(results.length, 3, 'their rows come out')
  t.equal(canary.stopped, 'none of the first 3 records was answered (errored: no such)')
  t.same((await accepted(world)).length, 3)
})

t.test('one success is enough; a truncated answer is none', async t => {
  let asked = 0
  const respond = () => (asked++ === 0 ? '{"ok":true}' : FAILING.respond())
  const world = await makeWorld(t, { respond })
  const check = answerCheck({ type: 'object', required: ['ok'] })
  t.equal((await sent(world, await world.open(), { check })).canary.stopped, undefined)
  const wrong = await makeWorld(t, { respond: () => 'no JSON' })
  const { canary } = await sent(wrong, await wrong.open(), { check })
  t.match(canary.stopped, /^none of the first 3 records was answered \(invalid: /)
})

t.test(
  'a process that dies after any event sends nothing before the canary is answered',
  async t => {
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
  },
)

t.test('a process that dies finishes the job if the canary succeeds', async t => {
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

t.test('resuming after the warning is a choice', async t => {
  const world = await makeWorld(t, FAILING)
  const job = await world.open()
  await sent(world, job)
  await job.note({ type: 'warned', at: 0 }, true)
  await job.close()
  const again = await world.open()
  t.ok(again.state.warned)
  t.notOk(new Canary({ job: again, records: 3 }).isHolding)
  const { results, canary } = await sent(world, again)
  t.equal(results.length, 12)
  t.equal(canary.stopped, undefined)
})

t.test('a run that does not wait for answers sends only the canary', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const canary = new Canary({ job, records: 3, drains: false })
  const stop = new AbortController()
  const running = run(world, job, asks(12), {
    aggregate: { batchSize: 4, canary: 3 },
    // Nothing polls here, as in a detached run.
    awaitEnd: { poll: 2 ** 31 - 1 },
    submit: {
      approve: async (batch, signal) => {
        const isAdmitted = await canary.approve(batch, signal)
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

t.test('a canary that the API rejects as a whole succeeds in parts', async t => {
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

t.test('rejected records prove nothing', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const canary = new Canary({ job, records: 2 })
  const bad = { ...ask('x', 'not an id!') }
  const results = await run(world, job, [bad, bad, ask('a'), ask('b')], {
    aggregate: { batchSize: 4, canary: 2 },
    submit: { approve: (batch, signal) => canary.approve(batch, signal) },
  })
  t.equal(results.length, 2)
  t.match(canary.stopped, /none of the first 2 records was answered \(the API gave no line/)
})

t.test('a job that was started without a canary continues without one', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const canary = new Canary({ job, records: 2 })
  const results = await run(world, job, asks(8), {
    aggregate: { batchSize: 4 },
    submit: { approve: (batch, signal) => canary.approve(batch, signal) },
  })
  t.equal(results.length, 8)
})
