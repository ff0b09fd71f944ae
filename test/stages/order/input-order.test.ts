import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import type { NewBatch } from '../../../lib/emulator/index.ts'
import type { EndedBatch } from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { inputOrder } from '../../../lib/stages/order/input-order.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { retry } from '../../../lib/stages/retry/retry.ts'
import { stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { chain, each, from } from '../../../lib/core/chain.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { record } from '../../support/jobs.ts'
import { journalOf, makeWorld, type World } from '../../support/world.ts'

/** The earlier a batch was sent, the later it ends. */
const lastFirst = ({ number }: NewBatch): number => 5_000 / number

const asked = (count: number): SourceRecord[] =>
  Array.from({ length: count }, (_, i) =>
    // Every fifth record cannot be asked.
    record(i % 5 === 4 ? { n: i } : { n: i, prompt: `question ${i}` }, i + 1),
  )

/** Runs records through a job with `count` requests to a batch; the ordinals of the rows, as they came. */
async function rowsOf(
  world: World,
  job: StoredJob,
  { records = 12, count = 2, ordered = true, attempts = 0, until = Infinity } = {},
): Promise<number[]> {
  const { client } = world
  const through = (attempt: number) => {
    const submitted = chain(
      template(),
      aggregate({ job, batchSize: count, attempt }),
      submit({ client }),
      awaitEnd({ client, job, poll: 100 }),
    )
    const results = fetchResults({ client, job })
    return ordered ? chain(submitted, inputOrder(), results) : chain(submitted, results)
  }
  const rows: number[] = []
  await pipeline(
    Readable.from(asked(records)),
    spool({ job }),
    through(1),
    retry({ job, retries: attempts, createPipeline: through }),
    async (results: AsyncIterable<Result>) => {
      for await (const result of results) {
        // Every result of these stages has a record that is kept.
        rows.push(result.record?.ordinal ?? -1)
        if (rows.length === until) throw new Error('killed')
      }
    },
  )
  return rows
}

const ascending = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

void t.test('rows come in input order, in whatever order the batches end', async t => {
  const world = await makeWorld(t, { batchTimeMs: lastFirst })
  t.same(await rowsOf(world, await world.open()), ascending(12))
})

void t.test('without inputOrder rows come as batches end, which this API reverses', async t => {
  const world = await makeWorld(t, { batchTimeMs: lastFirst })
  const rows = await rowsOf(world, await world.open(), { ordered: false })
  t.not(rows[0], 0)
  t.same(
    rows.toSorted((a, b) => a - b),
    ascending(12),
  )
})

void t.test('the parts of a split batch take its place', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: lastFirst,
    // The first batch is divided, and its first half once more.
    faults: [{ on: 'create', nth: [1, 2], status: 413 }],
  })
  const job = await world.open()
  t.same(await rowsOf(world, job, { records: 20, count: 8 }), ascending(20))
  t.equal(journalOf(job.store.folder).filter(({ type }) => type === 'split').length, 2)
})

void t.test('a resumed job emits all rows again, in the same order', async t => {
  const world = await makeWorld(t, { batchTimeMs: lastFirst })
  const first = await world.open()
  await t.rejects(rowsOf(world, first, { until: 5 }), /killed/)
  await first.close()
  t.same(await rowsOf(world, await world.open()), ascending(12))
})

void t.test('a job that started without inputOrder is ordered when it resumes with it', async t => {
  const world = await makeWorld(t, { batchTimeMs: lastFirst })
  const first = await world.open()
  await t.rejects(rowsOf(world, first, { until: 7, ordered: false }), /killed/)
  await first.close()
  t.same(await rowsOf(world, await world.open()), ascending(12))
})

void t.test('retried rows come last, in order', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: lastFirst,
    faults: [{ on: 'create', batch: [2, 4], expire: true }],
  })
  const rows = await rowsOf(world, await world.open(), { attempts: 1 })
  t.equal(rows.length, 12)
  const again = rows.findIndex((ordinal, i) => i > 0 && ordinal < (rows[i - 1] ?? 0))
  t.not(again, -1)
  t.same(
    rows.slice(0, again),
    rows.slice(0, again).toSorted((a, b) => a - b),
  )
  t.same(
    rows.slice(again),
    rows.slice(again).toSorted((a, b) => a - b),
  )
})

void t.test('a batch that an earlier stage drops does not block the others', async t => {
  const world = await makeWorld(t, { batchTimeMs: lastFirst })
  const job = await world.open()
  const { client } = world
  const ended = from(
    asked(8),
    chain(spool({ job }), template(), aggregate({ job, batchSize: 2 })),
    chain(submit({ client }), awaitEnd({ client, job, poll: 100 })),
    stage((batch: EndedBatch) => (batch.number === 2 ? undefined : batch)),
    inputOrder(),
  )
  const numbers: number[] = []
  for await (const { number } of each(ended)) numbers.push(number)
  t.equal(numbers[0], 1)
  t.same(numbers.toSorted(), [1, 3, 4])
})
