import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { existsSync } from 'node:fs'
import t, { type Test } from 'tap'
import { chain, each, from } from '../../../lib/core/chain.ts'
import type { SourceRecord } from '../../../lib/core/flow.ts'
import { nextUnbatched } from '../../../lib/core/job/state.ts'
import { takePages } from '../../../lib/core/pages.ts'
import { RecordPage } from '../../../lib/core/record-page.ts'
import { storedJob, type StoredJob } from '../../../lib/store/job.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { stage } from '../../../lib/core/stage.ts'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { openBelow } from '../../support/descriptors.ts'
import { openFor, record, records, watched } from '../../support/jobs.ts'
import { until } from '../../support/waiting.ts'
import { ask, asks } from '../../support/world.ts'

async function feed(job: StoredJob | undefined, input: Iterable<SourceRecord>): Promise<unknown[]> {
  const seen: unknown[] = []
  for await (const one of each(from(input, spool({ job })))) seen.push(one.fields['n'])
  return seen
}

const numbers = (count: number, start = 0): number[] =>
  Array.from({ length: count }, (_, i) => start + i)

void t.test('records are emitted as they arrived, stored and numbered', async t => {
  const job = await openFor(t, t.testdir())
  let ordinal = 0
  for await (const one of each(from(records(1000), spool({ job })))) {
    t.equal(one.ordinal, ordinal)
    t.equal(one.job, job)
    t.same(one.fields, { n: ordinal++ })
  }
  t.same(job.state.spooled, {
    records: 1000,
    bytes: job.store.records.bytes,
    complete: true,
    broken: null,
  })
})

void t.test('an item that is not a record is rejected', async t => {
  t.same(await feed(await openFor(t, t.testdir()), []), [])
})

void t.test('a fast producer is not held up by a reader that has not started', async t => {
  const job = await openFor(t, t.testdir())
  const stage = spool({ job })
  await pipeline(
    Readable.from(records(5000)),
    new Writable({ objectMode: true, write: (one, _e, done) => void stage.write(one, done) }),
  )
  stage.end()
  await new Promise(resolve => stage.once('finish', resolve))
  t.equal(job.store.records.count, 5000)
  t.ok(stage.readableLength <= stage.readableHighWaterMark + 1)
  const seen: unknown[] = []
  for await (const one of each(stage)) seen.push(one.fields['n'])
  t.same(seen, numbers(5000))
})

void t.test('a slow producer is read as it arrives: no record waits for the next', async t => {
  const job = await openFor(t, t.testdir())
  const stage = spool({ job })
  for (const n of numbers(20)) {
    stage.write(record({ n }, n + 1))
    const one = await new Promise<SourceRecord>(resolve => {
      const look = (): void => {
        const here: SourceRecord | null = stage.read()
        if (here) resolve(here)
        else stage.once('readable', look)
      }
      look()
    })
    t.same(one.fields, { n })
  }
  stage.end()
  t.equal(stage.read(), null)
  stage.resume()
  await new Promise(resolve => stage.once('end', resolve))
})

void t.test('the same input again is compared and not stored twice', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  t.same(await feed(first, records(50)), numbers(50))
  await first.close()
  const second = await openFor(t, dir)
  t.same(await feed(second, records(50)), numbers(50))
  t.equal(second.store.records.count, 50)
})

void t.test('if a job died while reading its input, the rest is appended', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  const asking = stage((one: SourceRecord) => ({ ...ask('q'), record: one }))
  const whole = chain(spool({ job: first }), asking, aggregate({ job: first, batchSize: 10 }))
  for (const one of records(35)) whole.write(one)
  for await (const batch of each(whole)) if (batch.number === 2) break
  await first.close()
  const second = await openFor(t, dir)
  const covered = nextUnbatched(second.state)
  t.equal(covered, 20)
  t.same(await feed(second, records(40)), numbers(40 - covered, covered))
  t.equal(second.state.spooled.complete, true)
})

for (const [name, input, message] of [
  ['other', [...records(9), record({ n: 'other' }, 10)], /record 10 \(line 10\) differs/],
  ['shorter', records(9), /it has 9 records now and had at least 10/],
  ['empty', [], /it has 0 records now/],
  ['longer', records(11), /record 11 \(line 11\) differs/],
] as const) {
  void t.test(`input that is ${name} than before is CBS_INPUT`, async t => {
    const dir = t.testdir()
    const first = await openFor(t, dir)
    await feed(first, records(10))
    await first.close()
    await t.rejects(feed(await openFor(t, dir), input), { code: 'CBS_INPUT', message })
  })
}

void t.test('the error for changed input names the file of the record', async t => {
  const dir = t.testdir()
  const first = await openFor(t, dir)
  await feed(first, [record({ n: 0 }, 1, { source: 'a.csv' })])
  await first.close()
  await t.rejects(feed(await openFor(t, dir), [record({ n: 1 }, 1, { source: 'a.csv' })]), {
    message: /record 1 \(a.csv, line 1\)/,
    place: { source: 'a.csv', line: 1 },
  })
})

for (const broken of ['write', 'sync'] as const) {
  void t.test(
    `a disk that fails to ${broken} ends the pipeline as CBS_DISK (F01, F05)`,
    async t => {
      const disk = watched((what, path) => {
        if (what === broken && path.includes('records')) throw new Error('ENOSPC')
      })
      const dir = t.testdir()
      const job = await openFor(t, dir, { disk })
      await t.rejects(feed(job, records(100)), { code: 'CBS_DISK', message: /ENOSPC/ })
      await job.close()
      t.same(openBelow(dir), [])
      t.same((await openFor(t, dir)).state.spooled, {
        records: 0,
        bytes: 0,
        complete: false,
        broken: null,
      })
    },
  )
}

void t.test('a read error ends the pipeline with CBS_DISK', async t => {
  const disk = watched((what, path) => {
    if (what === 'read' && path.includes('records')) throw new Error('EIO')
  })
  await t.rejects(feed(await openFor(t, t.testdir(), { disk }), records(3)), {
    code: 'CBS_DISK',
    message: /cannot be read: EIO/,
  })
})

void t.test(
  'without a job a temporary one is used, and deleted when the pipeline breaks off',
  async t => {
    let folder = ''
    for await (const one of each(from(records(100), spool()))) {
      const store = storedJob(one.job!).store
      folder = store.folder
      t.ok(existsSync(folder))
      t.ok(store.temporary)
      break
    }
    await until(() => !existsSync(folder))
    t.same(openBelow(folder), [])
  },
)

/** In a function of its own, so that nothing of it is referred to any more when it is over. */
async function sealSlowly(t: Test): Promise<string> {
  const keeping = spool()
  const slow = stage(async (one: SourceRecord) => {
    // Not before keep has come to its end.
    await until(() => keeping.readableEnded)
    return { ...ask('q'), record: one }
  })
  let folder = ''
  for await (const batch of each(from(records(3), keeping, slow, aggregate()))) {
    const { store } = storedJob(batch.job)
    folder = store.folder
    t.equal(batch.records, 3)
    t.same((await store.records.reader(batch.job).read(2, 1)).fields, { n: 2 })
  }
  return folder
}

void t.test('a temporary job lives as long as one of its records is in the pipeline', async t => {
  const folder = await sealSlowly(t)
  await until(() => {
    globalThis.gc?.()
    return !existsSync(folder)
  })
  t.same(openBelow(folder), [])
})

void t.test('a temporary job that cannot be created is CBS_DISK', async t => {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = `${t.testdir()}/none`
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  await t.rejects(feed(undefined, records(1)), { code: 'CBS_DISK', message: /ENOENT/ })
})

void t.test(
  'a reader that requests more during a push gets each record once, in order',
  async t => {
    // So large that each has to be read from disk again.
    const large = Array.from({ length: 30 }, (_, n) =>
      record({ n, text: 'x'.repeat(40_000) }, n + 1),
    )
    const keeping = spool({ job: await openFor(t, t.testdir()) })
    const seen: unknown[] = []
    keeping.on('data', (one: SourceRecord) => {
      seen.push(one.fields['n'])
      keeping.read(0)
    })
    for (const one of large) keeping.write(one)
    keeping.end()
    await new Promise(resolve => keeping.once('end', resolve))
    t.same(
      seen,
      large.map((_, n) => n),
    )
  },
)

void t.test('a reader that joins during a read from disk ends the exchange of pages', async t => {
  let join = (): void => {}
  const disk = watched((what, path) => {
    if (what === 'read' && path.includes('records')) join()
  })
  const stage = spool({ job: await openFor(t, t.testdir(), { disk }) })
  // So large that most have to be read from disk again.
  for (const n of numbers(60)) stage.write(record({ n, text: 'x'.repeat(40_000) }, n + 1))
  stage.end()
  await until(() => stage.readableLength === stage.readableHighWaterMark)
  const [first, second]: [unknown[], unknown[]] = [[], []]
  join = () => {
    join = () => {}
    stage.on('data', (one: SourceRecord) => second.push(one.fields['n']))
  }
  const sink = new Writable({
    objectMode: true,
    write(chunk: SourceRecord | RecordPage, _encoding, done) {
      for (const { fields } of chunk instanceof RecordPage ? chunk : [chunk])
        first.push(fields['n'])
      done()
    },
  })
  takePages(sink)
  await pipeline(stage, sink)
  t.same(first, numbers(60))
  t.ok(second.length > 0)
  t.same(second, first.slice(-second.length))
})

void t.test('a job accepts no second input before it is reopened', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  t.same(await feed(job, records(5)), numbers(5))
  const again = { code: 'CBS_STAGE', message: /close the job, open it again/ }
  await t.rejects(feed(job, records(5)), again)
  const asking = from(asks(5), aggregate({ job }))
  await t.rejects(asking.toArray(), again, 'aggregate takes in what no keep has')
  await job.close()
  const second = await openFor(t, dir)
  t.same(await feed(second, records(5)), numbers(5))
  t.equal(second.store.records.count, 5)
})
