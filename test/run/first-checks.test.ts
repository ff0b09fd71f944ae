// What `runBatches` checks before it sends a whole job: the preflight, the canary, and the first batch.
import t from 'tap'
import { runBatches, type AnswerSchema, type RunEvent, type RunOptions } from '../../lib/index.ts'
import { callsOf, makeWorld, type World } from '../support/world.ts'

const texts = Array.from({ length: 10 }, (_, id) => ({ text: `text ${id}` }))

const REFUSED = { error: { type: 'invalid_request_error', message: 'no such' } }

interface Seen {
  readonly statuses: string[]
  readonly notices: string[]
  /** What the loop threw. */
  readonly error: unknown
}

type Options = RunOptions<(typeof texts)[number], AnswerSchema | undefined>

async function read({ client, clock }: World, options: Partial<Options> = {}): Promise<Seen> {
  const statuses: string[] = []
  const notices: string[] = []
  const onEvent = (event: RunEvent): void => {
    if (event.type === 'notice') notices.push(event.message)
  }
  const all: Options = { client, clock, prompt: '{{text}}', onEvent, ...options }
  try {
    for await (const { status } of runBatches(texts, all)) statuses.push(status)
  } catch (error) {
    return { statuses, notices, error }
  }
  return { statuses, notices, error: undefined }
}

const accepted = async ({ emulator }: World): Promise<number> =>
  (await emulator.ledger.totals()).accepted

void t.test('the canary is sent alone, and the rest after one of its answers', async t => {
  const world = await makeWorld(t)
  const { statuses, error } = await read(world, { canary: 3, batchSize: 5 })
  t.same([statuses.length, error], [10, undefined])
  t.same(
    world.emulator.ledger.batches().map(({ requests }) => requests),
    [3, 5, 2],
  )
})

void t.test('a failed canary stops the job until it is called without one', async t => {
  const world = await makeWorld(t, { respond: () => REFUSED })
  const job = { name: 'moods', dir: world.dir }
  const options = { canary: 3, batchSize: 5, job }
  for (const _ of [1, 2]) {
    const { statuses, error } = await read(world, options)
    t.same(statuses, ['errored', 'errored', 'errored'], 'its results arrive')
    t.match(error, {
      code: 'CBS_STOPPED',
      option: 'canary',
      message:
        'the canary failed: none of the first 3 records was answered (errored: no such); nothing more is sent. To send the rest anyway, omit `canary`',
    })
    t.equal(await accepted(world), 3, 'calling it again sends nothing more')
  }
  const rest = await read(world, { ...options, canary: undefined, stopOnUniformFailure: false })
  t.same([rest.statuses.length, rest.error], [10, undefined])
  t.match(await world.emulator.ledger.totals(), { accepted: 10, acceptedTwice: 0 })
})

void t.test('an answer that violates the schema does not pass the canary', async t => {
  const world = await makeWorld(t, { respond: () => '{}' })
  const schema = { type: 'object', required: ['mood'] }
  const { error } = await read(world, { canary: 2, schema })
  t.match(error, { code: 'CBS_STOPPED', message: /none of the first 2 .*\(invalid: / })
})

void t.test('a canary is driven step by step with maxWait: 0', async t => {
  const world = await makeWorld(t, { batchTimeMs: 3_600_000 })
  const job = { name: 'steps', dir: world.dir }
  const step = async (): Promise<number> => {
    const { statuses, error } = await read(world, { job, canary: 2, maxWait: 0 })
    t.equal(error, undefined)
    return statuses.length
  }
  t.equal(await step(), 0)
  t.equal(await accepted(world), 2)
  t.equal(await step(), 0)
  t.equal(await accepted(world), 2, 'the rest waits for the canary')
  await world.clock.sleep(2 * 3_600_000)
  t.equal(await step(), 2)
  t.equal(await accepted(world), 10)
  await world.clock.sleep(2 * 3_600_000)
  t.equal(await step(), 10)
})

void t.test(
  'a first batch that fails as a whole stops the job, unless that is switched off',
  async t => {
    const world = await makeWorld(t, { respond: () => REFUSED })
    const options = { batchSize: 4, concurrency: 1, job: { name: 'moods', dir: world.dir } }
    const stopped = await read(world, options)
    t.match(stopped.error, {
      code: 'CBS_STOPPED',
      message:
        'all 4 requests of the first batch are errored (no such), so no more are sent; to send the rest anyway, set `stopOnUniformFailure: false`',
    })
    t.ok((await accepted(world)) < 10)
    const rest = await read(world, { ...options, stopOnUniformFailure: false })
    t.same([rest.statuses.length, rest.error], [10, undefined])
    t.match(await world.emulator.ledger.totals(), { accepted: 10, acceptedTwice: 0 })
  },
)

void t.test('the preflight rejects a wrong request before anything is sent', async t => {
  const world = await makeWorld(t)
  const unknown = await read(world, { model: 'claude-hiaku-5-5' })
  t.match(unknown.error, {
    code: 'CBS_OPTION',
    message: /^the model claude-hiaku-5-5 is unknown \(did you mean "claude-haiku-5-5"\?\)/,
  })
  t.equal(await accepted(world), 0)
  const off = await read(world, { model: 'claude-hiaku-5-5', preflight: false, batchSize: 10 })
  t.same(off.statuses.length, 10, 'without it the rows say so after the batch')
  t.ok(off.statuses.every(status => status === 'errored'))
  t.equal(callsOf(world.emulator, 'count_tokens')[200], undefined)
})

void t.test('the preflight is done once for a job', async t => {
  const world = await makeWorld(t)
  const job = { name: 'moods', dir: world.dir }
  for (const _ of [1, 2]) t.equal((await read(world, { job })).statuses.length, 10)
  t.same(callsOf(world.emulator, 'count_tokens'), { 200: 1 })
})

void t.test('what the preflight finds out is a notice', async t => {
  const deprecated = { lifecycle: 'deprecated', retires_at: null }
  const body = JSON.stringify(deprecated)
  const world = await makeWorld(t, {
    faults: [
      { on: 'models', nth: 1, body, contentType: 'application/json' },
      { on: 'count_tokens', nth: 1, status: 529, error: { message: 'too much' } },
      { on: 'count_tokens', nth: 3, status: 404, error: { message: 'Not Found' } },
    ],
  })
  t.same((await read(world)).notices, [
    'waiting for the API: the API answered 529: too much (`preflight`: false leaves this call out)',
    'the model claude-haiku-5-5 is deprecated: choose another one soon',
  ])
  const { notices, statuses } = await read(world)
  t.match(notices, [/^the preflight is skipped: the API answered 404/])
  t.equal(statuses.length, 10)
})

void t.test('a token counter that sends no count is tried again, and then an error', async t => {
  const fault = { on: 'count_tokens', contentType: 'application/json' } as const
  for (const [body, nth, error] of [
    ['null', 1, undefined],
    ['{"input_tokens":-7}', [1, 2, 3, 4, 5], { code: 'CBS_API', message: /sent no count/ }],
    ['{"input_tokens":"7"}', [1, 2, 3, 4, 5], { code: 'CBS_API', message: /sent no count/ }],
  ] as const) {
    const world = await makeWorld(t, { faults: [{ ...fault, body, nth }] })
    t.match((await read(world)).error, error)
  }
})

void t.test('a client without the free calls is used without a preflight', async t => {
  const world = await makeWorld(t)
  const { client } = world
  // As the class of another API may lack them.
  Object.defineProperty(client.messages.constructor.prototype, 'countTokens', {
    get: () => undefined,
    configurable: true,
  })
  t.match(await read(world), {
    notices: ['the preflight is skipped: the client has no token counter'],
    error: undefined,
  })
})
