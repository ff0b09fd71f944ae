import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { chain, each, from } from '../../lib/core/chain.ts'
import { Page, PAGES_SWITCH, takePages } from '../../lib/core/pages.ts'
import { stage, StageTransform, typed, type Stage } from '../../lib/core/stage.ts'

class Numbers extends Page<number> {
  readonly #numbers: readonly number[]

  constructor(numbers: readonly number[]) {
    super()
    this.#numbers = numbers
  }

  [Symbol.iterator](): Iterator<number> {
    return this.#numbers[Symbol.iterator]()
  }
}

type Seen = number | 'page'

/** Gives a page of three numbers for each positive number, and negative ones alone. */
function giver(): Stage<number, number> {
  return typed(
    new StageTransform({
      objectMode: true,
      transform: (n: number, _encoding, done) =>
        done(null, n < 0 ? n : new Numbers([n, n + 1, n + 2])),
    }),
  )
}

/** Notes what reaches it, and gives it on. */
function taker(seen: Seen[]): Stage<number, number> {
  return typed(
    new StageTransform({
      objectMode: true,
      takesPages: true,
      transform(chunk: unknown, _encoding, done) {
        seen.push(chunk instanceof Page ? 'page' : Number(chunk))
        done(null, chunk)
      },
    }),
  )
}

function sink(seen: Seen[]): Writable {
  const writable = new Writable({
    objectMode: true,
    write(chunk: unknown, _encoding, done) {
      seen.push(chunk instanceof Page ? 'page' : Number(chunk))
      setImmediate(done)
    },
  })
  takePages(writable)
  return writable
}

const ITEMS = [1, 2, 3, 11, 12, 13]

async function all(items: AsyncIterable<number>): Promise<number[]> {
  const seen: number[] = []
  for await (const item of items) seen.push(item)
  return seen
}

void t.test(
  'stages that agree exchange pages, and the reader of the last stage gets single items',
  async t => {
    const seen: Seen[] = []
    t.same(await all(each(from([1, 11], giver(), taker(seen)))), ITEMS)
    t.same(seen, ['page', 'page'])
  },
)

void t.test('a sink receives pages through nested chains', async t => {
  const [first, second, last]: [Seen[], Seen[], Seen[]] = [[], [], []]
  const stages = chain(chain(giver(), taker(first)), chain(taker(second)), chain(taker([])))
  await pipeline(Readable.from([1, 11]), stages, sink(last))
  t.same(
    [first, second, last],
    [
      ['page', 'page'],
      ['page', 'page'],
      ['page', 'page'],
    ],
  )
})

void t.test('a stage of a user receives single items, and so do all later stages', async t => {
  const seen: Seen[] = []
  const user = stage((n: number) => n)
  t.same(await all(each(from([1, 11], chain(giver(), user), taker(seen)))), ITEMS)
  t.same(seen, ITEMS)
})

void t.test('a source with two readers gives single items to both', async t => {
  for (const attach of [
    (source: Readable, seen: Seen[]) => source.pipe(sink(seen)),
    (source: Readable, seen: Seen[]) => source.on('data', (n: number) => seen.push(n)),
  ]) {
    for (const whole of [giver(), chain(giver(), taker([]))]) {
      const [first, second]: [Seen[], Seen[]] = [[], []]
      const end = whole.pipe(sink(first))
      attach(whole, second)
      whole.end(1)
      await new Promise(done => end.on('finish', done))
      t.same(
        [first, second],
        [
          [1, 2, 3],
          [1, 2, 3],
        ],
      )
    }
  }
})

void t.test('a late reader receives single items', async t => {
  for (const whole of [giver(), chain(giver(), taker([]))]) {
    const [first, second]: [Seen[], Seen[]] = [[], []]
    const end = whole.pipe(sink(first))
    whole.write(1)
    await new Promise(done => setTimeout(done, 5))
    whole.on('data', (n: number) => second.push(n))
    whole.end(11)
    await new Promise(done => end.on('finish', done))
    t.same(first, ['page', 11, 12, 13])
    t.same(second, [11, 12, 13])
  }
})

void t.test('buffered pages become single items when their reader leaves', async t => {
  for (const [input, rest] of [
    [
      [1, 11, -1, 21],
      [11, 12, 13, -1, 21, 22, 23],
    ],
    [
      [1, -1, 11],
      [-1, 11, 12, 13],
    ],
  ] as const) {
    for (const whole of [giver(), chain(giver(), taker([]))]) {
      const stuck = new Writable({ objectMode: true, write() {} })
      takePages(stuck)
      whole.pipe(stuck)
      for (const n of input) whole.write(n)
      await new Promise(done => setTimeout(done, 5))
      whole.unpipe(stuck)
      whole.end()
      // The reader that left has the first page.
      t.same(await all(each(whole)), rest)
    }
  }
})

void t.test('a switch for tests turns pages off', async t => {
  Reflect.set(globalThis, PAGES_SWITCH, false)
  t.teardown(() => Reflect.deleteProperty(globalThis, PAGES_SWITCH))
  const seen: Seen[] = []
  t.same(await all(each(from([1, 11], giver(), taker(seen)))), ITEMS)
  t.same(seen, ITEMS)
})
