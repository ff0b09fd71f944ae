import { Readable } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { each, from } from '../../../lib/core/chain.ts'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { asks, journalOf, makeWorld, run } from '../../support/world.ts'

/** The events of batch 1, in their order. */
function story(folder: string): string[] {
  return journalOf(folder).flatMap(event =>
    'number' in event && event.number === 1 ? [event.type] : [],
  )
}

void t.test('R04: a run that is stopped waits for the reply to a complete create', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: 60_000,
    faults: [{ on: 'create', nth: 1, when: 'after', stallMs: 3000 }],
  })
  const job = await world.open()
  const stop = new AbortController()
  job.on('event', ({ type }) => type === 'armed' && setImmediate(() => stop.abort()))
  await t.rejects(run(world, job, asks(3), { signal: stop.signal }))
  await job.close()
  t.same(story(job.store.folder), ['sealed', 'armed', 'submitted'])
  const again = await world.open()
  t.equal((await run(world, again, asks(3))).length, 3)
  t.match(await world.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
  t.equal(world.clock.elapsed() < 10 * 60_000, true, 'nothing was searched for')
})

void t.test('R04: a stop waits 8 seconds at most, and the outcome stays unknown', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', nth: 1, when: 'after', stallMs: 20_000 }],
  })
  const job = await world.open()
  const stop = new AbortController()
  let stoppedAt = 0
  job.on('event', ({ type }) => {
    if (type !== 'armed') return
    setImmediate(() => {
      stoppedAt = world.clock.elapsed()
      stop.abort()
    })
  })
  await t.rejects(run(world, job, asks(3), { signal: stop.signal }))
  await job.close()
  const waited = world.clock.elapsed() - stoppedAt
  t.ok(waited >= 8000 && waited < 9000, `${waited} ms`)
  t.same(story(job.store.folder), ['sealed', 'armed'])
})

void t.test('R04: a batch that is armed without its last byte is disarmed by a stop', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const stop = new AbortController()
  const note = job.note.bind(job)
  job.note = async (event, durable) => {
    await note(event, durable)
    if (event.type !== 'armed') return
    stop.abort()
    await turn()
  }
  await t.rejects(run(world, job, asks(3), { signal: stop.signal }))
  await job.close()
  t.same(story(job.store.folder), ['sealed', 'armed', 'disarmed'])
  t.match(await world.emulator.ledger.totals(), { accepted: 0 })
})

void t.test('a stop from elsewhere ends the wait for a busy API', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', nth: [2, 3], status: 429, headers: { 'retry-after': '3000' } }],
  })
  const job = await world.open()
  const reason = new BatchStreamError('CBS_STOPPED', 'enough')
  await t.rejects(
    run(world, job, asks(6), {
      aggregate: { batchSize: 3 },
      submit: { onBusy: () => job.queue.stop(reason) },
    }),
    reason,
  )
  t.ok(world.clock.elapsed() < 60 * 60 * 1000)
  t.equal(job.batch(1).phase, 'fetched', 'what was sent is here')
  t.equal(job.batch(2).phase, 'sealed')
})

void t.test('an API that never answers a create stops submission', async t => {
  const world = await makeWorld(t, {
    faults: [{ on: 'create', times: 99, when: 'early', reset: true }],
  })
  const job = await world.open()
  await t.rejects(run(world, job, asks(3)), {
    code: 'CBS_API',
    message: /cannot submit batch 1/,
  })
  t.equal(job.batch(1).phase, 'sealed')
})

void t.test('the last stage fails only when all its rows have been read', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', nth: 2, status: 403 }] })
  const { client } = world
  const results = from(
    Readable.from(asks(80)),
    aggregate({ batchSize: 40, job: await world.open() }),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
    stage((result: Result) => result),
  )
  let rows = 0
  const all = async (): Promise<void> => {
    for await (const _ of each(results)) {
      rows += 1
      await turn()
    }
  }
  await t.rejects(all(), { code: 'CBS_ACCESS' })
  t.equal(rows, 40)
})

void t.test('a redirect after the last byte stops, and the next start finds the batch', async t => {
  const world = await makeWorld(t, {
    faults: [
      { on: 'create', nth: 1, when: 'after', status: 303, redirect: 'https://gw.example/login' },
    ],
  })
  const job = await world.open()
  await t.rejects(run(world, job, asks(3)), { code: 'CBS_API', message: /redirects/ })
  await job.close()
  t.same(story(job.store.folder), ['sealed', 'armed'])
  const again = await world.open()
  t.equal((await run(world, again, asks(3))).length, 3)
  t.match(await world.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
})
