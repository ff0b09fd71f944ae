import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import { chain, each, from } from '../../../lib/core/chain.ts'
import { echo } from '../../../lib/emulator/index.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { inputOrder } from '../../../lib/stages/order/input-order.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { records } from '../../support/jobs.ts'
import { ask, makeWorld, said, type World } from '../../support/world.ts'
import type { BatchRequest, SourceRecord } from '../../../lib/core/flow.ts'
import { aggregated, gathered } from './dedupe.ts'

/** Asks texts, each once, and gives the results in the order of the records. */
async function askOnce(
  { client }: World,
  job: StoredJob,
  texts: readonly string[],
  signal: AbortSignal = new AbortController().signal,
): Promise<Result[]> {
  const results: Result[] = []
  await pipeline(
    Readable.from(texts.map(text => ask(text))),
    aggregate({ job, batchSize: 3, dedupe: true }),
    submit({ client }),
    chain(awaitEnd({ client, job }), inputOrder()),
    fetchResults({ client, job }),
    async function (stream: AsyncIterable<Result>) {
      for await (const result of stream) results.push(result)
    },
    { signal },
  )
  return results
}

const TEXTS = [...'abcadbcaeebdf']
const ROWS = TEXTS.map((text, i) => `${i}: succeeded ${echo(text)}`)
const DISTINCT = new Set(TEXTS).size

void t.test('every repeat gets the answer of the first record', async t => {
  const world = await makeWorld(t)
  const results = await askOnce(world, await world.open(), TEXTS)
  t.same(said(results), ROWS)
  t.same(
    results.filter(({ repeat }) => !repeat).map(({ record }) => record?.ordinal),
    [0, 1, 2, 4, 8, 12],
  )
  for (const { repeat, usage } of results) t.equal(usage === null, repeat)
  t.match(await world.emulator.ledger.totals(), { accepted: DISTINCT, acceptedTwice: 0 })
})

void t.test('a run that dies anywhere sends nothing twice when it resumes', async t => {
  let died = true
  for (let after = 1; died; after++) {
    const world = await makeWorld(t)
    const first = await world.open()
    const death = new AbortController()
    let events = 0
    first.on('event', () => {
      if (++events === after) death.abort()
    })
    died = await askOnce(world, first, TEXTS, death.signal).then(
      () => false,
      () => true,
    )
    await first.close()
    const again = await world.open()
    t.same(said(await askOnce(world, again, TEXTS)), ROWS, `after event ${after}`)
    t.match(await world.emulator.ledger.totals(), { accepted: DISTINCT, acceptedTwice: 0 })
    await again.close()
  }
})

void t.test('a batch is full by its records, however few requests it sends', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const batches = await aggregated(job, ['a', ...Array.from({ length: 100_001 }, () => 'a')])
  t.same(
    batches.map(({ records, requests }) => [records, requests]),
    [
      [100_000, 1],
      [2, 0],
    ],
  )
})

void t.test(
  'a batch of many requests finds every repeat, however much the table grows',
  async t => {
    const world = await makeWorld(t)
    const job = await world.open()
    const repeating = stage((record: SourceRecord): BatchRequest => ({
      ...ask(`text ${Number(record.fields['n']) % 300}`),
      record,
    }))
    const stages = chain(spool({ job }), repeating, aggregate({ job, dedupe: true }))
    const seen: unknown[] = []
    for await (const batch of each(from(Readable.from(records(600)), stages)))
      seen.push([batch.records, batch.requests])
    t.same(seen, [[600, 300]])
  },
)

void t.test('answers of many batches are found', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const texts = Array.from({ length: 36 }, (_, i) => `text ${i}`)
  const rows = [...texts, ...texts].map((text, i) => `${i}: succeeded ${echo(text)}`)
  t.same(said(await askOnce(world, job, [...texts, ...texts])), rows)
})

void t.test('a request without params is rejected, and repeats nothing', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const none: unknown = { params: undefined }
  // What a script without types may give.
  const batches = await gathered(job, [none, none] as BatchRequest[])
  t.match(batches, [{ records: 2, requests: 0 }])
})

void t.test('without inputOrder the pipeline ends with the reason', async t => {
  const world = await makeWorld(t, { batchTimeMs: ({ number }) => (number === 1 ? 60_000 : 1000) })
  const { client } = world
  const job = await world.open()
  const run = pipeline(
    Readable.from([...'abca'].map(text => ask(text))),
    aggregate({ job, batchSize: 2, dedupe: true }),
    submit({ client }),
    awaitEnd({ client, job }),
    fetchResults({ client, job }),
    async function (stream: AsyncIterable<Result>) {
      for await (const _ of stream);
    },
  )
  await t.rejects(run, { code: 'CBS_STAGE', message: /put inputOrder\(\) between/ })
})
