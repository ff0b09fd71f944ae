import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate } from '../../lib/stages/aggregate/aggregate.ts'
import type { StoredJob } from '../../lib/store/job.ts'
import type { Cap } from '../../lib/run/cap.ts'
import { capOf, spentOnBatch, worstOfBatch } from '../../lib/run/capped-job.ts'
import { costOf } from '../../lib/cost/cost.ts'
import { CostLedger } from '../../lib/cost/ledger.ts'
import { listPrice } from '../../lib/cost/price.ts'
import { worstOf } from '../../lib/cost/worst.ts'
import type { Result } from '../../lib/core/results/result.ts'
import {
  ask,
  asks,
  callsOf,
  clientOf,
  deathsOf,
  makeWorld,
  run,
  type World,
} from '../support/world.ts'

/** Answers of maximum length, so that the spending is close to the worst case. */
const LONG = { respond: (): string => 'x'.repeat(256) }

/** Runs a job with a cap until it stops, and returns its results. */
async function capped(
  world: World,
  job: StoredJob,
  cap: Cap,
  requests = asks(12),
): Promise<Result[]> {
  const approve: Cap['approve'] = (batch, signal) => cap.approve(batch, signal)
  return await run(world, job, requests, { aggregate: { batchSize: 3 }, submit: { approve } })
}

/** The amount that the API billed for these results. */
function billed(results: readonly Result[]): bigint {
  const ledger = new CostLedger(listPrice)
  for (const result of results) ledger.add(result)
  return ledger.spent ?? -1n
}

/** The worst case of one request of these tests. */
function worstOne(): bigint {
  const { params } = ask('question 10')
  return worstOf(params, JSON.stringify(params), listPrice) as bigint
}

t.test('below a sufficient cap everything is sent', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const cap = capOf(job, 12n * worstOne(), listPrice)
  t.equal((await capped(world, job, cap)).length, 12)
  t.equal(cap.stopped, undefined)
})

t.test('the cap holds to the end, and all paid answers are in the output', async t => {
  const world = await makeWorld(t, LONG)
  const job = await world.open()
  const most = 6n * worstOne()
  const cap = capOf(job, most, listPrice)
  const results = await capped(world, job, cap)
  t.ok(cap.stopped)
  t.ok(results.length >= 5 && results.length < 12, `${results.length} rows`)
  t.ok(billed(results) <= most)
  t.ok(billed(results) + 3n * worstOne() > most, 'one more batch would not have fitted')
  t.equal((await world.emulator.ledger.totals()).accepted, results.length)
})

t.test('with a higher cap the same job finishes, and nothing is sent twice', async t => {
  const world = await makeWorld(t, LONG)
  const first = await world.open()
  const cap = capOf(first, 6n * worstOne(), listPrice)
  const before = await capped(world, first, cap)
  await first.close()
  const job = await world.open()
  const results = await capped(world, job, capOf(job, 100n * worstOne(), listPrice))
  t.ok(results.length === 12 && before.length < 12)
  t.match(await world.emulator.ledger.totals(), { accepted: 12, acceptedTwice: 0 })
})

t.test('a process that dies after any event leaves a journal that keeps the cap', async t => {
  const world = await makeWorld(t, LONG)
  const most = 7n * worstOne()
  const job = await world.open()
  const deaths = deathsOf(job, world.dir, ({ type }) =>
    ['reserved', 'armed', 'fetched'].includes(type),
  )
  await capped(world, job, capOf(job, most, listPrice))
  await job.close()
  t.ok(deaths.length >= 6)
  for (const [at, dir] of deaths.entries()) {
    const again = await world.open({ dir })
    const cap = capOf(again, most, listPrice)
    const results = await capped(world, again, cap)
    t.ok(billed(results) <= most, `death ${at}`)
    t.ok(cap.stopped, `death ${at} stops where the first run did, or later`)
    await again.close()
  }
})

t.test(
  'the worst case of a batch is the sum of its requests, whatever the JSON around them',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    const tricky = [ask('"params": {"max_tokens": 1}', 'own-id'), ask('{"params":1}')]
    await seal(job, tricky)
    const expected = tricky.map(
      ({ params }) => worstOf(params, JSON.stringify(params), listPrice) as bigint,
    )
    t.equal(await worstOfBatch(job, 1, listPrice), (expected[0] ?? 0n) + (expected[1] ?? 0n))
  },
)

t.test('one request without a price leaves the whole batch without a bound', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const strange = { params: { ...ask('a').params, model: 'claude-mythos-preview' as const } }
  await seal(job, [ask('b'), strange])
  t.match(await worstOfBatch(job, 1, listPrice), {
    why: /^price unknown for claude-mythos-preview/,
  })
})

t.test('the bill of a fetched batch is computed from its results', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const results = await run(world, job, asks(5))
  const sum = results.reduce(
    (sum, { usage, model }) => sum + (costOf(usage ?? {}, model ?? '', listPrice) ?? 0n),
    0n,
  )
  t.ok(sum > 0n)
  t.equal(await spentOnBatch(job, 1, listPrice), sum)
})

/** What a gateway may send in place of an answer's usage. */
const UNUSABLE = [
  undefined,
  'null',
  '{}',
  '[]',
  '"many"',
  '{"input_tokens":"10","output_tokens":"5"}',
  '{"input_tokens":10}',
  '{"input_tokens":-10,"output_tokens":5}',
  '{"input_tokens":1.5,"output_tokens":5}',
  '{"input_tokens":9007199254740993,"output_tokens":1e300}',
  '{"input_tokens":10,"output_tokens":1e999}',
  '{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":-1000000000}',
]

for (const usage of UNUSABLE) {
  t.test(`the cap holds for answers with the usage ${usage}`, async t => {
    const world = await makeWorld(t)
    const member = usage === undefined ? '' : `"usage":${usage}`
    const client = clientWith(world, line =>
      line.replace(/"usage":\{(?:[^{}]|\{[^}]*\})*\}/, member).replace(/,(?=\})|(?<=\{),/g, ''),
    )
    const job = await world.open()
    const cap = capOf(job, 6n * worstOne(), listPrice)
    const results = await capped({ ...world, client }, job, cap)
    t.ok(cap.stopped)
    t.equal(results.length, 6)
    t.equal((await world.emulator.ledger.totals()).accepted, 6)
    t.equal(await spentOnBatch(job, 1, listPrice), undefined)
    for (const result of results) t.match(result, { status: 'succeeded', cost: null })
  })
}

t.test('the cap holds for answers that name a model of another price', async t => {
  const world = await makeWorld(t, LONG)
  const client = clientWith(world, line => line.replace('claude-haiku-5-5', 'claude-haiku-4-5'))
  const job = await world.open()
  const cap = capOf(job, 6n * worstOne(), listPrice)
  const results = await capped({ ...world, client }, job, cap)
  t.ok(cap.stopped)
  const spent = async (...models: string[]): Promise<unknown> =>
    await spentOnBatch(job, 1, listPrice, new Set(models))
  for (const model of ['claude-haiku-5-5', 'no-such-model']) t.equal(await spent(model), undefined)
  t.type(await spent('claude-haiku-5-5', 'claude-haiku-4-5'), 'bigint')
  t.equal(results.length, 6)
  t.equal((await world.emulator.ledger.totals()).accepted, 6)
})

/** A client whose result sets have changed lines. */
function clientWith(world: World, change: (line: string) => string): World['client'] {
  const { emulator } = world
  const fetch: typeof emulator.fetch = async (input, init) => {
    const response = await emulator.fetch(input, init)
    if (!String(input).endsWith('/results')) return response
    return new Response((await response.text()).replaceAll(/.+/g, change))
  }
  return clientOf({ ...emulator, url: emulator.url, fetch })
}

t.test('a batch that is too large for the API is split, and its parts keep the cap', async t => {
  const world = await makeWorld(t, { faults: [{ on: 'create', nth: 1, status: 413 }] })
  const job = await world.open()
  const most = 6n * worstOne()
  const results = await capped(world, job, capOf(job, most, listPrice), asks(3))
  t.equal(results.length, 3)
  t.ok(callsOf(world.emulator, 'create')[413])
})

async function seal(job: StoredJob, requests: readonly ReturnType<typeof ask>[]): Promise<void> {
  await pipeline(
    Readable.from(requests),
    aggregate({ job }),
    async function (batches: AsyncIterable<unknown>) {
      for await (const _ of batches);
    },
  )
}
