import { appendFileSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import t from 'tap'
import type { StoredJob } from '../../lib/store/job.ts'
import { nodeDisk } from '../../lib/store/disk.ts'
import type { SourceRecord } from '../../lib/core/flow.ts'
import { PAGE_ITEMS } from '../../lib/core/pages.ts'
import { RecordPage, RecordPageBuilder } from '../../lib/core/record-page.ts'
import { Records } from '../../lib/store/records.ts'
import { openBelow } from '../support/descriptors.ts'
import { record, watched } from '../support/jobs.ts'

const NONE = { records: 0, bytes: 0 }
// A reader hands its job on and asks nothing of it.
const job = {} as StoredJob

void t.test('records are read back by ordinal with all their data', async t => {
  const folder = t.testdir()
  const records = await Records.open(nodeDisk, folder, NONE, [])
  const problem = { type: 'bad_json', message: 'é' }
  const given = [
    record({ a: 1 }, 1),
    record('{"a":"😀"}', 2 ** 40, { source: 'b.csv' }),
    record('{"input":"x"}', 3, { source: 'a.csv', problem }),
    record('{}', 4, { source: 'b.csv' }),
  ]
  t.same(
    given.map(one => records.append(one)),
    [0, 1, 2, 3],
  )
  t.equal(records.readable, 0)
  await records.flush()
  t.equal(records.readable, 4)
  const reader = records.reader(job)
  t.equal(reader.tryReadSync(2, 1), undefined)
  for (const ordinal of [2, 0, 3, 1]) {
    const { raw, line, source, problem } = given[ordinal] as (typeof given)[0]
    const back = await reader.read(ordinal, 2)
    t.same(
      [back.raw, back.line, back.source, back.problem, back.ordinal, back.attempt, back.job],
      [raw, line, source, problem, ordinal, 2, job],
    )
  }
  t.same(reader.tryReadSync(0, 1)?.raw, given[0]?.raw)
  await records.close()
  t.same(openBelow(folder), [])
})

void t.test('data that no event covers is truncated when the files are opened', async t => {
  const folder = t.testdir()
  const first = await Records.open(nodeDisk, folder, NONE, [])
  for (const n of [1, 2]) first.append(record({ n }, n))
  await first.sync()
  const kept = { records: first.count, bytes: first.bytes }
  first.append(record({ lost: true }, 3))
  await first.flush()
  await first.close()
  appendFileSync(`${folder}/records.index`, 'half')
  const second = await Records.open(nodeDisk, folder, kept, [])
  t.equal(second.count, 2)
  t.equal(statSync(`${folder}/records.jsonl`).size, kept.bytes)
  second.append(record({ n: 3 }, 3))
  await second.flush()
  const reader = second.reader(job)
  t.same([(await reader.read(1, 1)).fields, (await reader.read(2, 1)).fields], [{ n: 2 }, { n: 3 }])
  await second.close()
})

for (const name of ['records.jsonl', 'records.index']) {
  void t.test(`a ${name} that is too short is CBS_STATE, and leaves no file open`, async t => {
    const folder = t.testdir()
    const first = await Records.open(nodeDisk, folder, NONE, [])
    first.append(record({ n: 1 }, 1))
    await first.sync()
    const kept = { records: first.count, bytes: first.bytes }
    await first.close()
    truncateSync(`${folder}/${name}`, 3)
    await t.rejects(Records.open(nodeDisk, folder, kept, []), { code: 'CBS_STATE', message: name })
    t.same(openBelow(folder), [])
  })
}

void t.test(
  'records that are appended during a flush become readable when all of them are written',
  async t => {
    const folder = t.testdir()
    let during = (): void => {}
    const disk = watched(
      (what, path) => void (what === 'write' && path.endsWith('.jsonl') && during()),
    )
    const records = await Records.open(disk, folder, NONE, [])
    records.append(record({ n: 0 }))
    during = () => {
      during = () => {}
      records.append(record({ n: 1 }))
    }
    await records.flush()
    t.equal(records.readable, 1)
    await records.flush()
    t.equal(records.readable, 2)
    t.same((await records.reader(job).read(1, 1)).fields, { n: 1 })
    await records.close()
  },
)

void t.test('records are full when a flush is due', async t => {
  const records = await Records.open(nodeDisk, t.testdir(), NONE, ['a', 'b'])
  t.notOk(records.full)
  records.append(record(`{"a":"${'x'.repeat(300_000)}"}`))
  t.ok(records.full)
  t.same(records.sourceIndex('b'), { index: 1, isNew: false })
  t.same(records.sourceIndex('c'), { index: 2, isNew: true })
  await records.flush()
  t.notOk(records.full)
  await records.close()
})

void t.test('a failed write fails every flush after it, and closing still works (F01)', async t => {
  const folder = t.testdir()
  const disk = watched(what => {
    if (what === 'write') throw new Error('ENOSPC')
  })
  const records = await Records.open(disk, folder, NONE, [])
  records.append(record({ n: 0 }))
  await t.rejects(records.flush(), /ENOSPC/)
  await t.rejects(records.sync(), /ENOSPC/)
  t.equal(records.readable, 0)
  await records.close()
  t.same(openBelow(folder), [])
})

void t.test('a page is written as a block and read back as a page', async t => {
  const folder = t.testdir()
  const records = await Records.open(nodeDisk, folder, NONE, [])
  const problem = { type: 'bad', message: 'é' }
  records.append(record({ n: 0 }, 1))
  records.append(record('{"input":"x"}', 2, { problem }))
  records.append(record({ n: 2 }, 2 ** 40, { source: 'a.csv' }))
  const builder = new RecordPageBuilder()
  for (const n of [3, 4, 5]) builder.add(record({ n }, 2 * n, { source: 'a.csv' }))
  records.appendPage(builder.take())
  records.append(record({ n: 6 }, 7, { source: 'a.csv' }))
  t.equal(records.count, 7)
  await records.flush()
  const reader = records.reader(job)
  const seen: unknown[] = []
  for (let next = 0; next < 7;) {
    const read: RecordPage | SourceRecord =
      reader.tryReadPageSync(next, 7) ?? (await reader.readPage(next, 7))
    const items = read instanceof RecordPage ? [...read] : [read]
    seen.push([
      read instanceof RecordPage,
      items.map(({ ordinal, line, source }) => [ordinal, line, source]),
    ])
    for (const { raw, ordinal } of items)
      t.same(raw, (await records.reader(job).read(ordinal ?? -1, 1)).raw)
    next += items.length
  }
  t.same(seen, [
    [true, [[0, 1, undefined]]],
    [false, [[1, 2, undefined]]],
    [true, [[2, 2 ** 40, 'a.csv']]],
    [
      true,
      [
        [3, 6, 'a.csv'],
        [4, 8, 'a.csv'],
        [5, 10, 'a.csv'],
      ],
    ],
    [true, [[6, 7, 'a.csv']]],
  ])
  const part = await reader.readPage(4, 5)
  t.same(part instanceof RecordPage && [part.count, part.ordinal, String(part.bytes)], [
    1,
    4,
    '{"n":4}\n',
  ])
  const span = await reader.span(2, 9).catch(() => reader.span(2, 5))
  t.equal(span.entries.length, 5, 'a span goes across blocks')
  t.equal(String(await reader.bytesOf(span, 5)), [2, 3, 4, 5, 6].map(n => `{"n":${n}}`).join('\n'))
  await records.close()
})

void t.test(
  'a block holds as many records as a page, and a kept count ends with a block',
  async t => {
    const folder = t.testdir()
    const first = await Records.open(nodeDisk, folder, NONE, [])
    for (let n = 0; n < 300; n++) first.append(record({ n }, n))
    const kept = { records: first.count, bytes: first.bytes }
    const synced = first.sync()
    for (let n = 300; n < 310; n++) first.append(record({ n }, n))
    await synced
    await first.sync()
    await first.close()
    const second = await Records.open(nodeDisk, folder, kept, [])
    const reader = second.reader(job)
    const page = await reader.readPage(0, 300)
    t.equal(page instanceof RecordPage && page.count, PAGE_ITEMS)
    t.same((await reader.read(299, 1)).fields, { n: 299 })
    second.append(record({ n: 'new' }))
    await second.flush()
    t.same((await reader.read(300, 1)).fields, { n: 'new' })
    await second.close()
  },
)

void t.test('an index that points to nothing is CBS_STATE', async t => {
  const folder = t.testdir()
  const records = await Records.open(nodeDisk, folder, NONE, [])
  for (let n = 0; n < 3; n++) records.append(record({ n }, n))
  await records.sync()
  const right = readFileSync(`${folder}/records.index`)
  const ENTRY = right.length / 3
  const attempt = async (change: (index: Buffer) => Buffer, ordinal: number): Promise<void> => {
    writeFileSync(`${folder}/records.index`, change(Buffer.from(right)))
    await t.rejects(records.reader(job).read(ordinal, 1), {
      code: 'CBS_STATE',
      message: /records? .* of the job is damaged on disk/,
    })
  }
  await attempt(index => index.fill(0), 1)
  await attempt(index => index.subarray(0, ENTRY + 7), 1)
  await attempt(index => index.subarray(0, 2 * ENTRY), 0)
  await attempt(index => index.fill(255), 0)
  await attempt(index => Buffer.concat([index.subarray(ENTRY), index.subarray(0, ENTRY)]), 0)
  // A block at another place, where its first record is another one.
  await attempt(index => Buffer.concat([index, index]), 4)
  await records.close()
})
