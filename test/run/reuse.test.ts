import { join } from 'node:path'
import t, { type Test } from 'tap'
import { openJob, postgresLedger, runBatches, type RunEvent } from '../../lib/index.ts'
import { openEarlier } from '../../lib/run/reuse.ts'
import { clientOf, makeWorld, type World } from '../support/world.ts'

const reviews = Array.from({ length: 10 }, (_, id) => ({ id, text: `text ${id}` }))
const changed = reviews.map(review => (review.id === 4 ? { id: 4, text: 'text four' } : review))

type Run = ReturnType<typeof runBatches<(typeof reviews)[number]>>
type Options = Parameters<typeof runBatches<(typeof reviews)[number]>>[1]

const optionsOf = ({ client, clock }: World): Options => ({
  ...{ client, clock, order: 'input' },
  prompt: review => `Mood of ${review.text}`,
})

interface Seen {
  readonly run: Run
  readonly from: (string | null)[]
  readonly answers: (string | undefined)[]
  readonly notices: string[]
}

async function read(
  world: World,
  source: readonly (typeof reviews)[number][],
  options: Partial<Options>,
): Promise<Seen> {
  const notices: string[] = []
  const onEvent = (event: RunEvent): void => {
    if (event.type === 'notice') notices.push(event.message)
  }
  const run: Run = runBatches(source, {
    ...optionsOf(world),
    onEvent,
    preflight: false,
    ...options,
  })
  const from: (string | null)[] = []
  const answers: (string | undefined)[] = []
  for await (const { reused, value, cost } of run) {
    from.push(reused)
    answers.push(value)
    if (reused !== null) t.equal(cost, 0)
  }
  return { run, from, answers, notices }
}

async function firstNight(t: Test): Promise<World & { readonly first: Seen }> {
  const world = await makeWorld(t)
  const first = await read(world, reviews, { job: { name: 'monday', dir: world.dir } })
  return { ...world, first }
}

const accepted = async ({ emulator }: World): Promise<number> =>
  (await emulator.ledger.totals()).accepted

void t.test('a second run pays only for the changed records', async t => {
  const world = await firstNight(t)
  const { dir, first } = world
  const job = { name: 'tuesday', dir }
  const second = await read(world, changed, { job, reuse: 'monday' })
  t.equal(await accepted(world), 11, 'ten, then the changed one')
  t.same(
    second.from,
    changed.map(({ id }) => (id === 4 ? null : 'monday')),
  )
  t.same(
    second.answers.filter((_, id) => id !== 4),
    first.answers.filter((_, id) => id !== 4),
  )
  t.match(second.answers[4], /text four/)
  t.same(second.notices, [])
  const { spent, saved } = second.run.cost
  t.ok(Number(spent) < Number(first.run.cost.spent) / 5)
  t.ok(Math.abs(Number(saved) - Number(first.run.cost.spent) * 0.9) < 1e-6)

  const rows: Buffer[] = []
  const again = runBatches(changed, { ...optionsOf(world), job, reuse: 'monday' })
  for await (const row of again.toRows('jsonl')) rows.push(row)
  t.match(JSON.parse(String(rows[0]).split('\n')[0] ?? ''), { id: 0, _batch: { reused: 'monday' } })
  t.equal(await accepted(world), 11, 'the same call again costs nothing')

  const third = await read(world, changed, { job: { name: 'wednesday', dir }, reuse: 'auto' })
  t.same([...new Set(third.from)], ['monday', 'tuesday'], 'a copied answer keeps its origin')
  t.equal(await accepted(world), 11)
})

void t.test('an open job and a shard reuse answers, too', async t => {
  const world = await firstNight(t)
  const job = await world.open({ name: 'tuesday' })
  t.same((await read(world, reviews, { job, reuse: 'monday' })).from.length, 10)
  await job.close()
  const shard = { index: 0, count: 2, block: 5 }
  const part = { name: 'wednesday', dir: world.dir, shard }
  t.same((await read(world, reviews, { job: part, reuse: 'auto' })).from.length, 5)
  const other = await read(world, reviews, {
    job: { name: 'thursday', dir: world.dir, shard },
    reuse: 'wednesday',
  })
  t.same([...new Set(other.from)], ['monday'], 'the shards of a job are found')
  t.equal(await accepted(world), 10)
})

void t.test('answers of another API or with other betas are not reused', async t => {
  const world = await firstNight(t)
  const { dir, emulator } = world
  const client = clientOf(emulator).withOptions({
    defaultHeaders: { 'anthropic-beta': 'b-2,a-1' },
  })
  const beta = await read(world, reviews, {
    ...{ client, job: { name: 'tuesday', dir }, reuse: 'monday' },
  })
  t.match(beta.notices, [
    /^`reuse` monday: there are no answers from http:\S+ a-1 b-2, so all records are sent$/,
  ])
  t.equal(await accepted(world), 20)
  const same = await read(world, reviews, {
    ...{ client, job: { name: 'wednesday', dir }, reuse: 'auto' },
  })
  t.same([...new Set(same.from)], ['tuesday'])
  t.equal(await accepted(world), 20)
})

void t.test('a missing job is an error before anything is sent', async t => {
  const world = await firstNight(t)
  const { dir } = world
  const job = { name: 'tuesday', dir }
  await t.rejects(read(world, reviews, { job, reuse: 'munday' }), {
    code: 'CBS_OPTION',
    option: 'reuse',
    message: /^`reuse`: there is no job munday in .* \(did you mean "monday"\?\)/,
  })
  t.equal(await accepted(world), 10)
  const empty = await makeWorld(t)
  const none = await read(empty, reviews, { job: { name: 'a', dir: empty.dir }, reuse: 'auto' })
  t.same(none.notices, ['`reuse` auto: there is no finished job yet, so all records are sent'])
})

void t.test('a job that is deleted after the run has begun is an error', async t => {
  const dir = t.testdir()
  const notices: string[] = []
  const onNotice = (message: string): void => void notices.push(message)
  const options = { dir, reuse: 'monday', answeredBy: 'x', schema: undefined, onNotice }
  await t.rejects(openEarlier(options, join(dir, 'earlier'), undefined), {
    code: 'CBS_OPTION',
    message: /^`reuse`: there is no job monday/,
  })
  t.same(notices, [])
})

void t.test('wrong values of `reuse` are rejected at once', async t => {
  const world = await makeWorld(t)
  const { dir } = world
  const job = await openJob({ name: 'open.00001', dir })
  t.teardown(() => job.close())
  const pool = {
    query: () => Promise.reject(new Error()),
    connect: () => Promise.reject(new Error()),
  }
  for (const [options, message] of [
    [{ reuse: 'a' }, /^`reuse` needs a `job`: its `dir` holds the jobs/],
    [
      { reuse: '', job: { name: 'a', dir } },
      /^`reuse` must be the name of an earlier job, or 'auto'/,
    ],
    [{ reuse: 'a', job: { name: 'a', dir } }, /^`reuse` a is the job itself: name an earlier one/],
    [{ reuse: 'open', job }, /^`reuse` open is the job itself/],
    [
      { reuse: 'a', job: { name: 'b', dir, ledger: postgresLedger({ pool }) } },
      /^`reuse` cannot be combined with a `ledger`/,
    ],
  ] as const)
    t.throws(() => runBatches(reviews, { ...optionsOf(world), ...options }), {
      code: 'CBS_OPTION',
      message,
    })
})
