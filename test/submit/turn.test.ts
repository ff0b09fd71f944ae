import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { aggregate } from '../../lib/aggregate/aggregate.ts'
import { each, from } from '../../lib/chain.ts'
import type { Job } from '../../lib/job/job.ts'
import { mayGo, waitsForEnd } from '../../lib/submit/turn.ts'
import { openFor } from '../support/jobs.ts'
import { asks } from '../support/world.ts'

/** A job with three sealed batches of four requests. */
async function threeOfFour(t: Test, dir: string = t.testdir()): Promise<Job> {
  const job = await openFor(t, dir)
  const sealed = each(from(Readable.from(asks(12)), aggregate({ job, count: 4 })))
  for await (const batch of sealed) t.equal(batch.requests, 4)
  return job
}

const armed = { type: 'armed', at: 0, serverAt: null } as const

void t.test('a batch goes whole while no other is under way', async t => {
  t.equal(mayGo(await threeOfFour(t), 2), 4)
})

void t.test('it waits for one of its count that is on its way', async t => {
  const job = await threeOfFour(t)
  job.sending.begin(1)
  t.equal(mayGo(job, 2), 0, 'not armed yet')
  await job.note({ ...armed, number: 1 }, false)
  t.equal(mayGo(job, 2), 0, 'armed')
  const gone = job.when(() => mayGo(job, 2) > 0, new AbortController().signal)
  job.sending.end(1)
  await gone
})

void t.test('it takes another count where one of its own is looked for', async t => {
  const job = await threeOfFour(t)
  await job.note({ ...armed, number: 1 }, false)
  t.equal(mayGo(job, 2), 3)
  await job.note({ type: 'submitted', number: 1, id: 'msgbatch_1', at: 0, adopted: true }, false)
  t.equal(mayGo(job, 2), 4, 'a batch whose id is known needs no tag')
})

void t.test('it waits for its place', async t => {
  const job = await threeOfFour(t)
  job.concurrency = 1
  job.sending.begin(1)
  t.equal(mayGo(job, 2), 0)
  job.sending.end(1)
  await job.note({ ...armed, number: 1 }, false)
  t.equal(mayGo(job, 2), 0)
  job.concurrency = 2
  t.equal(mayGo(job, 2), 3)
})

void t.test('who does not wait for ends has sent all when only an end makes room', async t => {
  const job = await threeOfFour(t)
  job.concurrency = 1
  t.notOk(waitsForEnd(job), 'the first may go')
  job.sending.begin(1)
  t.notOk(waitsForEnd(job), 'it is on its way')
  await job.note({ ...armed, number: 1 }, false)
  job.sending.end(1)
  t.notOk(waitsForEnd(job), 'it is looked for')
  await job.note({ type: 'submitted', number: 1, id: 'msgbatch_1', at: 0, adopted: true }, false)
  t.ok(waitsForEnd(job))
  job.concurrency = Infinity
  t.notOk(waitsForEnd(job))
  for (const number of [2, 3])
    await job.note(
      { type: 'submitted', number, id: `msgbatch_${number}`, at: 0, adopted: true },
      false,
    )
  t.notOk(waitsForEnd(job), 'nothing is left')
})

void t.test('nothing goes, and nothing is over, while input is compared', async t => {
  const dir = t.testdir()
  await (await threeOfFour(t, dir)).close()
  const job = await openFor(t, dir)
  t.equal(mayGo(job, 1), 4)
  job.compare()
  t.equal(mayGo(job, 1), 0)
  t.notOk(waitsForEnd(job))
})
