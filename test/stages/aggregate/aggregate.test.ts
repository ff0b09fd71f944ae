import { createHash } from 'node:crypto'
import { readFileSync, rmSync } from 'node:fs'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { aggregate, type AggregateOptions } from '../../../lib/stages/aggregate/aggregate.ts'
import { chain, each, from } from '../../../lib/core/chain.ts'
import type {
  BatchRequest,
  RejectedRecord,
  SealedBatch,
  SourceRecord,
} from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { rejectionsOf } from '../../../lib/store/batch-files.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { PAGES_SWITCH } from '../../../lib/core/pages.ts'
import { stage, typed } from '../../../lib/core/stage.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { openBelow } from '../../support/descriptors.ts'
import { openFor, record, records, watched } from '../../support/jobs.ts'
import { VirtualClock } from '../../support/virtual-clock.ts'
import { ask, asks } from '../../support/world.ts'

type Item = BatchRequest | RejectedRecord

async function seal(
  job: StoredJob,
  items: Iterable<Item> | AsyncIterable<Item>,
  options: AggregateOptions = {},
): Promise<SealedBatch[]> {
  const batches: SealedBatch[] = []
  for await (const batch of each(from(Readable.from(items), aggregate({ job, ...options }))))
    batches.push(batch)
  return batches
}

const shape = (batches: readonly SealedBatch[]): number[][] =>
  batches.map(({ number, records, requests }) => [number, records, requests])

function bodyOf(
  job: StoredJob,
  number: number,
): { custom_id: string; params: { messages: { content: string }[] } }[] {
  return JSON.parse(readFileSync(job.store.path(number, 'body'), 'utf8')).requests
}

const problem = { type: 'bad', message: 'no' }

void t.test('invalid options are rejected at once', async t => {
  for (const wrong of [
    { batchSize: 0 },
    { batchSize: 100_001 },
    { batchBytes: 0 },
    { batchBytes: 250_000_001 },
    { batchWait: 0 },
    { batchAge: 0 },
  ])
    t.throws(() => aggregate(wrong), { code: 'CBS_OPTION' })
})

void t.test('a batch is full by its number of requests', async t => {
  const job = await openFor(t, t.testdir())
  t.same(shape(await seal(job, asks(25), { batchSize: 10 })), [
    [1, 10, 10],
    [2, 10, 10],
    [3, 5, 5],
  ])
  t.same(
    bodyOf(job, 2).map(({ params }) => params.messages[0]?.content),
    asks(25)
      .slice(10, 20)
      .map(({ params }) => params.messages[0]?.content),
  )
  t.same(bodyOf(job, 2)[0]?.custom_id, `${job.run}-1-a`)
})

void t.test('no batch gets the request count of one that is being searched for', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  const broken = async function* (): AsyncGenerator<Item> {
    yield* asks(10)
    await first.when(() => first.state.batches.size === 1, new AbortController().signal)
    throw new Error('the input broke off')
  }
  await t.rejects(seal(first, broken(), { batchSize: 10 }), /broke off/)
  await first.note({ type: 'armed', number: 1, at: 0, serverAt: null }, true)
  await first.close()
  t.same(shape(await seal(await openFor(t, dir), asks(25), { batchSize: 10 })), [
    [1, 10, 10],
    [2, 9, 9],
    [3, 6, 6],
  ])
})

void t.test('a batch is full by its bytes, and reports the bytes of its body', async t => {
  const job = await openFor(t, t.testdir())
  const batches = await seal(job, asks(20), { batchBytes: 600 })
  t.ok(batches.length > 3)
  for (const { number, bytes } of batches) {
    t.equal(readFileSync(job.store.path(number, 'body')).length, bytes)
    t.ok(bytes <= 600)
  }
})

void t.test('a request larger than the batch limit is sent alone', async t => {
  const job = await openFor(t, t.testdir())
  const batches = await seal(job, [ask('a'), ask('x'.repeat(2000)), ask('b')], { batchBytes: 500 })
  t.same(
    batches.map(({ requests }) => requests),
    [1, 1, 1],
  )
})

void t.test('no requests make no batch, also without a job', async t => {
  t.same(await seal(await openFor(t, t.testdir()), []), [])
  for await (const _ of each(from([], aggregate()))) t.fail('there is none')
})

void t.test('a spooled record determines the job of its request', async t => {
  const job = await openFor(t, t.testdir())
  const asking = stage((record: SourceRecord): BatchRequest => ({ ...ask('same'), record }))
  const stages = chain(spool({ job }), asking, aggregate())
  const batches: SealedBatch[] = []
  for await (const batch of each(from(Readable.from(records(3)), stages))) batches.push(batch)
  t.same(shape(batches), [[1, 3, 3]])
  t.equal(batches[0]?.job, job)
})

void t.test('invalid records keep their place and their reason', async t => {
  const job = await openFor(t, t.testdir())
  const items: Item[] = [
    ask('a', 'same'),
    { record: record({ n: 1 }, 2), problem },
    ask('b', 'same'),
    ask('c', 'not an id'),
    ask('d', 'two\n9 lines'),
    // A JavaScript user may forget the params.
    { record: record({ n: 5 }, 6) } as never,
    ask('e'),
  ]
  const [batch] = await seal(job, items)
  t.match(batch, { records: 7, requests: 2 })
  const rejections = await rejectionsOf(job.store, job.batch(1))
  t.same(
    rejections.map(({ ordinal, type, custom_id }) => [ordinal, type, custom_id]),
    [
      [1, 'bad', null],
      [2, 'duplicate_custom_id', 'same'],
      [3, 'invalid_custom_id', 'not an id'],
      [4, 'invalid_custom_id', 'two\n9 lines'],
      [5, 'no_params', null],
    ],
  )
  t.match(rejections[1]?.message, /another record has the custom_id same/)
})

void t.test('a duplicate id is detected after a resume too', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  await seal(first, [ask('a', 'same'), ask('b')], { batchSize: 1 })
  await first.close()
  const job = await openFor(t, dir, {})
  const again = await seal(job, [ask('a', 'same'), ask('b')])
  t.same(shape(again), [
    [1, 1, 1],
    [2, 1, 1],
  ])
})

void t.test("a request larger than the API's limit is rejected", async t => {
  const job = await openFor(t, t.testdir())
  const huge = {
    record: record({ n: 1 }),
    params: { toJSON: () => 'x'.repeat(250_000_000) } as never,
  }
  const [batch] = await seal(job, [huge])
  t.match(batch, { records: 1, requests: 0 })
  t.match(await rejectionsOf(job.store, job.batch(1)), [
    { type: 'too_large', message: /the maximum is 250000000/ },
  ])
})

void t.test('a request that is not JSON is CBS_STAGE, first or later', async t => {
  for (const before of [0, 1, 2]) {
    const job = await openFor(t, t.testdir(), { name: `n-${before}` })
    const items = [...asks(before), { params: { n: 10n } as never }].map((item, i) => ({
      ...item,
      record: record({ i }),
    }))
    await t.rejects(seal(job, items), {
      code: 'CBS_STAGE',
      message: /cannot be serialized as JSON/,
    })
  }
})

void t.test('a record that arrives twice or out of order is CBS_STAGE', async t => {
  const job = await openFor(t, t.testdir())
  const { spool } = await import('../../../lib/stages/spool/spool.ts')
  const kept: BatchRequest[] = []
  for await (const one of each(from([record({ n: 0 }), record({ n: 1 })], spool({ job }))))
    kept.push({ ...ask('q'), record: one })
  const [a, b] = kept as [BatchRequest, BatchRequest]
  for (const wrong of [
    [b, a],
    [a, a],
  ])
    await t.rejects(seal(job, wrong), {
      code: 'CBS_STAGE',
      message: /reached aggregate\(\) twice or out of order/,
    })
  await t.rejects(seal(job, [a, ask('no record')]), {
    code: 'CBS_STAGE',
    message: /must pass it on as `record`/,
  })
})

void t.test(
  'when a job is reopened, known batches come first and nothing is sealed twice',
  async t => {
    const dir = t.testdir()
    const first = await openFor(t, dir)
    const writing = aggregate({ job: first, batchSize: 4 })
    for (const request of asks(20)) writing.write(request)
    for await (const { number } of each(writing)) if (number === 2) break
    await first.close()
    const job = await openFor(t, dir)
    const known = job.state.batches.size
    t.ok(known >= 2)
    const batches = await seal(job, asks(20), { batchSize: 4 })
    t.same(
      batches.slice(0, known).map(({ number }) => number),
      Array.from({ length: known }, (_, i) => i + 1),
    )
    t.equal(
      batches.reduce((sum, { records }) => sum + records, 0),
      20,
    )
    const asked = batches
      .flatMap(({ number }) => bodyOf(job, number))
      .map(({ params }) => params.messages[0]?.content)
    t.same(
      asked,
      asks(20).map(({ params }) => params.messages[0]?.content),
    )
    await job.close()
    const third = await openFor(t, dir)
    t.same(shape(await seal(third, asks(20))), shape(batches))
  },
)

void t.test(
  'a partial batch is sealed when nothing has arrived for a while, and not before',
  async t => {
    const clock = new VirtualClock()
    const job = await openFor(t, t.testdir(), { clock })
    const began = clock.elapsed()
    const seen: number[][] = []
    const feed = async function* (): AsyncGenerator<BatchRequest> {
      yield ask('a')
      await clock.sleep(600)
      yield ask('b')
      await clock.sleep(5000)
      yield ask('c')
    }
    for await (const { records } of each(from(feed(), aggregate({ job, batchWait: 1000 }))))
      seen.push([records, clock.elapsed() - began])
    t.equal(seen[0]?.[0], 2)
    t.ok((seen[0]?.[1] as number) >= 1600 && (seen[0]?.[1] as number) < 1700, JSON.stringify(seen))
    t.equal(seen[1]?.[0], 1)
    await job.close()
    t.equal(clock.sleepers.size, 0)
  },
)

void t.test(
  'a partial batch is sealed when its first record is old enough, even while records trickle in',
  async t => {
    const clock = new VirtualClock()
    const job = await openFor(t, t.testdir(), { clock })
    const began = clock.elapsed()
    const seen: number[][] = []
    const feed = async function* (): AsyncGenerator<BatchRequest> {
      for (let index = 0; index < 12; index++) {
        yield ask(`r${index}`)
        await clock.sleep(300)
      }
    }
    const gathered = from(feed(), aggregate({ job, batchAge: 1000, batchWait: 900 }))
    for await (const { records } of each(gathered)) seen.push([records, clock.elapsed() - began])
    t.equal(seen[0]?.[0], 4)
    const [, first = 0] = seen[0] ?? []
    t.ok(first >= 1000 && first < 1100, JSON.stringify(seen))
    t.equal(seen.length, 3)
    await job.close()
  },
)

for (const failing of ['open', 'write', 'sync'] as const) {
  void t.test(
    `a disk that fails to ${failing} a batch is CBS_DISK, with no file left open (F01)`,
    async t => {
      const dir = t.testdir()
      const disk = watched((what, path) => {
        if (what === failing && /\d\.(body|ids)$/.test(path)) throw new Error('ENOSPC')
      })
      const job = await openFor(t, dir, { disk })
      await t.rejects(seal(job, asks(3)), { code: 'CBS_DISK', message: /ENOSPC/ })
      await job.close()
      t.same(openBelow(dir), [])
    },
  )
}

void t.test('a destroyed stage closes without leaving files open', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  await seal(job, asks(9), { batchSize: 3 })
  // It waits for its reader, with batches of an earlier run at hand.
  const waiting = aggregate({ job, batchWait: 1000 })
  await new Promise(resolve => waiting.once('readable', resolve))
  waiting.destroy()
  await new Promise(resolve => waiting.once('close', resolve))
  const filling = aggregate({ job, attempt: 2 })
  filling.write({ ...ask('q'), record: await job.store.records.reader(job).read(0, 2) })
  setImmediate(() => filling.destroy())
  await new Promise(resolve => filling.once('close', resolve))
  await job.close()
  t.same(openBelow(dir), [])
})

void t.test('a job with missing or unreadable ids is not resumed', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  await seal(first, [ask('a', 'mine'), ask('b')])
  await first.close()
  const disk = watched((what, path) => {
    if (what === 'readWhole' && path.endsWith('1.ids')) throw new Error('EIO')
  })
  const unread = await openFor(t, dir, { disk })
  await t.rejects(seal(unread, asks(2)), { code: 'CBS_DISK', message: /EIO/ })
  await unread.close()
  const job = await openFor(t, dir)
  rmSync(job.store.path(1, 'ids'))
  await t.rejects(seal(job, asks(2)), { code: 'CBS_STATE', message: /1\.ids of the job is gone/ })
})

/** The bodies of a job's batches, which files say what is rejected, and their shapes; the job's own word left out. */
async function sealedFrom(
  t: Test,
  input: readonly SourceRecord[],
  options: AggregateOptions,
  pages: boolean,
): Promise<unknown> {
  Reflect.set(globalThis, PAGES_SWITCH, pages)
  const job = await openFor(t, t.testdir({ [pages ? 'pages' : 'items']: {} }))
  const batches: SealedBatch[] = []
  const prompted = template({ prompt: 'Say {{n}}', metaField: 'none' })
  for await (const batch of each(
    from(Readable.from(input), spool({ job }), prompted, aggregate({ job, ...options })),
  ))
    batches.push(batch)
  Reflect.set(globalThis, PAGES_SWITCH, true)
  const own = (number: number): string =>
    readFileSync(job.store.path(number, 'body'), 'utf8').replaceAll(job.run, 'run')
  const all = await Promise.all(
    batches.map(async ({ number }) => [
      own(number),
      readFileSync(job.store.path(number, 'members'), 'hex'),
      await rejectionsOf(job.store, job.batch(number)),
      createHash('sha256')
        .update(readFileSync(job.store.path(number, 'body')))
        .digest('hex') === job.batch(number).hash,
    ]),
  )
  await job.close()
  return [shape(batches), all, job.state.spooled]
}

void t.test('batches built from pages equal those of single requests, byte for byte', async t => {
  t.teardown(() => Reflect.set(globalThis, PAGES_SWITCH, true))
  const plain = records(700)
  const mixed = plain.map((one, at) => {
    if (at % 97 === 5) return record('{"m":1}', at + 1)
    if (at % 101 === 7) return record('{"input":"x"}', at + 1, { problem })
    return at % 300 > 150 ? record({ n: at, list: [at] }, at + 1, { source: 'b' }) : one
  })
  for (const input of [plain, mixed])
    for (const options of [
      {},
      { batchSize: 100 },
      { batchSize: 130, canary: 3 },
      { batchBytes: 5000 },
      { dedupe: true },
    ]) {
      const pages = await sealedFrom(t, input, options, true)
      const items = await sealedFrom(t, input, options, false)
      t.strictSame(pages, items, JSON.stringify(options))
    }
})

void t.test('a large body is built from pages without holding a batch in memory', async t => {
  const job = await openFor(t, t.testdir())
  const text = 'x'.repeat(20_000)
  const input = Array.from({ length: 200 }, (_, n) => record({ n: `${n} ${text}` }, n + 1))
  const batches: SealedBatch[] = []
  const stages = [spool({ job }), template({ prompt: '{{n}}' }), aggregate({ job })] as const
  for await (const batch of each(from(Readable.from(input), ...stages))) batches.push(batch)
  t.same(shape(batches), [[1, 200, 200]])
  t.same(
    bodyOf(job, 1).map(({ params }) => params.messages[0]?.content),
    input.map(({ fields }) => fields['n']),
  )
})

void t.test('pages of other items end the stage', async t => {
  const job = await openFor(t, t.testdir())
  const wrong = typed<SourceRecord, BatchRequest>(spool({ job }))
  await t.rejects(
    each(from(Readable.from(records(3)), wrong, aggregate({ job })))
      [Symbol.asyncIterator]()
      .next(),
    {
      code: 'CBS_STAGE',
      message: /aggregate takes requests/,
    },
  )
})
