import { existsSync, statSync } from 'node:fs'
import t from 'tap'
import { openDedupeIndex } from '../../../lib/stages/aggregate/dedupe-batch.ts'
import { PAGE_BYTES } from '../../../lib/stages/aggregate/dedupe-page.ts'
import { keyOf } from '../../../lib/core/request-key.ts'
import { DedupeIndex } from '../../../lib/stages/aggregate/dedupe-index.ts'
import { nodeDisk } from '../../../lib/store/disk.ts'
import { temporaryJob } from '../../../lib/store/open.ts'
import { openBelow } from '../../support/descriptors.ts'
import { openFor, watched } from '../../support/jobs.ts'
import { ask, makeWorld } from '../../support/world.ts'
import { aggregated } from './dedupe.ts'

async function put(seen: DedupeIndex, text: string, ordinal: number): Promise<number | undefined> {
  const key = keyOf(text)
  await seen.prepare(key)
  const first = seen.find(key)
  if (first === undefined) seen.put(key, ordinal)
  return first
}

void t.test(
  'the first record of a request is found, whichever part of the table is in memory',
  async t => {
    for (const inMemory of [2, 3, 1000]) {
      const dir = t.testdir()
      const seen = await DedupeIndex.create(nodeDisk, `${dir}/seen`, inMemory)
      const texts = 3000
      for (let i = 0; i < texts; i++) if ((await put(seen, `text ${i}`, i)) !== undefined) t.fail()
      for (let i = 0; i < texts; i++)
        if ((await put(seen, `text ${i}`, texts + i)) !== i) t.fail(`text ${i}, ${inMemory} pages`)
      if (inMemory < 1000) t.ok(statSync(`${dir}/seen`).size >= PAGE_BYTES * (texts / 186))
      await seen.close()
      t.notOk(existsSync(`${dir}/seen`))
      t.same(openBelow(dir), [])
    }
  },
)

void t.test('the very first record can be the repeated one', async t => {
  const seen = await DedupeIndex.create(nodeDisk, `${t.testdir()}/seen`)
  t.equal(await put(seen, 'a', 0), undefined)
  t.equal(await put(seen, 'a', 1), 0)
  await seen.close()
})

void t.test('the requests of a reopened job are known', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await aggregated(job, ['a', 'b', 'a', 'c'], { batchSize: 2 })
  const seen = await openDedupeIndex(job, 1)
  for (const [text, ordinal] of [
    ['a', 0],
    ['b', 1],
    ['c', 3],
    ['d', undefined],
  ] as const) {
    const key = keyOf(JSON.stringify(ask(text).params))
    await seen.prepare(key)
    t.equal(seen.find(key), ordinal, text)
  }
  await seen.close()
})

void t.test('a batch of a temporary job without dedupe has no index', async t => {
  const job = await temporaryJob()
  job.retain()
  t.teardown(() => job.release())
  await aggregated(job, ['a'], { dedupe: false })
  const seen = await openDedupeIndex(job, 1)
  const key = keyOf(JSON.stringify(ask('a').params))
  await seen.prepare(key)
  t.equal(seen.find(key), undefined)
  await seen.close()
})

void t.test('a table that cannot be filled leaves no file open', async t => {
  const dir = t.testdir()
  let failing = false
  const disk = watched((what, path) => {
    if (failing && what === 'read' && path.endsWith('keys')) throw new Error('no')
  })
  const job = await openFor(t, dir, { disk })
  await aggregated(job, ['a'])
  failing = true
  await t.rejects(openDedupeIndex(job, 1), /no/)
  t.same(
    openBelow(dir).filter(path => /batches\/.*(keys|seen)/.test(path)),
    [],
  )
})
