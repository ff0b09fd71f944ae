import type { RunEvent } from '../../lib/core/job/run-event.ts'
import t from 'tap'
import type { Job } from '../../lib/core/job/job.ts'
import { storedJob } from '../../lib/store/job.ts'
import { sentAfter, answeredAfter } from '../../lib/store/sent-records.ts'
import { openFor, record, watched } from '../support/jobs.ts'
import { untilIdle } from '../support/virtual-clock.ts'

const sealed = (number: number, more: object = {}) => ({
  type: 'sealed' as const,
  number,
  attempt: 1,
  next: 0,
  records: 1,
  requests: 1,
  bytes: 1,
  hash: '',
  ...more,
})

void t.test('an unknown batch is an error', async t => {
  const job = await openFor(t, t.testdir())
  t.throws(() => job.batch(3), { code: 'CBS_STAGE', message: 'job test has no batch 3' })
})

void t.test('a stage takes only a job that openJob() returned', async t => {
  const { name, state } = await openFor(t, t.testdir())
  t.throws(() => storedJob({ name, state } as Job), {
    code: 'CBS_OPTION',
    message: /`job` must be a job that openJob\(\) of this package returned/,
  })
})

void t.test('a listener is called with each event until it is removed', async t => {
  const job = await openFor(t, t.testdir())
  const seen: string[] = []
  const listener = ({ type }: RunEvent): void => void seen.push(type)
  job.on('event', listener)
  await job.note(sealed(1), false)
  job.off('event', listener)
  await job.note(sealed(2), false)
  t.same(seen, ['sealed'])
})

void t.test('a listener that throws or rejects changes nothing (13.4)', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  const warnings: string[] = []
  const warn = ({ message }: Error): void => void warnings.push(message)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  const seen: string[] = []
  job.on('event', () => {
    throw new Error('no')
  })
  job.on('event', async () => Promise.reject(new Error('late')))
  job.on('event', ({ type }) => seen.push(type))
  await job.note(sealed(1), true)
  await job.note({ type: 'submitted', number: 1, id: 'a', at: 0, adopted: false }, true)
  await job.note({ type: 'fetched', number: 1, lines: 0, bytes: 0, why: null }, true)
  job.emit({ type: 'rows', number: 1, rows: 1 })
  t.same(seen, ['sealed', 'submitted', 'fetched', 'rows'])
  await untilIdle()
  t.same(warnings, [
    '`job.on` failed, and the run continues: no',
    '`job.on` failed, and the run continues: late',
  ])
  await job.close()
  t.equal((await openFor(t, dir)).batch(1).phase, 'fetched')
})

void t.test('an event that cannot follow is rejected before it is written (13.4)', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  await job.note(sealed(1), false)
  // Both are appended before either is written: the second is judged by the change of the first.
  const first = job.note({ type: 'split', number: 1, into: [] }, false)
  const second = job.note({ type: 'split', number: 1, into: [] }, false)
  await first
  await t.rejects(second, {
    code: 'CBS_STAGE',
    message:
      'job test cannot note "split": it moves batch 1 from void to void; nothing was written',
  })
  await t.rejects(
    job.note({ type: 'finished', at: 0 }, false).then(() => job.note(sealed(1), false)),
    /seals batch 1 twice/,
  )
  await job.note(sealed(2), false)
  await t.rejects(job.note({ type: 'split', number: 2, into: [sealed(3), sealed(3)] }, false), {
    message: /seals batch 3 twice/,
  })
  t.equal(job.batch(2).phase, 'sealed', 'a refused event changes nothing')
  await job.close()
  t.same([...(await openFor(t, dir)).state.batches.keys()], [1, 2])
})

void t.test('a condition that throws fails its waiter, not the appended event', async t => {
  const job = await openFor(t, t.testdir())
  let isBroken = false
  const waiting = job.when(() => {
    if (isBroken) throw new Error('a bad condition')
    return false
  }, new AbortController().signal)
  isBroken = true
  await Promise.all([t.rejects(waiting, /a bad condition/), job.note(sealed(1), false)])
})

void t.test('a waiter continues when its condition holds, or when its signal aborts', async t => {
  const job = await openFor(t, t.testdir())
  const stop = new AbortController()
  await job.when(() => true, stop.signal)
  let gone = false
  const waiting = job
    .when(() => job.state.batches.size === 2, stop.signal)
    .then(() => (gone = true))
  await job.note(sealed(1), false)
  t.notOk(gone)
  await job.note(sealed(2), false)
  await waiting
  const never = job.when(() => false, stop.signal)
  stop.abort(new Error('enough'))
  await t.rejects(never, /enough/)
  await t.rejects(
    job.when(() => true, stop.signal),
    /enough/,
  )
})

void t.test('fetched batches come first and in order, unsent ones last', async t => {
  const job = await openFor(t, t.testdir())
  for (const number of [1, 2, 3, 4, 5, 6]) await job.note(sealed(number), false)
  await job.note(sealed(7, { attempt: 2 }), false)
  const submitted = (number: number) =>
    job.note({ type: 'submitted', number, id: `${number}`, at: 0, adopted: false }, false)
  const fetched = (number: number) =>
    job.note({ type: 'fetched', number, lines: 0, bytes: 0, why: null }, false)
  await job.note({ type: 'split', number: 6, into: [] }, false)
  for (const number of [5, 3, 4]) await submitted(number)
  for (const number of [5, 3]) await fetched(number)
  await job.note({ type: 'armed', number: 2, at: 0, serverAt: null }, false)
  t.same(
    job.batchesOf(1).map(({ number }) => number),
    [5, 3, 2, 4, 1],
  )
  t.same(
    job.batchesOf(2).map(({ number }) => number),
    [7],
  )
})

void t.test('progress events keep their order, however slow the disk is', async t => {
  // The first sync of the records takes longer than the second.
  let syncs = 0
  let finish = (): void => {}
  const slow = new Promise<void>(resolve => (finish = resolve))
  const disk = watched(async (what, path) => {
    if (what === 'sync' && path.endsWith('records.jsonl') && syncs++ === 0) await slow
  })
  const dir = t.testdir()
  const job = await openFor(t, dir, { disk })
  await job.input.appendOrVerify(record({ n: 0 }))
  const part = { number: 1, attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
  const sealing = job.seal(part)
  for (const n of [1, 2]) await job.input.appendOrVerify(record({ n }))
  const completing = job.input.complete()
  // The second has had time to finish by now.
  void untilIdle().then(finish)
  await Promise.all([sealing, completing])
  t.same(job.state.spooled, {
    records: 3,
    bytes: job.store.records.bytes,
    complete: true,
    broken: null,
  })
  await job.close()
  const again = await openFor(t, dir)
  t.equal(again.store.records.count, 3)
  const rest: unknown[] = []
  for await (const one of again.input.unbatchedRecords()) rest.push(one.fields['n'])
  t.same(rest, [1, 2])
})

void t.test('the batches show which records were retried and answered', async t => {
  const job = await openFor(t, t.testdir())
  const writer = await job.store.newBatch()
  writer.add(Buffer.from('{}'), 5, undefined)
  writer.reject({ ordinal: 9, custom_id: null, type: 'bad', message: 'no' })
  await job.seal(await writer.seal(2, 0))
  await job.note(sealed(8, { attempt: 2, foreign: true }), false)
  t.same([...(await sentAfter(job, 1))], [5, 9])
  t.same([...(await sentAfter(job, 2))], [])
  t.same([...(await answeredAfter(job, 1))], [])
  await job.note({ type: 'submitted', number: 1, id: 'a', at: 0, adopted: false }, false)
  await job.note({ type: 'fetched', number: 1, lines: 0, bytes: 0, why: null }, false)
  t.same([...(await answeredAfter(job, 1))], [5, 9])
})

void t.test('a job whose files fail to close is unlocked anyway', async t => {
  const dir = t.testdir()
  const job = await openFor(t, dir)
  const { records } = job.store
  const close = records.close.bind(records)
  records.close = async () => {
    await close()
    throw new Error('EIO')
  }
  await t.rejects(job.close(), /EIO/)
  await openFor(t, dir)
})
