// Result sets that end early, without an error: their answers are joined, and none that came once is lost.
import { readdirSync } from 'node:fs'
import t from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import { echo } from '../../../lib/emulator/index.ts'
import { completeResults } from '../../../lib/stages/results/fetch-results.ts'
import { OrdinalSet } from '../../../lib/store/ordinal-set.ts'
import { watched } from '../../support/jobs.ts'
import {
  asks,
  clientOf,
  journalOf,
  makeWorld,
  reopened,
  run,
  said,
  type World,
} from '../../support/world.ts'
import { NOT_FOUND } from '../../support/lying-api.ts'

const MINUTE = 60 * 1000
const answers = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${i}: succeeded ${echo(`question ${i}`)}`)

/** A client whose downloads are changed, or are a 404; `nth` counts from 1. `downloads` has the time of each. */
function clientWithSets(
  { emulator }: World,
  change: (set: string, nth: number) => string | undefined,
): { readonly client: World['client']; readonly downloads: unknown[] } {
  const downloads: unknown[] = []
  const fetch: typeof emulator.fetch = async (input, init) => {
    const response = await emulator.fetch(input, init)
    if (!response.ok || !String(input).endsWith('/results')) return response
    downloads.push(input)
    const set = change(await response.text(), downloads.length)
    return set === undefined ? new Response(NOT_FOUND, { status: 404 }) : new Response(set)
  }
  return { client: clientOf({ ...emulator, url: emulator.url, fetch }), downloads }
}

/** The lines of a set whose custom_ids end in one of these ordinals. */
const only =
  (...ordinals: number[]) =>
  (set: string): string =>
    set
      .split('\n')
      .filter(line =>
        ordinals.some(one => new RegExp(`^\\{"custom_id":"[\\w-]*-${one}"`).test(line)),
      )
      .map(line => `${line}\n`)
      .join('')

void t.test('a later set that is shorter loses no answer of an earlier one', async t => {
  for (const later of [only(0, 1), () => '', only(4)]) {
    const world = await makeWorld(t)
    const { client } = clientWithSets(world, (set, nth) =>
      (nth === 1 ? only(0, 1, 2, 4) : later)(set),
    )
    const job = await world.open()
    const results = await run({ ...world, client }, job, asks(5))
    const [a0, a1, a2, , a4] = answers(5)
    t.same(said(results), [a0, a1, a2, '3: unanswered', a4])
    t.match(job.batch(1).fetched, { lines: 4, why: /without a line/ })
    t.same(said(await run(world, await reopened(world, job), asks(5))), said(results))
  }
})

/** The first line of a set as an error that the API never sent. */
const withError = (set: string): string =>
  set.replace(
    /^(\{"custom_id":"[^"]*").*/,
    '$1,"result":{"type":"errored","error":{"type":"error","error":{"type":"api_error","message":"no"}}}}',
  )

void t.test('an error line that the counts do not have is not believed', async t => {
  const world = await makeWorld(t)
  const first = (set: string): string => withError(only(0, 1)(set))
  const sets = [first, only(2), (set: string) => set]
  const { client } = clientWithSets(world, (set, nth) => (sets[nth - 1] ?? first)(set))
  const waits: string[] = []
  const results = await run({ ...world, client }, await world.open(), asks(3), { waits })
  t.same(said(results), answers(3))
  t.ok(waits.some(why => why.includes('1 of its lines have no answer')))
  t.match(await world.emulator.ledger.totals(), { accepted: 3 })
})

void t.test('a result type that is not known does not contradict the counts', async t => {
  const world = await makeWorld(t)
  const { client } = clientWithSets(world, (set, nth) =>
    (nth === 1 ? only(0, 1) : only(2))(set.replace('"type":"succeeded"', '"type":"paused"')),
  )
  const results = await run({ ...world, client }, await world.open(), asks(3))
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 2)
  t.match(await world.emulator.ledger.totals(), { accepted: 3 })
})

for (const later of ['cut', 'gone'] as const)
  void t.test(`a job waits for such a set, and ends with an error (${later})`, async t => {
    const world = await makeWorld(t)
    const first = (set: string): string => withError(only(0, 1)(set))
    const { client } = clientWithSets(world, (set, nth) =>
      nth === 1 ? first(set) : later === 'gone' ? undefined : only(2)(set),
    )
    const job = await world.open()
    const began = world.clock.elapsed()
    await t.rejects(run({ ...world, client }, job, asks(3)), {
      code: 'CBS_API',
      message: /are invalid: 1 of its lines have no answer.*; none of their rows were written/,
    })
    t.ok(world.clock.elapsed() - began >= 10 * MINUTE)
    const again = await run(world, await reopened(world, job), asks(3))
    t.same(said(again), answers(3), 'a complete set replaces it')
    t.match(await world.emulator.ledger.totals(), { accepted: 3 })
  })

void t.test(
  'results that the counts say exist are downloaded for the settle time before a retry',
  async t => {
    const world = await makeWorld(t)
    const first = clientWithSets(world, only(0, 1))
    const job = await world.open()
    await run({ ...world, client: first.client }, job, asks(3))
    const { client, downloads } = clientWithSets(world, () => undefined)
    const unanswered = new OrdinalSet()
    unanswered.add(2)
    const { signal } = new AbortController()
    const began = world.clock.elapsed()
    t.equal(await completeResults(job, unanswered, { client, signal }), 0)
    const minutes = (world.clock.elapsed() - began) / MINUTE
    t.ok(minutes >= 10 && minutes < 11, `${minutes} minutes`)
    t.ok(downloads.length > 5)
  },
)

/** A client whose polls are changed; each reply describes one batch. */
function clientWithPolls(
  { emulator }: World,
  change: (reply: string) => string,
  hasResults: boolean,
): World['client'] {
  const fetch: typeof emulator.fetch = async (input, init) => {
    const { pathname } = new URL(String(input))
    if (pathname.endsWith('/results') && !hasResults)
      return new Response(NOT_FOUND, { status: 404 })
    const response = await emulator.fetch(input, init)
    if (!/\/(batches|msgbatch_\w+)$/.test(pathname) || init?.method?.toUpperCase() !== 'GET')
      return response
    const { status, headers } = response
    headers.delete('content-length')
    return new Response(change(await response.text()), { status, headers })
  }
  return clientOf({ ...emulator, url: emulator.url, fetch })
}

void t.test('a batch that has not ended after all is waited for', async t => {
  const world = await makeWorld(t, { batchTimeMs: 120 * MINUTE })
  let isEarly = true
  const early = (reply: string): string => {
    if (!isEarly || !reply.includes('"in_progress"')) return reply
    isEarly = false
    return reply.replace('"in_progress"', '"ended"')
  }
  const client = clientWithPolls(world, early, true)
  const waits: string[] = []
  const results = await run(world, await world.open(), asks(3), { client, waits })
  t.same(said(results), answers(3))
  t.ok(waits.some(why => /had ended, but now the API says that it is in progress/.test(why)))
})

void t.test('a batch in progress for days and without results is unanswered', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  let hasEnded = false
  const late = (reply: string): string => {
    if (!reply.includes('"ended"')) return reply
    const again = hasEnded
    hasEnded = true
    return again ? reply.replace('"ended"', '"in_progress"') : reply
  }
  const client = clientWithPolls(world, late, false)
  const job = await world.open()
  t.same(said(await run(world, job, asks(2), { client })), ['0: unanswered', '1: unanswered'])
  const unanswered = new OrdinalSet()
  for (const ordinal of [0, 1]) unanswered.add(ordinal)
  const { signal } = new AbortController()
  await t.rejects(completeResults(job, unanswered, { client, signal }), {
    code: 'CBS_API',
    message: /in progress, so none of its requests is sent again/,
  })
})

void t.test('short sets that have all answers together need no further download', async t => {
  const world = await makeWorld(t)
  const { client, downloads } = clientWithSets(world, (set, nth) =>
    (nth === 1 ? only(3, 1) : nth === 2 ? only(0, 1, 2) : only(4))(set),
  )
  const job = await world.open()
  t.same(said(await run({ ...world, client }, job, asks(5))), answers(5))
  t.equal(downloads.length, 3)
  t.match(job.batch(1).fetched, { lines: 5, why: null })
  t.same(said(await run(world, await reopened(world, job), asks(5))), answers(5))
})

void t.test('long answers of short sets are joined', async t => {
  const world = await makeWorld(t, {
    respond: (_, { custom_id }) => String(custom_id).repeat(10_000),
  })
  const { client } = clientWithSets(world, (set, nth) =>
    (nth === 1 ? only(0) : only(1, 2, 3, 4))(set),
  )
  const results = await run({ ...world, client }, await world.open(), asks(5))
  t.same(
    results.map(({ response }) => response),
    results.map(({ customId }) => customId?.repeat(10_000)),
  )
})

void t.test(
  'of answers that contradict each other the first stays, or the complete set',
  async t => {
    const other = (set: string): string => set.replaceAll('question', 'other')
    const world = await makeWorld(t)
    const short = clientWithSets(world, (set, nth) =>
      nth === 1 ? only(0, 1)(set) : other(only(0, 1, 2)(set)),
    )
    const results = await run({ ...world, client: short.client }, await world.open(), asks(4))
    t.same(said(results), [
      ...answers(2),
      answers(3)[2]?.replace('question', 'other'),
      '3: unanswered',
    ])
    const second = await makeWorld(t)
    const whole = clientWithSets(second, (set, nth) => (nth === 1 ? other(only(0, 1)(set)) : set))
    const job = await second.open()
    t.same(said(await run({ ...second, client: whole.client }, job, asks(4))), answers(4))
    t.same(said(await run(second, await reopened(second, job), asks(4))), answers(4))
  },
)

void t.test('results that are gone after a short set leave its answers', async t => {
  const world = await makeWorld(t)
  const { client } = clientWithSets(world, (set, nth) => (nth === 1 ? only(0, 2)(set) : undefined))
  const job = await world.open()
  const results = await run({ ...world, client }, job, asks(3))
  t.same(
    results.map(({ status }) => status),
    ['succeeded', 'unanswered', 'succeeded'],
  )
  t.match(results[1]?.error?.message, /the API has no results for batch/)
})

void t.test('an answer of a short set survives a death at any call of the disk', async t => {
  for (let call = 1, isOver = false; !isOver; call++) {
    let calls = 0
    const disk = watched((what, path) => {
      if (/\.(download|results|part|lines)(\.next)?$/.test(path) && ++calls >= call)
        throw new BatchStreamError('CBS_DISK', `dead at ${what} ${path}`)
    })
    const world = await makeWorld(t)
    const sets = [only(0, 1), only(2, 3), only(1, 4)]
    const { client } = clientWithSets(world, (set, nth) => (sets[nth - 1] ?? (() => ''))(set))
    const job = await world.open({ disk })
    isOver = await run({ ...world, client }, job, asks(6), { fetch: { settle: 0 } }).then(
      () => true,
      () => false,
    )
    await job.close()
    const known = journalOf(job.store.folder).flatMap(event =>
      event.type === 'partlyFetched' ? [event.lines] : [],
    )
    const empty = clientWithSets(world, () => '').client
    const again = await world.open()
    const results = await run({ ...world, client: empty }, again, asks(6), {
      fetch: { settle: 0 },
    })
    const answered = said(results).filter(one => !one.endsWith('unanswered'))
    t.ok(answered.length >= Math.max(0, ...known), `${call}: ${answered.length} of ${known.join()}`)
    t.ok(answered.every(one => answers(6).includes(one)))
    if (isOver) t.equal(answered.length, 5)
    await again.close()
    await (await world.open()).close()
    const left = readdirSync(`${again.store.folder}/batches`)
    t.same(
      left.filter(name => /download|part|next/.test(name)),
      [],
    )
  }
})

void t.test('what is known of a batch is forgotten if the batch is another one', async t => {
  // The ids were chosen, so the other batch has the same ones.
  const mine = asks(3).map((one, i) => ({ ...one, custom_id: `row-${i}` }))
  const ids =
    (...rows: string[]) =>
    (set: string) =>
      set
        .split('\n')
        .filter(line => rows.some(one => line.includes(`"${one}"`)))
        .map(line => `${line}\n`)
        .join('')
  let other = ''
  const world = await makeWorld(t, {
    batchTimeMs: MINUTE,
    faults: ({ op, nth }) => (op === 'create' && nth === 1 ? { replyId: other } : undefined),
  })
  other = await world.emulator.addForeign({
    customIds: ['row-0', 'row-1', 'row-2'],
    batchTimeMs: MINUTE,
  })
  let isForeign = true
  const { client } = clientWithSets(world, (set, nth) => {
    if (!isForeign) return set
    return nth === 1 ? ids('row-0')(set) : `${set}no\n`
  })
  const job = await world.open()
  await t.rejects(run({ ...world, client }, job, mine), { code: 'CBS_STOPPED' })
  isForeign = false
  const [real] = world.emulator.ledger.batches()
  const adopt = [`${real?.id}`]
  const again = await reopened(world, job)
  t.equal(again.batch(1).partlyFetched, true)
  let downloads = 0
  const lying = clientWithSets(world, set =>
    ++downloads <= 5 ? `${set}no\n` : ids('row-1', 'row-2')(set),
  )
  const results = await run({ ...world, client: lying.client }, again, mine, {
    fetch: { adopt, settle: MINUTE },
  })
  t.same(said(results), ['0: unanswered', ...answers(3).slice(1)])
})
