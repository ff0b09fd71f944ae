import { createReadStream } from 'node:fs'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { chain, each, from } from '../../lib/core/chain.ts'
import { stage, type Stage } from '../../lib/core/stage.ts'

const double = () => stage((n: number) => n * 2)
const text = () => stage((n: number) => `<${n}>`)

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const seen: T[] = []
  for await (const item of items) seen.push(item)
  return seen
}

void t.test('a chain of stages is one stage', async t => {
  t.same(await all(each(from(Readable.from([1, 2, 3]), chain(double(), double(), text())))), [
    '<4>',
    '<8>',
    '<12>',
  ])
})

void t.test('any number of stages can be joined', async t => {
  const one = () => stage((n: number) => n + 1)
  const nine = chain(one(), one(), one(), one(), one(), one(), one(), one(), one())
  t.same(await all(each(from([0], nine, one(), one()))), [11])
  const ten = from([0], one(), one(), one(), one(), one(), one(), one(), one(), one(), text())
  t.same(await all(each(ten)), ['<9>'])
})

void t.test('a chain of one stage is that stage', async t => {
  const one = double()
  t.equal(chain(one), one)
})

void t.test('a wrong order does not compile', async t => {
  // @ts-expect-error text gives strings, and double takes numbers
  t.ok(chain(text(), double()))
})

void t.test('a source may be any iterable, followed by several stages', async t => {
  t.same(await all(each(from([1, 2], double(), text()))), ['<2>', '<4>'])
})

void t.test('a missing file is an error of the chain', async t => {
  await t.rejects(all(each(from(createReadStream('/no/such/file'), double()))), { code: 'ENOENT' })
})

void t.test('an error in a stage is the error of the chain, as the same object', async t => {
  const boom = stage((n: number) => {
    if (n === 2) throw new Error('boom')
    return n
  })
  await t.rejects(all(each(from([1, 2, 3], double(), boom, text()))), { code: 'CBS_STAGE' })
})

void t.test('leaving the loop early destroys the source and every stage', async t => {
  const source = Readable.from(endless())
  const stages = [double(), double()] as const
  for await (const n of each(from(source, chain(...stages)))) {
    t.equal(n, 4)
    break
  }
  await new Promise(resolve => setImmediate(resolve))
  t.same(
    [source, ...stages].map(stream => stream.destroyed),
    [true, true, true],
  )
})

void t.test('destroying the chain ends each stage', async t => {
  const stages = [double(), text()] as const
  const whole = chain(...stages)
  whole.on('error', () => {})
  whole.destroy(new Error('enough'))
  // A stage that stayed open would hang the test here.
  for (const one of stages)
    if (!one.closed) await new Promise(resolve => one.once('close', resolve))
  t.same(
    stages.map(stream => stream.destroyed),
    [true, true],
  )
})

function* endless(): Generator<number> {
  for (let n = 1; ; n++) yield n
}

void t.test('a failing stage ends nested chains, however deep', async t => {
  const pass = (): Stage<number, number> => stage((n: number) => n)
  const fails = stage(async (n: number): Promise<number> => {
    if (n === 3) throw new Error('boom')
    return n
  })
  let whole: Stage<number, number> = chain(pass(), fails)
  for (let depth = 0; depth < 5; depth++) whole = chain(chain(pass(), whole), pass())
  await t.rejects(
    pipeline(Readable.from([1, 2, 3]), whole, async (numbers: AsyncIterable<number>) => {
      for await (const _ of numbers);
    }),
    { code: 'CBS_STAGE', message: /boom/ },
  )
})

void t.test('a stage or a source that has ended is not used again', async t => {
  const used = double()
  const source = from([1, 2], used)
  t.same(await all(each(source)), [2, 4])
  const reason = { code: 'CBS_STAGE', message: /has ended already: create new streams/ }
  for (const again of [
    () => from([3], used),
    () => chain(used, text()),
    () => from(source, text()),
  ])
    t.throws(again, reason)
})

void t.test('a chain without listeners can be destroyed', async t => {
  const whole = chain(
    stage((n: number) => n),
    stage((n: number) => n),
  )
  whole.destroy()
  await once(whole, 'close')
  t.ok(whole.destroyed)
})
