import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { aggregate } from '../../lib/stages/aggregate/aggregate.ts'
import { each, from } from '../../lib/core/chain.ts'
import type { StoredJob } from '../../lib/store/job.ts'
import { freeCount, sendableCount, waitsForEnds } from '../../lib/store/sendable.ts'
import { BatchStreamError } from '../../lib/core/errors.ts'
import { half, splitBatch } from '../../lib/stages/submit/split-batch.ts'
import { openFor } from '../support/jobs.ts'
import { asks } from '../support/world.ts'

/** A job with three sealed batches of four requests. */
async function threeOfFour(t: Test, dir: string = t.testdir()): Promise<StoredJob> {
  const job = await openFor(t, dir)
  const sealed = each(from(Readable.from(asks(12)), aggregate({ job, batchSize: 4 })))
  for await (const batch of sealed) t.equal(batch.requests, 4)
  return job
}

const armed = { type: 'armed', at: 0, serverAt: null } as const

void t.test('a batch is sent whole while no other is in flight', async t => {
  t.equal(sendableCount(await threeOfFour(t), 2, Infinity), 4)
})

void t.test('a batch waits for one with the same count that is being sent', async t => {
  const job = await threeOfFour(t)
  job.queue.beginSending(1)
  t.equal(sendableCount(job, 2, Infinity), 0, 'not armed yet')
  await job.note({ ...armed, number: 1 }, false)
  t.equal(sendableCount(job, 2, Infinity), 0, 'armed')
  const gone = job.when(() => sendableCount(job, 2, Infinity) > 0, new AbortController().signal)
  job.queue.endSending(1)
  await gone
})

void t.test('a batch is split if one with the same count is being reconciled', async t => {
  const job = await threeOfFour(t)
  await job.note({ ...armed, number: 1 }, false)
  t.equal(sendableCount(job, 2, Infinity), 3)
  await job.note({ type: 'submitted', number: 1, id: 'msgbatch_1', at: 0, adopted: true }, false)
  t.equal(sendableCount(job, 2, Infinity), 4, 'a batch whose id is known needs no tag')
})

void t.test('a batch waits for its slot', async t => {
  const job = await threeOfFour(t)
  job.queue.beginSending(1)
  t.equal(sendableCount(job, 2, 1), 0)
  job.queue.endSending(1)
  await job.note({ ...armed, number: 1 }, false)
  t.equal(sendableCount(job, 2, 1), 0)
  t.equal(sendableCount(job, 2, 2), 3)
})

void t.test(
  'a run that does not wait for ends has sent everything when only an end makes room',
  async t => {
    const job = await threeOfFour(t)
    t.notOk(waitsForEnds(job, 1), 'the first may go')
    job.queue.beginSending(1)
    t.notOk(waitsForEnds(job, 1), 'it is on its way')
    await job.note({ ...armed, number: 1 }, false)
    job.queue.endSending(1)
    t.notOk(waitsForEnds(job, 1), 'it is looked for')
    await job.note({ type: 'submitted', number: 1, id: 'msgbatch_1', at: 0, adopted: true }, false)
    t.ok(waitsForEnds(job, 1))
    t.notOk(waitsForEnds(job, Infinity))
    for (const number of [2, 3])
      await job.note(
        { type: 'submitted', number, id: `msgbatch_${number}`, at: 0, adopted: true },
        false,
      )
    t.notOk(waitsForEnds(job, Infinity), 'nothing is left')
  },
)

void t.test('nothing is sent, and nothing is finished, while input is compared', async t => {
  const dir = t.testdir()
  await (await threeOfFour(t, dir)).close()
  const job = await openFor(t, dir)
  t.equal(sendableCount(job, 1, Infinity), 4)
  job.input.startReplay()
  t.equal(sendableCount(job, 1, Infinity), 0)
  t.notOk(waitsForEnds(job, Infinity))
})

for (const [most, used, count] of [
  [10, [], 10],
  [10, [10, 9], 8],
  [10, [10, 9, 8, 7, 6], 10],
  [10, [10, 9, 8, 7], 6],
  [3, [3], 2],
  [1, [1], 1],
  [1, [], 1],
] as const) {
  void t.test(
    `with a maximum of ${most} and ${used.join()} in use the next batch has ${count}`,
    async t => {
      t.equal(freeCount(most, new Set(used)), count)
    },
  )
}

void t.test('the parts of a split batch share its slot', async t => {
  const job = await threeOfFour(t)
  const parts = await splitBatch(job, 1, half(4))
  t.same(parts, [4, 5])
  t.equal(sendableCount(job, 4, 1), 2)
  await job.note({ type: 'submitted', number: 4, id: 'msgbatch_1', at: 0, adopted: true }, false)
  t.equal(sendableCount(job, 5, 1), 2, 'its sibling is in flight')
  t.equal(sendableCount(job, 2, 1), 0, 'another batch waits')
})

void t.test('submission stops once, and notifies the waiting', async t => {
  const job = await threeOfFour(t)
  const stopped = job.when(() => job.queue.stopReason !== undefined, new AbortController().signal)
  const first = new BatchStreamError('CBS_ACCESS', 'first')
  job.queue.stop(first)
  job.queue.stop(new BatchStreamError('CBS_STOPPED', 'second'))
  await stopped
  t.equal(job.queue.stopReason, first)
  t.equal(job.queue.unreportedStop, first)
  job.queue.isStopHandled = true
  t.equal(job.queue.unreportedStop, undefined)
})
