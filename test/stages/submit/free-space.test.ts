import { truncateSync } from 'node:fs'
import t from 'tap'
import { nodeDisk } from '../../../lib/store/disk.ts'
import { openStoredJob } from '../../../lib/store/open.ts'
import { ensureFreeSpace } from '../../../lib/stages/submit/free-space.ts'
import { asks, makeWorld, run, said } from '../../support/world.ts'

t.test('F01 a batch whose answers may not fit on the disk is not paid for', async t => {
  for (const [free, fits] of [
    [0, false],
    [4_999_999, false],
    [5_000_000, true],
  ] as const) {
    const job = await openStoredJob({
      name: `free-${free}`,
      dir: t.testdir(),
      disk: { ...nodeDisk, free: async () => free },
    })
    const checked = ensureFreeSpace(job, 1_000_000)
    if (fits) await t.resolves(checked, `${free} bytes are enough`)
    else {
      await t.rejects(checked, { code: 'CBS_DISK', message: /the next batch may take 5\.0 MB/ })
    }
    await job.close()
  }
})

for (const [name, fail] of [
  ['the disk fills up', () => 0],
  [
    'the free space cannot be found out',
    () => {
      throw new Error('EIO')
    },
  ],
] as const)
  t.test(`R01: when ${name}, what was sent before is collected`, async t => {
    const world = await makeWorld(t, { batchTimeMs: 60_000 })
    let looks = 0
    const free = async (path: string): Promise<number> =>
      ++looks > 1 ? fail() : await nodeDisk.free(path)
    const job = await world.open({ disk: { ...nodeDisk, free } })
    job.queue.isStopHandled = true
    const results = await run(world, job, asks(6), { aggregate: { batchSize: 3 } })
    t.equal(said(results).length, 3)
    t.match(job.queue.stopReason, { code: 'CBS_DISK' })
    await job.close()
    const again = await world.open()
    t.equal((await run(world, again, asks(6), { aggregate: { batchSize: 3 } })).length, 6)
    t.match(await world.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
  })

t.test(
  'R01: a body that was changed on disk does not hold back batches that were sent before',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: 60_000 })
    const job = await world.open()
    job.queue.isStopHandled = true
    job.on('event', event => {
      if (event.type === 'sealed' && event.number === 2) truncateSync(job.store.path(2, 'body'), 10)
    })
    const results = await run(world, job, asks(6), { aggregate: { batchSize: 3 } })
    t.equal(said(results).length, 3)
    t.match(job.queue.stopReason, { code: 'CBS_STATE' })
  },
)
