import { once } from 'node:events'
import { PassThrough, Readable, Transform, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { BatchStreamError } from '../../lib/core/errors.ts'
import {
  mustTakeObjects,
  pushAll,
  stage,
  StageTransform,
  type Given,
} from '../../lib/core/stage.ts'

async function through<Out>(
  items: unknown[],
  fn: (item: never) => Given<Out> | Promise<Given<Out>>,
): Promise<unknown[]> {
  const given: unknown[] = []
  await pipeline(Readable.from(items), stage(fn), async function (stream: AsyncIterable<unknown>) {
    for await (const item of stream) given.push(item)
  })
  return given
}

void t.test('an argument that is not a function is rejected at once', async t => {
  // @ts-expect-error a text is no function
  t.throws(() => stage('x'), { code: 'CBS_OPTION', message: /`fn` must be a function/ })
})

void t.test('a value is passed on, undefined and null drop the item', async t => {
  t.same(await through([1, 2, 3], (n: number) => (n === 2 ? undefined : n * 10)), [10, 30])
  // A JavaScript user may return null, which would end a stream.
  t.same(await through([1, 2], (n: number) => (n === 1 ? (null as never) : n)), [2])
})

void t.test('an async function is awaited, one item at a time', async t => {
  let busy = 0
  const given = await through([1, 2, 3], async (n: number) => {
    t.equal(++busy, 1)
    await new Promise(resolve => setImmediate(resolve))
    busy--
    return n
  })
  t.same(given, [1, 2, 3])
})

void t.test('an iterable emits each of its values, sync or async, without empty ones', async t => {
  t.same(await through([1], () => [1, 2, null as never, undefined, 3]), [1, 2, 3])
  t.same(
    await through([1], async function* (n: number) {
      yield n
      yield n + 1
    }),
    [1, 2],
  )
})

void t.test('a string, a Buffer and an object are single values', async t => {
  t.same(await through([1], () => 'abc'), ['abc'])
  t.same(await through([1], () => Buffer.from('abc') as never), [Buffer.from('abc')])
  t.same(await through([1], () => ({ a: 1 }) as never), [{ a: 1 }])
})

for (const [how, fn] of [
  [
    'throws',
    () => {
      throw new Error('boom')
    },
  ],
  [
    'rejects',
    async () => {
      throw new Error('boom')
    },
  ],
  [
    'fails in the middle',
    function* () {
      yield 1
      throw new Error('boom')
    },
  ],
] as const) {
  void t.test(`a function that ${how} ends the pipeline with CBS_STAGE`, async t => {
    await t.rejects(through([1], fn as never), {
      code: 'CBS_STAGE',
      message: 'the function of a stage failed: boom',
    })
  })
}

void t.test('a BatchStreamError that a function throws keeps its code', async t => {
  const ours = new BatchStreamError('CBS_STOPPED', 'enough')
  const throwing = (): never => {
    throw ours
  }
  t.equal(await through([1], throwing).catch((cause: unknown) => cause), ours)
})

void t.test('a slow reader holds back an endless iterable', async t => {
  let made = 0
  const endless = stage(function* () {
    for (;;) yield ++made
  })
  const read: number[] = []
  const slow = new Writable({
    objectMode: true,
    highWaterMark: 1,
    write(n: number, _encoding, done) {
      read.push(n)
      if (read.length === 100) return done(new Error('enough'))
      setImmediate(done)
    },
  })
  await t.rejects(pipeline(Readable.from([1]), endless, slow), /enough/)
  t.same(
    read,
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
  t.ok(made <= 100 + 2 * 16 + 2, `${made} were made for 100 that were read`)
})

void t.test('destroying a stage that waits for its reader ends its iterable', async t => {
  let left = false
  const endless = stage(function* () {
    try {
      for (;;) yield 1
    } finally {
      left = true
    }
  })
  endless.write(1)
  await new Promise(resolve => endless.once('readable', resolve))
  endless.destroy()
  await new Promise(resolve => endless.once('close', resolve))
  await new Promise(resolve => setImmediate(resolve))
  t.ok(left)
})

void t.test('a stage whose _destroy waits for its pushing still closes', async t => {
  const stop = new AbortController()
  let pushing: Promise<void> | undefined
  const waiting = new Transform({
    objectMode: true,
    transform(_item, _encoding, done) {
      pushing = pushAll(waiting, [1, 2, 3, 4, 5], stop.signal).then(() => done())
    },
    destroy(error, done) {
      stop.abort()
      void pushing?.then(() => done(error))
    },
    highWaterMark: 1,
  })
  waiting.write(1)
  await new Promise(resolve => waiting.once('readable', resolve))
  waiting.destroy()
  await new Promise(resolve => waiting.once('close', resolve))
  t.equal(waiting.listenerCount('close'), 0)
})

void t.test('a reader that destroys the stage during a push ends the pushing', async t => {
  const stop = new AbortController()
  let given = 0
  const source = new Transform({
    objectMode: true,
    highWaterMark: 1,
    transform: (_i, _e, done) => done(),
  })
  source.push = () => {
    given++
    source.destroy()
    stop.abort()
    return false
  }
  await pushAll(source, [1, 2, 3], stop.signal)
  t.equal(given, 1)
})

for (const how of ['read', 'closed'] as const)
  void t.test(`a stop is reported once all rows are ${how}`, async t => {
    const rows = new StageTransform({
      objectMode: true,
      transform: (row, _encoding, done) => done(null, row),
    })
    rows.write('one')
    rows.write('two')
    let isReported = false
    const stopped = rows.reportStop(new Error('the cap is reached')).finally(() => {
      isReported = true
    })
    const rejected = t.rejects(stopped, { message: 'the cap is reached' })
    t.equal(rows.read(), 'one')
    await new Promise(setImmediate)
    t.notOk(isReported)
    if (how === 'read') t.equal(rows.read(), 'two')
    else rows.destroy()
    await rejected
  })

void t.test('only a stage that gives objects needs a stream that takes them', async t => {
  class Objects extends StageTransform {
    override get givesObjects(): string {
      return 'objects'
    }
  }
  const bytes = (): PassThrough => new PassThrough()
  mustTakeObjects(Readable.from([]), bytes())
  mustTakeObjects(new StageTransform(), bytes())
  mustTakeObjects(new Objects(), new PassThrough({ objectMode: true }))
  // Node's types want a stream of its own, which an older library may not have.
  mustTakeObjects(new Objects(), {} as NodeJS.WritableStream)
  const wrong = new Objects()
  mustTakeObjects(wrong, bytes())
  const [error] = await once(wrong, 'error')
  t.match(error, { code: 'CBS_STAGE', message: /^objects gives objects, and/ })
})
