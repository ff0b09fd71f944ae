// What a run that is resumed does before it sends anything.
import t, { type Test } from 'tap'
import { each, from } from '../../../lib/core/chain.ts'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { inputOrder } from '../../../lib/stages/order/input-order.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import type { EmulatorOptions } from '../../../lib/emulator/index.ts'
import { asks, makeWorld, run, type RunOptions, type World } from '../../support/world.ts'

const SIZES: RunOptions = { aggregate: { batchSize: 2 }, submit: { concurrency: 9 } }
const HOUR = 3_600_000

/** A job of three batches: two are at the API, and the third was not sent. */
async function twoSent(
  t: Test,
  options: EmulatorOptions,
): Promise<{ world: World; job: StoredJob }> {
  const world = await makeWorld(t, options)
  const first = await world.open()
  const stop = new AbortController()
  first.on('event', event => {
    if (event.type === 'submitted' && event.number === 2) stop.abort()
  })
  const approve = async ({ number }: { number: number }): Promise<boolean> => number < 3
  const submit = { ...SIZES.submit, approve }
  await t.rejects(run(world, first, asks(6), { ...SIZES, submit, signal: stop.signal }))
  await first.close()
  return { world, job: await world.open() }
}

/** What happens to batches, in its order. */
function storyOf(job: StoredJob): string[] {
  const story: string[] = []
  job.on('event', event => {
    if (event.type === 'ended' || event.type === 'fetched' || event.type === 'armed')
      story.push(`${event.type} ${event.number}`)
  })
  return story
}

t.test('results of ended batches are fetched before anything is sent', async t => {
  const { world, job } = await twoSent(t, { batchTimeMs: 60_000 })
  await world.clock.sleep(HOUR)
  const story = storyOf(job)
  t.equal((await run(world, job, asks(6), SIZES)).length, 6)
  t.same(story.toSorted().slice(-2), ['fetched 2', 'fetched 3'])
  for (const before of ['fetched 1', 'fetched 2'])
    t.ok(story.indexOf(before) < story.indexOf('armed 3'), story.join())
  t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

t.test('batches in flight are not waited for', async t => {
  const batchTimeMs = ({ number }: { number: number }): number => (number === 1 ? HOUR : 60_000)
  const { world, job } = await twoSent(t, { batchTimeMs })
  await world.clock.sleep(HOUR / 2)
  const story = storyOf(job)
  t.equal((await run(world, job, asks(6), SIZES)).length, 6)
  t.ok(story.indexOf('fetched 2') < story.indexOf('armed 3'), story.join())
  t.ok(story.indexOf('armed 3') < story.indexOf('ended 1'), story.join())
})

t.test('batches that wait for their turn in input order are not waited for', async t => {
  const batchTimeMs = ({ number }: { number: number }): number => (number === 1 ? HOUR : 60_000)
  const { world, job } = await twoSent(t, { batchTimeMs })
  await world.clock.sleep(HOUR / 2)
  const story = storyOf(job)
  const results = await run(world, job, asks(6), { ...SIZES, order: inputOrder() })
  t.equal(results.length, 6)
  t.ok(story.indexOf('armed 3') < story.indexOf('ended 1'), story.join())
})

t.test('missing results do not block the others', async t => {
  const faults = [
    { on: 'results' as const, nth: Array.from({ length: 300 }, (_, i) => i + 1), status: 503 },
  ]
  const { world, job } = await twoSent(t, { batchTimeMs: 60_000, faults })
  await world.clock.sleep(HOUR)
  const story = storyOf(job)
  t.equal((await run(world, job, asks(6), SIZES)).length, 6)
  t.ok(story.indexOf('armed 3') < story.indexOf('fetched 1'), story.join())
})

t.test('a run that only sends waits for no results', async t => {
  const { world, job } = await twoSent(t, { batchTimeMs: 60_000 })
  await world.clock.sleep(HOUR)
  const story = storyOf(job)
  const { client } = world
  const sending = from(asks(6), aggregate({ job, batchSize: 2 }), submit({ client }))
  let sent = 0
  for await (const _ of each(sending)) sent += 1
  t.same([sent, story], [3, ['armed 3']])
})

t.test('an `approve` that fails ends the pipeline, and nothing is sent', async t => {
  const failing = [
    () => {
      throw new Error('no')
    },
    () => Promise.reject(new Error('no')),
  ]
  for (const approve of failing) {
    const world = await makeWorld(t)
    const job = await world.open()
    await t.rejects(run(world, job, asks(3), { submit: { approve } }), {
      code: 'CBS_STAGE',
      message: '`approve` failed: no',
    })
    t.match(await world.emulator.ledger.totals(), { accepted: 0 })
    await job.close()
  }
})
