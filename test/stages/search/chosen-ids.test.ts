// Ids that the user chose do not show which job sent a batch: another job over the same records has the same ones.
import t, { type Test } from 'tap'
import type { BatchRequest } from '../../../lib/core/flow.ts'
import { echo, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import type { BatchState } from '../../../lib/core/job/state.ts'
import { mustBeOne, mustBePossible } from '../../../lib/stages/search/decisions.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import {
  clientThatChanges,
  createdLater,
  ask,
  asks,
  callsOf,
  deathsOf,
  journalOf,
  makeWorld,
  run,
  said,
  type RunOptions,
  type World,
} from '../../support/world.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

/** The reply to a create is lost; the API has the batch, or has not. */
const lost = (when: 'before' | 'after', nth = 1): EmulatorOptions => ({
  batchTimeMs: MINUTE,
  faults: [{ on: 'create', nth, when, reset: true }],
})

const chosen = (count: number): BatchRequest[] =>
  asks(count).map((one, i) => ({ ...one, custom_id: `row-${i}` }))

const idsOf = (requests: readonly BatchRequest[]): string[] =>
  requests.flatMap(({ custom_id }) => custom_id ?? [])

const answers = (from: number, to: number): string[] =>
  Array.from(
    { length: to - from },
    (_, i) => `${from + i}: succeeded ${echo(`question ${from + i}`)}`,
  )

const decided = (...adopt: string[]): RunOptions => ({ submit: { adopt }, awaitEnd: { adopt } })

/** Runs the job until it asks; gives the message. Rows that come before it are added to `rows`. */
async function question(
  world: World,
  requests: readonly BatchRequest[],
  { job, ...options }: RunOptions & { job?: StoredJob } = {},
): Promise<string> {
  const open = job ?? (await world.open())
  try {
    await run(world, open, requests, options)
  } catch (error) {
    world.t.match(error, { code: 'CBS_STOPPED', option: 'adopt' })
    return String(error)
  } finally {
    await open.close()
  }
  return 'no question'
}

async function paidFor(world: World, accepted: number, acceptedTwice = 0): Promise<void> {
  world.t.match(await world.emulator.ledger.totals(), { accepted, acceptedTwice })
}

void t.test('the batch of another job with the same ids is not adopted', async t => {
  const world = await makeWorld(t, lost('before'))
  const mine = chosen(3)
  const other = await world.emulator.addForeign({ customIds: idsOf(mine), createdAgoMs: -5000 })
  const message = await question(world, mine)
  t.match(
    message,
    `it is unknown whether the API accepted batch 1. It may be ${other} (created 2026-11-20T12:00:05.000Z): it has the same custom_ids, but ids chosen with \`id\` do not show which job sent them, so nothing more is sent. Decide with \`adopt\`: the id of the batch that belongs to job test, or none, which sends batch 1`,
  )
  await paidFor(world, 0)
  t.equal(await question(world, mine), message, 'the same question, until it is answered')
  t.same(said(await run(world, await world.open(), mine, decided('none'))), answers(0, 3))
  await paidFor(world, 3)
  t.same(callsOf(world.emulator, 'create'), { 0: 1, 200: 1 })
  const events = journalOf(`${world.dir}/jobs/test`).flatMap(event =>
    event.type === 'ruledOut' ? [event.id] : [],
  )
  t.same(events, [other])
})

void t.test('the batch is adopted when the user says so, and paid once', async t => {
  const world = await makeWorld(t, lost('after'))
  const mine = chosen(3)
  const foreign = await world.emulator.addForeign({ customIds: idsOf(mine), createdAgoMs: -MINUTE })
  const message = await question(world, mine)
  const [real] = world.emulator.ledger.batches()
  t.match(message, `${real?.id} (created`)
  t.match(message, / or msgbatch_|they have the same custom_ids/)
  t.match(message, foreign)
  const both = await world.open()
  await t.rejects(run(world, both, mine, decided(`${real?.id}`, foreign)), {
    code: 'CBS_OPTION',
    message: /batch 1 is only one of them/,
  })
  await both.close()
  const job = await world.open()
  t.same(said(await run(world, job, mine, decided(`${real?.id}`))), answers(0, 3))
  await job.close()
  t.same(said(await run(world, await world.open(), mine)), answers(0, 3), 'not asked twice')
  await paidFor(world, 3)
})

void t.test('only batches that were named for one batch are refused together', t => {
  const batch = (candidates: BatchState['candidates']): BatchState =>
    // Only these members are read.
    ({ number: 1, candidates }) as BatchState
  const refused = { code: 'CBS_OPTION', option: 'adopt' }
  t.throws(() => mustBeOne(batch({ a: 'named', b: 'named' }), ['a', 'b']), refused)
  mustBeOne(batch({ a: 'named', b: 'named' }), ['a', 'a', 'none', 'c'])
  mustBeOne(batch({ a: 'named', b: 'open', c: 'ruledOut' }), ['a', 'b', 'c'])
  t.end()
})

void t.test('a lone candidate is not adopted either, before or after a crash', async t => {
  const world = await makeWorld(t, lost('after'))
  const job = await world.open()
  const stop = new AbortController()
  job.on('event', ({ type }) => type === 'armed' && setTimeout(() => stop.abort(), 0))
  await t.rejects(run(world, job, chosen(2), { signal: stop.signal }))
  await job.close()
  t.match(await question(world, chosen(2)), /it has the same custom_ids/)
  await paidFor(world, 2)
})

void t.test('the rows of the other batches come first, and nothing more is sent', async t => {
  const world = await makeWorld(t, { ...lost('after', 2), batchTimeMs: 30 * MINUTE })
  const mine = chosen(8)
  const rows: string[] = []
  const job = await world.open()
  job.on('event', event => event.type === 'fetched' && rows.push(`batch ${event.number}`))
  const options = { job, aggregate: { batchSize: 2 }, submit: { concurrency: 2 } }
  await question(world, mine, options)
  t.ok(rows.includes('batch 1'))
  t.notOk(rows.includes('batch 2'))
  const real = world.emulator.ledger.batches()[1]?.id
  const again = await run(world, await world.open(), mine, {
    aggregate: { batchSize: 2 },
    ...decided(`${real}`),
  })
  t.same(said(again).sort(), answers(0, 8))
  await paidFor(world, 8)
})

void t.test('a candidate that runs is waited for', async t => {
  const world = await makeWorld(t, { ...lost('after'), batchTimeMs: 120 * MINUTE })
  const waits: string[] = []
  const started = world.clock.now()
  await question(world, chosen(2), { waits })
  t.ok(waits.some(why => /may belong to this job; its results will show that/.test(why)))
  t.ok(world.clock.now() - started >= 120 * MINUTE)
})

void t.test('none does not mean a batch that was found and never named', async t => {
  const world = await makeWorld(t, { ...lost('after'), batchTimeMs: 120 * MINUTE })
  const mine = chosen(2)
  const first = await world.open()
  const stop = new AbortController()
  first.on('event', ({ type }) => type === 'candidate' && setTimeout(() => stop.abort(), 0))
  await t.rejects(run(world, first, mine, { signal: stop.signal }))
  await first.close()
  world.clock.pass(180 * MINUTE)
  const [real] = world.emulator.ledger.batches()
  t.match(await question(world, mine, decided('none')), real?.id)
  t.same(said(await run(world, await world.open(), mine, decided(`${real?.id}`))), answers(0, 2))
  await paidFor(world, 2)
})

void t.test('none means the batches that were named, not those that came later', async t => {
  const world = await makeWorld(t, lost('before'))
  const mine = chosen(2)
  const customIds = idsOf(mine)
  t.same(await question(world, mine, decided('none')), 'no question')
  const second = await makeWorld(t, lost('before'))
  const first = await second.emulator.addForeign({ customIds })
  t.match(await question(second, mine, decided('none')), first, 'not yet named')
  const later = await second.emulator.addForeign({ customIds, createdAgoMs: -1000 })
  second.clock.pass(2000)
  const message = await question(second, mine, decided('none'))
  t.match(message, later)
  t.notMatch(message, first)
  t.same(said(await run(second, await second.open(), mine, decided('none'))), answers(0, 2))
  await paidFor(second, 2)
})

void t.test('a batch that was ruled out is not asked about after the next lost reply', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [
      { on: 'create', nth: 1, when: 'before', reset: true },
      { on: 'create', nth: 2, when: 'after', reset: true },
    ],
  })
  const mine = chosen(2)
  const other = await world.emulator.addForeign({ customIds: idsOf(mine), createdAgoMs: -1000 })
  await question(world, mine)
  const message = await question(world, mine, decided('none'))
  const [real] = world.emulator.ledger.batches()
  t.match(message, `${real?.id}`)
  t.notMatch(message, other)
  t.same(said(await run(world, await world.open(), mine, decided(`${real?.id}`))), answers(0, 2))
  await paidFor(world, 2)
})

void t.test('one generated id is enough, wherever it is in the results', async t => {
  const mine = chosen(5)
  const requests = mine.map((one, i) => (i === 4 ? ask('question 4') : one))
  for (const size of [10, 300_000]) {
    const respond = (): string => 'x'.repeat(size)
    const world = await makeWorld(t, { ...lost('after'), order: 'input', respond })
    const results = await run(world, await world.open(), requests)
    t.same(
      results.map(({ status }) => status),
      Array(5).fill('succeeded'),
    )
    await paidFor(world, 5)
  }
})

void t.test('of a batch with generated ids, the chosen ones prove nothing', async t => {
  const mine = [...chosen(2), ask('question 2')]
  const world = await makeWorld(t, lost('before'))
  await world.emulator.addForeign({ customIds: ['row-0', 'row-1', 'row-2'], createdAgoMs: -1000 })
  t.match(await question(world, mine), /do not show which job sent them/)
})

void t.test('a batch that another job has adopted is no question', async t => {
  const world = await makeWorld(t, lost('before'))
  const mine = chosen(2)
  const other = await world.emulator.addForeign({ customIds: idsOf(mine), createdAgoMs: -1000 })
  await question(world, mine)
  const ownedElsewhere = async (): Promise<Set<string>> => new Set([other])
  const options = { submit: { ownedElsewhere, adopt: [other] } }
  t.same(said(await run(world, await world.open(), mine, options)), answers(0, 2))
  await paidFor(world, 2)
})

void t.test('a candidate that can never be read leaves the question about the others', async t => {
  const world = await makeWorld(t, lost('before'))
  const mine = chosen(2)
  const customIds = idsOf(mine)
  const readable = await world.emulator.addForeign({ customIds, createdAgoMs: -1000 })
  const unreadable = await world.emulator.addForeign({ customIds, createdAgoMs: -2000 })
  const fetch: typeof globalThis.fetch = async (url, init) =>
    String(url).includes(`${unreadable}/results`)
      ? new Response('no', { status: 404 })
      : await world.emulator.fetch(url, init)
  const started = world.clock.now()
  const message = await question(world, mine, { client: world.client.withOptions({ fetch }) })
  t.match(message, readable)
  t.notMatch(message, unreadable)
  t.ok(world.clock.now() - started > DAY)
})

void t.test('an unknown id of a batch with chosen ids is a question, too', async t => {
  const wrong: EmulatorOptions = {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', nth: 1, replyId: 'msgbatch_wrong' }],
  }
  const world = await makeWorld(t, wrong)
  const message = await question(world, chosen(2))
  const [real] = world.emulator.ledger.batches()
  t.match(
    message,
    `the API does not know msgbatch_wrong, the id of batch 1. It may be ${real?.id} (created`,
  )
  t.match(message, /or none if it is another one$/)
  const adopted = await run(world, await world.open(), chosen(2), decided(`${real?.id}`))
  t.same(said(adopted), answers(0, 2))
  await paidFor(world, 2)
  const second = await makeWorld(t, wrong)
  await question(second, chosen(2))
  const results = await run(second, await second.open(), chosen(2), decided('none'))
  t.same(said(results), ['0: unanswered', '1: unanswered'])
  await paidFor(second, 2)
})

void t.test(
  'results of another batch under the id of one with chosen ids are a question',
  async t => {
    let other = ''
    const world = await makeWorld(t, {
      batchTimeMs: MINUTE,
      faults: ({ op, nth }) => (op === 'create' && nth === 1 ? { replyId: other } : undefined),
    })
    other = await world.emulator.addForeign({ requests: 2, batchTimeMs: MINUTE })
    const fetch = { emits: 'fetched' } as const
    const message = await question(world, chosen(2), { fetch })
    const [real] = world.emulator.ledger.batches()
    t.match(
      message,
      `the results of ${other}, the id of batch 1, are not those of its requests. It may be ${real?.id} (created`,
    )
    const adopt = [`${real?.id}`]
    const results = await run(world, await world.open(), chosen(2), { fetch: { ...fetch, adopt } })
    t.same(said(results), answers(0, 2))
    await paidFor(world, 2)
  },
)

void t.test('a candidate that still runs does not delay the question about the others', async t => {
  let other = ''
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op, nth }) => (op === 'create' && nth === 1 ? { replyId: other } : undefined),
  })
  other = await world.emulator.addForeign({ requests: 2, batchTimeMs: MINUTE })
  const running = await world.emulator.addForeign({ requests: 2, batchTimeMs: DAY / 2 })
  const message = await question(world, chosen(2))
  t.match(message, `It may be ${world.emulator.ledger.batches()[0]?.id} (created`)
  t.notMatch(message, running)
  t.ok(world.clock.elapsed() < DAY / 2)
})

void t.test('a question beside another reason to stop is passed to onWait', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [
      { on: 'create', nth: 1, when: 'after', reset: true },
      { on: 'create', nth: 2, when: 'before', status: 403 },
    ],
  })
  const waits: string[] = []
  const options = { waits, aggregate: { batchSize: 2 }, submit: { concurrency: 2 } }
  await t.rejects(run(world, await world.open(), chosen(3), options), { code: 'CBS_ACCESS' })
  t.ok(waits.some(why => /do not show which job sent them/.test(why)))
})

/** Runs into the question, decides `none` by mistake, and stops with `status` before the batch is resubmitted. */
async function ruledOutByMistake(t: Test, status: number): Promise<[World, string]> {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [
      { on: 'create', nth: 1, when: 'after', reset: true },
      { on: 'create', nth: 2, when: 'before', status },
    ],
  })
  await question(world, chosen(2))
  const job = await world.open()
  await t.rejects(run(world, job, chosen(2), decided('none')), { code: 'CBS_ACCESS' })
  t.equal(job.batch(1).phase, 'sealed')
  await job.close()
  return [world, `${world.emulator.ledger.batches()[0]?.id}`]
}

void t.test(
  'a batch that was ruled out by mistake is adopted as long as nothing was sent',
  async t => {
    const [world, real] = await ruledOutByMistake(t, 403)
    const results = await run(world, await world.open(), chosen(2), decided(real))
    t.same(said(results), answers(0, 2))
    await paidFor(world, 2)
  },
)

void t.test('the same after a death between the decision and its effect', async t => {
  const world = await makeWorld(t, lost('after'))
  await question(world, chosen(2))
  const job = await world.open()
  const deaths = deathsOf(job, `${world.dir}/deaths`, ({ type }) => type === 'ruledOut')
  const stop = new AbortController()
  job.on('event', ({ type }) => type === 'ruledOut' && stop.abort())
  await t.rejects(run(world, job, chosen(2), { ...decided('none'), signal: stop.signal }))
  await job.close()
  const real = `${world.emulator.ledger.batches()[0]?.id}`
  const again = await world.open({ dir: `${deaths[0]}` })
  t.same(said(await run(world, again, chosen(2), decided(real))), answers(0, 2))
  await paidFor(world, 2)
})

void t.test('a batch that was ruled out is refused if its requests were sent again', async t => {
  const [world, real] = await ruledOutByMistake(t, 403)
  t.same(said(await run(world, await reopened(world), chosen(2))), answers(0, 2))
  const refused = {
    code: 'CBS_OPTION',
    option: 'adopt',
    message: `\`adopt\` has ${real}, but that was ruled out for batch 1, which has been sent again since: \`claude-batch-stream results ${real}\` prints its answers`,
  }
  await t.rejects(run(world, await reopened(world), chosen(2), decided(real)), refused)
  await paidFor(world, 4, 2)
})

let last: StoredJob | undefined
async function reopened(world: World): Promise<StoredJob> {
  await last?.close()
  return (last = await world.open())
}

void t.test(
  'a batch that shows nothing of its requests is not adopted in place of one that was ruled out',
  async t => {
    const [world, real] = await ruledOutByMistake(t, 403)
    const another = '{"custom_id":"another","result":{"type":"expired"}}\n'
    for (const [isKnown, results, why] of [
      [false, undefined, /but the API does not know it/],
      [true, undefined, /but its results cannot be read/],
      [true, another, /but its results do not show that it is batch 1/],
    ] as const) {
      const fetch: typeof globalThis.fetch = async (url, init) => {
        if (String(url).endsWith('/results'))
          return new Response(results ?? '{}', { status: results ? 200 : 404 })
        if (!isKnown && String(url).endsWith(real)) return new Response('{}', { status: 404 })
        return await world.emulator.fetch(url, init)
      }
      const client = world.client.withOptions({ fetch })
      const job = await world.open()
      await t.rejects(run(world, job, chosen(2), { client, ...decided(real) }), {
        code: 'CBS_OPTION',
        message: why,
      })
      await job.close()
    }
    await paidFor(world, 2)
  },
)

void t.test('which decisions can be taken back', t => {
  const batch = (number: number, more: Partial<BatchState>): BatchState =>
    // Only these members are read.
    ({ number, candidates: {}, fetched: null, phase: 'sealed', id: null, ...more }) as BatchState
  const fetched = { lines: 0, bytes: 0, why: 'x' }
  const refuses = (more: Partial<BatchState>, message: RegExp): void =>
    void t.throws(() => mustBePossible([batch(1, more)], ['none', 'a']), {
      code: 'CBS_OPTION',
      message,
    })
  refuses({ candidates: { a: 'replaced' } }, /which has been sent again since/)
  refuses({ candidates: { a: 'ruledOut' }, phase: 'void' }, /which has been split since/)
  refuses({ candidates: { a: 'ruledOut' }, phase: 'written', fetched }, /whose rows are final/)
  const replaced = batch(1, { candidates: { a: 'replaced' } })
  for (const other of [
    batch(2, { candidates: { a: 'open' } }),
    batch(2, { candidates: { a: 'ruledOut' } }),
    batch(2, { id: 'a' }),
  ])
    mustBePossible([replaced, other], ['a'])
  mustBePossible([replaced], ['b'])
  t.end()
})

void t.test('other batches of the job show that creation times are ahead', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: [{ on: 'create', nth: 2, replyId: 'msgbatch_wrong' }],
  })
  const client = clientThatChanges(world, text => createdLater(text, 180 * MINUTE))
  const options = { client, aggregate: { batchSize: 2 } }
  const message = await question(world, chosen(4), options)
  const [, real] = world.emulator.ledger.batches()
  t.match(message, `It may be ${real?.id} `)
  await paidFor(world, 4)
})
