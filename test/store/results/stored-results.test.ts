import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { spentOnBatch } from '../../../lib/run/capped-job.ts'
import { listPrice } from '../../../lib/cost/price.ts'
import { storedResults } from '../../../lib/store/results/stored-results.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { asks, makeWorld, run } from '../../support/world.ts'

async function responses(job: StoredJob, number: number): Promise<(string | null)[]> {
  const texts: (string | null)[] = []
  for await (const { response } of storedResults(job.store, job.batch(number))) texts.push(response)
  return texts
}

t.test('every answer of a stored set is read in the order of its requests', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const results = await run(world, job, asks(3))
  t.same(
    await responses(job, 1),
    results.map(({ response }) => response),
  )
})

t.test('a request without a line has no answer, nor has a batch without results', async t => {
  const drop = { lines: { drop: 2 } }
  const world = await makeWorld(t, { faults: [{ on: 'results', ...drop }] })
  const job = await world.open()
  job.on('event', ({ type }) => type === 'sealed' && t.same(job.batch(1).fetched, null))
  await run(world, job, asks(3))
  t.equal((await responses(job, 1)).length, 2)
  t.same(await responses(await unsent(world), 1), [])
})

async function unsent(world: Awaited<ReturnType<typeof makeWorld>>): Promise<StoredJob> {
  const job = await world.open({ name: 'unsent' })
  const approve = async (): Promise<boolean> => false
  await run(world, job, asks(1), { submit: { approve } })
  return job
}

t.test('13.9: a changed stored set is detected before its cost is counted', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  await run(world, job, asks(3))
  const path = job.store.path(1, 'results')
  const whole = readFileSync(path, 'utf8')
  const damages: readonly (() => void)[] = [
    () => truncateSync(path, whole.length - 10),
    () => writeFileSync(path, whole.replace('"output_tokens":', '"output_tokenz":')),
    () => writeFileSync(path, ''),
  ]
  for (const damage of damages) {
    damage()
    await t.rejects(spentOnBatch(job, 1, listPrice), {
      code: 'CBS_STATE',
      message: /of batch 1 is damaged on disk/,
    })
    writeFileSync(path, whole)
  }
  t.ok((await spentOnBatch(job, 1, listPrice)) !== undefined)
})
