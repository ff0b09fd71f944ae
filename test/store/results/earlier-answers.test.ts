import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { KEY_BYTES } from '../../../lib/core/request-key.ts'
import { nodeDisk, type Disk } from '../../../lib/store/disk.ts'
import { inspectJob, isSound } from '../../../lib/store/inspect.ts'
import { EarlierAnswers, hasKeys } from '../../../lib/store/results/earlier-answers.ts'
import { csv, placeFor, type Place } from '../../cli/world.ts'
import { watched } from '../../support/jobs.ts'

/** A job with ten answers, each in a batch of its own, and one that has reused them all. */
async function jobsIn(t: Test): Promise<Place> {
  const place = await placeFor(t)
  const ask = ['-p', 'Say {{text}}', '--no-preflight']
  await place.run([...ask, '--job', 'a', '--batch-size', '1'], { stdin: csv(10) })
  await place.run([...ask, '--job', 'b', '--reuse', 'a'], { stdin: csv(10) })
  return place
}

interface Opened {
  readonly earlier: EarlierAnswers
  readonly damaged: string[]
}

async function open(place: Place, name: string, disk: Disk = nodeDisk): Promise<Opened> {
  const job = await inspectJob(disk, place.state, name)
  if (!job || !isSound(job) || !hasKeys(job)) throw new Error(`job ${name} has no keys`)
  const damaged: string[] = []
  const earlier = await EarlierAnswers.open({
    ...{ disk, path: place.path('index'), jobs: [job] },
    answeredBy: new URL(place.emulator.url).origin,
    onDamage: async (_job, why) => void damaged.push(why),
  })
  return { earlier, damaged }
}

const fileOf = (place: Place, name: string): string => join(place.state, 'jobs', name)

/** The key of the request with this number, from 0. */
const keyOf = (place: Place, at: number): Buffer =>
  readFileSync(fileOf(place, `a/batches/${at + 1}.keys`)).subarray(0, KEY_BYTES)

t.test('more batches are read than are open at a time', async t => {
  const place = await jobsIn(t)
  const { earlier, damaged } = await open(place, 'a')
  t.equal(earlier.count, 10)
  t.equal(earlier.tryReadSync(keyOf(place, 0)), undefined, 'nothing is in memory yet')
  for (const at of [...Array(10).keys(), 0])
    t.match(String((await earlier.read(keyOf(place, at)))?.raw), `Say text ${at}`)
  t.equal(await earlier.read(Buffer.alloc(KEY_BYTES)), null)
  t.same(damaged, [])
  await earlier.close()
})

t.test('a damaged batch is reported once, and its answers are not used', async t => {
  const place = await jobsIn(t)
  const { earlier, damaged } = await open(place, 'a')
  rmSync(fileOf(place, 'a/batches/1.lines'))
  const path = fileOf(place, 'a/batches/2.results')
  writeFileSync(path, Buffer.alloc(readFileSync(path).length))
  rmSync(fileOf(place, 'a/batches/3.results'))
  for (const at of [0, 1, 2, 0, 1, 2]) t.equal(await earlier.read(keyOf(place, at)), null)
  t.equal(earlier.tryReadSync(keyOf(place, 0)), null)
  t.match(damaged, [
    /1\.lines/,
    /2\.results or 2\.lines was changed/,
    /3\.results of the job is gone/,
  ])
  t.match(String((await earlier.read(keyOf(place, 3)))?.raw), 'Say text 3')
  await earlier.close()
})

t.test('a reused answer that was changed on disk is not reused again', async t => {
  const place = await jobsIn(t)
  const path = fileOf(place, 'b/batches/1.answers')
  const bytes = readFileSync(path)
  bytes[bytes.indexOf('Say text 4') + 4] = 0x58
  writeFileSync(path, bytes)
  const { earlier, damaged } = await open(place, 'b')
  t.match(String((await earlier.read(keyOf(place, 3)))?.raw), 'Say text 3')
  t.equal(earlier.tryReadSync(keyOf(place, 4)), undefined, 'it is read again, with its error')
  t.equal(await earlier.read(keyOf(place, 4)), null)
  t.match(damaged, [/reused answer 5 of batch 1 is damaged on disk/])
  await earlier.close()
})

t.test('an error that is not damage is not hidden', async t => {
  const place = await jobsIn(t)
  let failing = ''
  const disk: Disk = {
    ...nodeDisk,
    readWhole: async path => {
      if (failing && path.endsWith(failing)) throw new TypeError('a bug')
      return await nodeDisk.readWhole(path)
    },
  }
  const { earlier } = await open(place, 'a', disk)
  failing = '1.lines'
  await t.rejects(earlier.read(keyOf(place, 0)), { message: 'a bug' })
  await earlier.close()
  failing = '1.keys'
  await t.rejects(open(place, 'a', disk), { message: 'a bug' })
})

t.test('a disk that fails is not damage, so that nothing is paid for because of it', async t => {
  const place = await jobsIn(t)
  let isFailing = false
  const disk = watched((what, path) => {
    if (isFailing && path.endsWith('1.lines')) throw new BatchStreamError('CBS_DISK', 'EIO')
  })
  const { earlier, damaged } = await open(place, 'a', disk)
  isFailing = true
  await t.rejects(earlier.read(keyOf(place, 0)), { code: 'CBS_DISK' })
  isFailing = false
  t.match(String((await earlier.read(keyOf(place, 0)))?.raw), 'Say text 0')
  t.same(damaged, [])
  await earlier.close()
})

t.test('a disk without synchronous reads is waited for', async t => {
  const place = await jobsIn(t)
  const disk = watched(() => {})
  const { earlier } = await open(place, 'a', disk)
  t.equal(earlier.tryReadSync(keyOf(place, 0)), undefined)
  t.match(String((await earlier.read(keyOf(place, 0)))?.raw), 'Say text 0')
  await earlier.close()
})
