import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import t from 'tap'
import { batchPath } from '../../lib/store/batch-path.ts'
import {
  BatchWriter,
  BETWEEN_BYTES,
  chosenIdsOf,
  FRAME_BYTES,
  rejectionsOf,
} from '../../lib/store/batch-files.ts'
import { nodeDisk } from '../../lib/store/disk.ts'
import { Repeats } from '../../lib/store/repeats.ts'
import { openBelow } from '../support/descriptors.ts'
import { watched } from '../support/jobs.ts'

void t.test('the body is exactly what is sent, with a known size and hash', async t => {
  const folder = t.testdir({ batches: {} })
  const writer = await BatchWriter.create(nodeDisk, folder, 7)
  t.equal(writer.bytes, FRAME_BYTES)
  writer.add(Buffer.from('{"a":1}'), 3, undefined)
  t.equal(writer.bytes, FRAME_BYTES + 7)
  writer.reject({ ordinal: 4, custom_id: null, type: 'bad', message: 'no' })
  writer.add(Buffer.from('{"a":2}'), 5, 'chosen')
  t.equal(writer.bytes, FRAME_BYTES + 14 + BETWEEN_BYTES)
  await writer.flush()
  const sealed = await writer.seal(1, 6)
  const body = readFileSync(batchPath(folder, 7, 'body'))
  t.same(JSON.parse(body.toString()), { requests: [{ a: 1 }, { a: 2 }] })
  const hash = createHash('sha256').update(body).digest('hex')
  t.same(sealed, {
    first: 3,
    number: 7,
    attempt: 1,
    next: 6,
    records: 3,
    requests: 2,
    bytes: body.length,
    hash,
    sums: Object.fromEntries(
      (['members', 'rejected', 'ids'] as const).map(what => [
        what,
        crc32(readFileSync(batchPath(folder, 7, what))),
      ]),
    ),
  })
  t.equal(readFileSync(batchPath(folder, 7, 'ids'), 'utf8'), '1 chosen\n')
  t.same(openBelow(folder), [])
})

void t.test('a batch of another tool has no ids, rejections or repeats on disk', async t => {
  const files = { disk: nodeDisk, path: () => `${t.testdirName}/none` }
  t.same(await chosenIdsOf(files, { number: 1 }), [])
  t.same(await rejectionsOf(files, { number: 1 }), [])
  t.same([...(await Repeats.of(files, { number: 1 }))], [])
})

void t.test('a batch is full when any of its files is, and a flush makes room', async t => {
  const folder = t.testdir({ batches: {} })
  const writer = await BatchWriter.create(nodeDisk, folder, 1)
  for (const fill of [
    () => writer.add(Buffer.alloc(300_000, 'x'), 1, undefined),
    () => writer.reject({ ordinal: 1, custom_id: null, type: 'bad', message: 'x'.repeat(300_000) }),
    () => writer.add(Buffer.from('{}'), 2, 'x'.repeat(300_000)),
  ]) {
    t.notOk(writer.full)
    fill()
    t.ok(writer.full)
    await writer.flush()
  }
  t.notOk(writer.full)
  await writer.abandon()
})

for (const failing of ['open', 'sync'] as const) {
  void t.test(`a file that fails to ${failing} leaves none open`, async t => {
    const folder = t.testdir()
    mkdirSync(`${folder}/batches`)
    writeFileSync(`${folder}/x`, '')
    const disk = watched((what, path) => {
      if (what === failing && path.endsWith('rejected')) throw new Error('no')
    })
    const make = async (): Promise<unknown> =>
      await (await BatchWriter.create(disk, folder, 1)).seal(1, 1)
    await t.rejects(make(), /no/)
    t.same(openBelow(folder), [])
  })
}
