import t from 'tap'
import type { JobEvent } from '../../lib/core/job/event.ts'
import { apply, fold, type BatchState, type JobState, VERSION } from '../../lib/core/job/state.ts'
import { judge, raising, spendingOf } from '../../lib/cost/budget.ts'
import type { SharedBill } from '../../lib/store/shared.ts'
import { Cap, type CapOptions } from '../../lib/run/cap.ts'

const OPENED: JobEvent = { type: 'opened', version: VERSION, run: 'test', at: 0 }
const NONE = { spent: 0n, reserved: 0n, open: 0, isUnknown: false }

/** A job in memory: its events and the waiting callers. A crash is a new one with the same events. */
class Books {
  readonly events: JobEvent[]
  state: JobState
  readonly #waiting = new Set<() => void>()

  constructor(events: readonly JobEvent[] = [OPENED]) {
    this.events = [...events]
    // The first event always exists.
    this.state = fold(events) as JobState
  }

  batch(number: number): BatchState {
    const batch = this.state.batches.get(number)
    if (!batch) throw new Error(`no batch ${number}`)
    return batch
  }

  async note(event: JobEvent): Promise<void> {
    this.events.push(event)
    this.state = apply(this.state, event)
    for (const look of [...this.#waiting]) look()
  }

  when(condition: () => boolean): Promise<void> {
    return new Promise(resolve => {
      const look = (): void => {
        if (!condition()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  seal(number: number): Promise<void> {
    const size = { next: number, records: 1, requests: 1, bytes: 1, hash: '' }
    return this.note({ type: 'sealed', number, attempt: 1, ...size })
  }

  async send(number: number): Promise<void> {
    await this.note({ type: 'armed', number, at: 0, serverAt: null })
    await this.note({ type: 'submitted', number, id: `id-${number}`, at: 0, adopted: false })
  }

  async end(number: number): Promise<void> {
    await this.note({ type: 'ended', number, counts: null, resultsUrl: null, at: 0 })
  }

  async fetch(number: number): Promise<void> {
    await this.note({ type: 'fetched', number, lines: 1, bytes: 1, why: null })
  }
}

function capOn(books: Books, more: Partial<CapOptions> = {}): Cap {
  return new Cap({
    job: books,
    most: 100n,
    worstOf: async () => 10n,
    spentOn: async () => 1n,
    ...more,
  })
}

const signal = new AbortController().signal

t.test(
  'a batch fits if all that may be billed stays below the cap, to the last femtodollar',
  async t => {
    t.equal(judge(10n, { ...NONE, spent: 3n, reserved: 3n }, 4n), 'send')
    t.equal(judge(10n, { ...NONE, spent: 3n, reserved: 3n }, 5n), 'stop')
    t.equal(judge(10n, { ...NONE, spent: 3n, reserved: 3n, open: 1 }, 5n), 'wait')
  },
)

t.test('while the worst case of a batch in flight is unknown, none is sent', async t => {
  t.equal(judge(10n, { ...NONE, isUnknown: true, open: 1 }, 1n), 'wait')
  t.equal(judge(10n, { ...NONE, isUnknown: true }, 1n), 'stop')
})

t.test(
  'a reservation lasts until the results are stored, and is replaced by their cost',
  async t => {
    const books = new Books()
    for (const number of [1, 2]) await books.seal(number)
    const spentOn = new Map<number, bigint>()
    const spending = (): unknown =>
      spendingOf([...books.state.batches.values()], spentOn, books.batch(2))
    await books.note({ type: 'reserved', number: 1, amount: '7' })
    t.same(spending(), { ...NONE, reserved: 7n }, 'before it is sent')
    await books.send(1)
    t.same(spending(), { ...NONE, reserved: 7n, open: 1 })
    await books.end(1)
    t.same(spending(), { ...NONE, reserved: 7n, open: 1 })
    await books.fetch(1)
    spentOn.set(1, 4n)
    t.same(spending(), { ...NONE, spent: 4n })
  },
)

t.test('missing answers may have been billed, so their reservation stays', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  await books.note({ type: 'reserved', number: 1, amount: '7' })
  await books.send(1)
  await books.end(1)
  await books.note({ type: 'fetched', number: 1, lines: 1, bytes: 1, why: 'they are gone' })
  const spending = spendingOf([...books.state.batches.values()], new Map([[1, 4n]]), books.batch(2))
  t.same(spending, { ...NONE, reserved: 7n })
})

t.test(
  'a batch that ended behind another is not waited for: in input order it comes later',
  async t => {
    const books = new Books()
    const size = { attempt: 1, next: 2, records: 1, requests: 1, bytes: 1, hash: '' }
    for (const number of [1, 2])
      await books.note({ type: 'sealed', ...size, number, first: number - 1 })
    await books.send(2)
    await books.end(2)
    const spending = (number: number): unknown =>
      spendingOf([...books.state.batches.values()], new Map(), books.batch(number))
    t.match(spending(1), { open: 0, isUnknown: true })
    await books.note({ type: 'split', number: 1, into: [{ ...size, number: 3, first: 0 }] })
    t.match(spending(3), { open: 0 }, 'nor by a part of one that stood before it')
  },
)

t.test('a split batch reserves nothing; its parts reserve for themselves', async t => {
  const books = new Books()
  await books.seal(1)
  await books.note({ type: 'reserved', number: 1, amount: '90' })
  const part = { attempt: 1, next: 1, records: 1, requests: 1, bytes: 1, hash: '' }
  await books.note({ type: 'split', number: 1, into: [{ number: 2, ...part }] })
  t.ok(await capOn(books, { worstOf: async () => 95n }).approve({ number: 2 }, signal))
})

t.test(
  'a batch that does not fit waits for those in flight, and is sent if they were cheaper',
  async t => {
    const books = new Books()
    for (const number of [1, 2]) await books.seal(number)
    const cap = capOn(books, { worstOf: async () => 60n })
    t.ok(await cap.approve({ number: 1 }, signal))
    await books.send(1)
    const second = cap.approve({ number: 2 }, signal)
    t.equal(await Promise.race([second, new Promise(resolve => setImmediate(resolve))]), undefined)
    await books.end(1)
    await books.fetch(1)
    t.ok(await second)
    t.equal(cap.stopped, undefined)
  },
)

t.test('worst cases are raised as far as a batch was billed above its own', async t => {
  const batches = [
    { number: 1, reserved: '10' },
    { number: 2, reserved: '10' },
    { number: 3, reserved: '9' },
    { number: 4 },
    { number: 5, reserved: '1' },
  ]
  const spentOn = new Map([
    [1, 10n],
    [2, 4n],
    [4, 99n],
  ])
  t.equal(raising(batches, spentOn)(10n), 10n)
  t.equal(raising(batches, spentOn.set(3, 18n))(10n), 20n)
  t.equal(raising(batches, spentOn.set(3, 19n))(10n), 22n, 'rounded up')

  const books = new Books()
  for (const number of [1, 2, 3]) await books.seal(number)
  const cap = capOn(books, { worstOf: async () => 30n, spentOn: async () => 60n })
  t.ok(await cap.approve({ number: 1 }, signal))
  await books.note({ type: 'reserved', number: 3, amount: '30' })
  await books.send(1)
  await books.end(1)
  await books.fetch(1)
  t.notOk(await cap.approve({ number: 3 }, signal), 'reserved by an earlier run')
  t.match(cap.stopped, /batch 3 can cost/)
  t.notOk(
    await capOn(books, { worstOf: async () => 30n, spentOn: async () => 60n }).approve(
      { number: 2 },
      signal,
    ),
  )
})

t.test('so are the reservations of batches in flight', async t => {
  const books = new Books()
  for (const number of [1, 2, 3]) await books.seal(number)
  for (const number of [1, 2]) {
    await books.note({ type: 'reserved', number, amount: '10' })
    await books.send(number)
  }
  const spending = (bill: bigint): unknown =>
    spendingOf([...books.state.batches.values()], new Map([[1, bill]]), books.batch(3))
  t.match(spending(10n), { spent: 10n, reserved: 10n })
  t.match(spending(25n), { spent: 25n, reserved: 25n })
})

t.test('a batch that never fits stops the job, with the cap that it needs', async t => {
  const books = new Books()
  for (const number of [1, 2, 3]) await books.seal(number)
  const cap = capOn(books, { worstOf: async number => (number === 2 ? 101n : 1n) })
  t.ok(await cap.approve({ number: 1 }, signal))
  await books.send(1)
  await books.end(1)
  await books.fetch(1)
  t.notOk(await cap.approve({ number: 2 }, signal))
  t.match(cap.stopped, /`maxCost` \$0.0000000000001\d* is reached: .* batch 2 can cost/)
  t.notOk(await cap.approve({ number: 3 }, signal), 'nor is a smaller one sent behind it')
})

t.test('a run that does not wait for batches stops where it would have to wait', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  const cap = capOn(books, { worstOf: async () => 60n, drains: false })
  t.ok(await cap.approve({ number: 1 }, signal))
  await books.send(1)
  t.notOk(await cap.approve({ number: 2 }, signal))
})

t.test('a batch without a bound is never sent', async t => {
  const books = new Books()
  await books.seal(1)
  const cap = capOn(books, { worstOf: async () => ({ why: 'a thing has no size' }) })
  t.notOk(await cap.approve({ number: 1 }, signal))
  t.equal(
    cap.stopped,
    'batch 1 cannot be held below `maxCost`, so nothing more is sent: a thing has no size',
  )
})

t.test('shards learn the bill of each batch once, and whether it is the whole bill', async t => {
  const books = new Books()
  for (const number of [1, 2, 3, 4, 5, 6, 7]) {
    await books.seal(number)
    if (number !== 1 && number !== 7) await books.note({ type: 'reserved', number, amount: '7' })
    await books.send(number)
    await books.end(number)
    const why = number === 4 || number === 5 ? 'answers are missing' : null
    await books.note({ type: 'fetched', number, lines: 1, bytes: 1, why })
  }
  const bills: [number, SharedBill][] = []
  const shared = {
    settled: async () => new Map<number, bigint>(),
    settle: async (number: number, bill: SharedBill) => void bills.push([number, bill]),
    reserveBudget: async () => 'reserved' as const,
  }
  // The results of batch 3 are on another machine; answers of the last two have an unknown cost.
  const prices = new Map([
    [1, 4n],
    [2, 5n],
    [4, 6n],
    [5, 8n],
    [6, null],
    [7, null],
  ])
  const cap = new Cap({
    job: Object.assign(books, { shared }),
    most: 100n,
    worstOf: async () => 10n,
    spentOn: async number => prices.get(number),
  })
  await cap.settle()
  await cap.settle()
  t.same(bills, [
    [1, { spent: 4n, isWhole: true }],
    [2, { spent: 5n, isWhole: true }],
    [4, { spent: 6n, isWhole: false }],
    [5, { spent: 8n, isWhole: false }],
    [6, { spent: 0n, isWhole: false }],
  ])
})

t.test('a batch billed at an unknown price counts as its worst case', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  const cap = capOn(books, { worstOf: async () => 60n, spentOn: async () => undefined })
  t.ok(await cap.approve({ number: 1 }, signal))
  await books.send(1)
  await books.end(1)
  await books.fetch(1)
  t.notOk(await cap.approve({ number: 2 }, signal))
  t.match(cap.stopped, /is reached/)
})

t.test('a batch that was sent without a cap, at an unknown price, stops the job', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  await books.send(1)
  await books.end(1)
  await books.fetch(1)
  const cap = capOn(books, { spentOn: async () => undefined })
  t.notOk(await cap.approve({ number: 2 }, signal))
  t.match(
    cap.stopped,
    /a price or the tokens of an answer are unknown, so nothing more is sent .*; give a price with `price`/,
  )
})

t.test(
  'a batch that was sent without a cap, and whose answers are lost, stops the job',
  async t => {
    const books = new Books()
    for (const number of [1, 2]) await books.seal(number)
    await books.send(1)
    await books.end(1)
    await books.note({
      type: 'fetched',
      number: 1,
      lines: 0,
      bytes: 0,
      why: 'the results are gone',
    })
    const bills: number[] = []
    const shared = {
      settled: async () => new Map<number, bigint>(),
      settle: async (number: number) => void bills.push(number),
      reserveBudget: async () => 'reserved' as const,
    }
    for (const job of [books, Object.assign(books, { shared })]) {
      const cap = capOn(job, { spentOn: async () => 0n })
      t.notOk(await cap.approve({ number: 2 }, signal))
      t.match(cap.stopped, /^batch 1 was sent without `maxCost`, and answers of it were lost, so /)
      await cap.settle()
    }
    t.same(bills, [], 'other shards stop as well')
  },
)

t.test('a batch in flight that was sent without a cap is waited for', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  await books.send(1)
  const second = capOn(books).approve({ number: 2 }, signal)
  await books.end(1)
  await books.fetch(1)
  t.ok(await second)
})

t.test('a batch that is resent does not wait for the one whose turn it is', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  const cap = capOn(books, { worstOf: async () => 60n })
  t.ok(await cap.approve({ number: 1 }, signal))
  await books.note({ type: 'armed', number: 1, at: 0, serverAt: null })
  const second = cap.approve({ number: 2 }, signal)
  await new Promise(resolve => setImmediate(resolve))
  await books.note({ type: 'disarmed', number: 1 })
  t.ok(await cap.approve({ number: 1 }, signal))
  t.notOk(await second, 'nothing is in flight that could make room')
})

t.test('below a lower cap even a reserved batch is not resent', async t => {
  const books = new Books()
  await books.seal(1)
  t.ok(await capOn(books).approve({ number: 1 }, signal))
  const lower = capOn(books, { most: 9n })
  t.notOk(await lower.approve({ number: 1 }, signal))
  t.match(lower.stopped, /is reached/)
})

t.test(
  'a reserved batch is not resent if other shards have spent what a lower cap allows',
  async t => {
    const books = new Books()
    await books.seal(1)
    t.ok(await capOn(books).approve({ number: 1 }, signal))
    const shared = {
      settled: async () => new Map<number, bigint>(),
      settle: async () => {},
      reserveBudget: async () => ({ spent: 95n, reserved: 0n, worst: 10n }),
    }
    const cap = new Cap({
      job: Object.assign(books, { shared }),
      most: 100n,
      worstOf: async () => 10n,
      spentOn: async () => undefined,
    })
    t.notOk(await cap.approve({ number: 1 }, signal))
    t.match(cap.stopped, /is reached: .* is spent or in flight/)
  },
)

t.test('a batch that cannot be read passes the turn to the next one', async t => {
  const books = new Books()
  for (const number of [1, 2]) await books.seal(number)
  const worstOf = async (number: number): Promise<bigint> => {
    if (number === 1) throw new Error('torn')
    return 1n
  }
  const cap = capOn(books, { worstOf })
  await t.rejects(cap.approve({ number: 1 }, signal), /torn/)
  t.ok(await cap.approve({ number: 2 }, signal))
})

t.test('over 1,000 random jobs with crashes, the cap holds and no job stops too early', async t => {
  let stops = 0
  let deaths = 0
  for (let seed = 1; seed <= 1000; seed++) {
    const job = await randomJob(seed)
    deaths += job.deaths
    stops += job.stopped ? 1 : 0
    if (job.highest > job.most) t.fail(`seed ${seed}: ${job.highest} of ${job.most}`)
    if (job.stopped && job.spent + job.next <= job.most)
      t.fail(`seed ${seed} stopped at ${job.spent} of ${job.most} before a batch of ${job.next}`)
    if (!job.stopped && job.sent < job.batches) t.fail(`seed ${seed} sent ${job.sent} batches`)
  }
  t.ok(stops > 200 && stops < 900, `${stops} jobs were stopped by their cap`)
  t.ok(deaths > 200, `${deaths} processes died`)
})

interface RandomJob {
  readonly most: bigint
  readonly batches: number
  readonly sent: number
  readonly stopped: boolean
  readonly spent: bigint
  /** The worst case of the batch that was not sent. */
  readonly next: bigint
  /** The highest amount that could ever have been billed: spent, plus the worst case of all batches at the API. */
  readonly highest: bigint
  readonly deaths: number
}

/** Simulates a job whose batches cost up to their worst case, end in any order, are resent and crash with their process. */
async function randomJob(seed: number): Promise<RandomJob> {
  let random = seed
  const below = (most: number): number => {
    random = (Math.imul(random, 1664525) + 1013904223) >>> 0
    return Math.floor((random / 2 ** 32) * most)
  }
  const batches = 1 + below(12)
  const worst = Array.from({ length: batches + 1 }, () => BigInt(1 + below(50)))
  const cost = worst.map(most => BigInt(below(Number(most) + 1)))
  const most = BigInt(below(40 * batches) + 1)
  let books = new Books()
  for (let number = 1; number <= batches; number++) await books.seal(number)
  const make = (): Cap =>
    capOn(books, {
      most,
      worstOf: async number => worst[number] ?? 0n,
      spentOn: async number => cost[number] ?? 0n,
    })
  let cap = make()
  let deaths = 0
  let highest = 0n
  const inPhase = (...phases: string[]): BatchState[] =>
    [...books.state.batches.values()].filter(({ phase }) => phases.includes(phase))
  const spentNow = (): bigint =>
    inPhase('fetched').reduce((sum, { number }) => sum + (cost[number] ?? 0n), 0n)
  const look = (): void => {
    const flying = inPhase('armed', 'submitted', 'ended')
    const most = flying.reduce((sum, { number }) => sum + (worst[number] ?? 0n), spentNow())
    if (most > highest) highest = most
  }
  for (let number = 1; number <= batches;) {
    let answer: boolean | undefined
    void cap.approve({ number }, signal).then(admitted => (answer = admitted))
    while (answer === undefined) {
      await new Promise(resolve => setImmediate(resolve))
      if (answer === undefined) await endOne()
    }
    if (!answer) break
    if (below(6) === 0) {
      // The process crashes with the batch reserved; the next one reads the same journal.
      deaths += 1
      books = new Books(books.events)
      cap = make()
      continue
    }
    await books.send(number)
    look()
    number += 1
    while (below(3) === 0) await endOne()
  }
  return {
    most,
    batches,
    deaths,
    highest,
    sent: batches - inPhase('sealed').length,
    stopped: cap.stopped !== undefined,
    spent: spentNow(),
    next: worst[inPhase('sealed')[0]?.number ?? 0] ?? 0n,
  }

  /** Some batch in flight ends. */
  async function endOne(): Promise<void> {
    const flying = inPhase('submitted')
    const one = flying[below(flying.length)]
    if (!one) return
    await books.end(one.number)
    await books.fetch(one.number)
    look()
  }
}
