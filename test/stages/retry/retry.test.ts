import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { aggregate } from '../../../lib/stages/aggregate/aggregate.ts'
import { awaitEnd } from '../../../lib/stages/await/await-end.ts'
import type { Clock } from '../../../lib/core/clock.ts'
import { chain, each, from } from '../../../lib/core/chain.ts'
import { lastUserText, type EmulatorOptions } from '../../../lib/emulator/index.ts'
import type { BatchRequest, SourceRecord } from '../../../lib/core/flow.ts'
import type { StoredJob } from '../../../lib/store/job.ts'
import { spool } from '../../../lib/stages/spool/spool.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import { Result } from '../../../lib/core/results/result.ts'
import { retry, type RetryOptions } from '../../../lib/stages/retry/retry.ts'
import { stage, type Stage } from '../../../lib/core/stage.ts'
import { submit } from '../../../lib/stages/submit/submit.ts'
import { openBelow } from '../../support/descriptors.ts'
import { records, watched } from '../../support/jobs.ts'
import { until } from '../../support/waiting.ts'
import { ask, asks, makeWorld, run, type RunOptions, type World } from '../../support/world.ts'

/** What a record is answered at each try, by its number. */
const answersOf =
  (script: Readonly<Record<number, readonly string[]>>): NonNullable<EmulatorOptions['respond']> =>
  (params, { attempt }) => {
    const n = Number(lastUserText(params).slice(2))
    const answer = script[n]?.[attempt - 1]
    if (answer === undefined) return `ok ${n} at ${attempt}`
    return answer === 'expired' ? { expired: true } : { error: { type: answer, message: 'no' } }
  }

function asking({ client }: World, job: StoredJob, attempt: number): Stage<SourceRecord, Result> {
  const template = stage((record: SourceRecord): BatchRequest => ({
    ...ask(`n ${record.fields['n']}`),
    record,
  }))
  return chain(
    template,
    aggregate({ job, attempt, batchSize: 3 }),
    submit({ client }),
    awaitEnd({ client }),
    fetchResults({ client }),
  )
}

async function runRetry(
  world: World,
  job: StoredJob,
  count: number,
  options: Partial<RetryOptions> = {},
  signal?: AbortSignal,
): Promise<string[]> {
  const rows: string[] = []
  await pipeline(
    Readable.from(records(count)),
    spool({ job }),
    asking(world, job, 1),
    retry({ createPipeline: attempt => asking(world, job, attempt), job, ...options }),
    async function (results: AsyncIterable<Result>) {
      for await (const { record, status, attempt, response } of results)
        rows.push(`${record?.fields['n']} ${status} ${attempt} ${response ?? ''}`.trim())
    },
    { ...(signal && { signal }) },
  )
  return rows
}

void t.test('invalid options are rejected at once', async t => {
  // @ts-expect-error createPipeline is missing
  t.throws(() => retry({}), { code: 'CBS_OPTION', message: /`createPipeline`/ })
  t.throws(() => retry({ createPipeline: () => stage((): never[] => []), retries: -1 }), {
    code: 'CBS_OPTION',
  })
})

void t.test(
  'temporary failures are retried until they succeed or no try is left, and their rows come last (N30)',
  async t => {
    const world = await makeWorld(t, {
      respond: answersOf({
        1: ['expired'],
        2: ['api_error', 'overloaded_error'],
        4: ['api_error', 'rate_limit_error', 'timeout_error', 'api_error'],
        5: ['invalid_request_error'],
      }),
    })
    t.same(await runRetry(world, await world.open(), 6), [
      '0 succeeded 1 ok 0 at 1',
      '3 succeeded 1 ok 3 at 1',
      '5 errored 1',
      '1 succeeded 2 ok 1 at 2',
      '2 succeeded 3 ok 2 at 3',
      '4 errored 3',
    ])
    t.equal((await world.emulator.ledger.totals()).billedTwice, 0)
  },
)

void t.test('without attempts or failures, every row is emitted at once', async t => {
  for (const attempts of [0, 2]) {
    const world = await makeWorld(t, { respond: answersOf(attempts ? {} : { 0: ['expired'] }) })
    t.equal(
      (await runRetry(world, await world.open(), 2, { retries: attempts }))[0]?.slice(0, 11),
      attempts ? '0 succeeded' : '0 expired 1',
    )
    t.equal((await world.emulator.ledger.totals()).batches, 1)
  }
})

void t.test('the waits between tries can be set on any stage that makes calls', async t => {
  const sleepsWith = async (options: RunOptions): Promise<number[]> => {
    const calls = options.fetch
      ? (['results'] as const)
      : (['list', 'retrieve', 'results'] as const)
    const world = await makeWorld(t, {
      faults: calls.map(on => ({ on, nth: [1, 2], status: 500 })),
    })
    const sleeps: number[] = []
    const clock: Clock = {
      now: () => world.clock.now(),
      elapsed: () => world.clock.elapsed(),
      sleep(ms, signal) {
        sleeps.push(ms)
        return world.clock.sleep(ms, signal)
      },
    }
    const results = await run(world, await world.open({ clock }), asks(2), options)
    t.same(
      results.map(({ status }) => status),
      ['succeeded', 'succeeded'],
    )
    return sleeps
  }
  // A poll comes after 5 s; the waits after failures are the shorter ones.
  const longest = (sleeps: number[]): number => Math.max(...sleeps.filter(ms => ms < 3000))
  t.ok(longest(await sleepsWith({})) >= 375)
  const backoff = { first: 1, most: 2 }
  for (const stage of ['submit', 'awaitEnd', 'fetch'])
    t.ok(longest(await sleepsWith({ [stage]: { backoff } })) <= 2, stage)
  const wrong = { client: (await makeWorld(t)).client, backoff: { first: -1 } }
  for (const stage of [submit, awaitEnd, fetchResults])
    t.throws(() => stage(wrong), { code: 'CBS_OPTION', option: 'backoff.first' })
  // A JavaScript user may give anything.
  const plain = { client: wrong.client, backoff: 5 as unknown as object }
  for (const stage of [submit, awaitEnd, fetchResults])
    t.throws(() => stage(plain), { code: 'CBS_OPTION', option: 'backoff' })
  const one = { client: wrong.client, adopt: 'none' as unknown as string[] }
  for (const stage of [submit, awaitEnd, fetchResults])
    t.throws(() => stage(one), { code: 'CBS_OPTION', message: /^`adopt` must be a list of texts/ })
})

void t.test('shouldRetry chooses which failures are retried', async t => {
  const world = await makeWorld(t, {
    respond: answersOf({ 0: ['invalid_request_error'], 1: ['expired'] }),
  })
  const ask = ({ status, attempt }: Result): boolean => status === 'errored' && attempt === 1
  t.same(await runRetry(world, await world.open(), 2, { shouldRetry: ask }), [
    '1 expired 1',
    '0 succeeded 2 ok 0 at 2',
  ])
})

void t.test('a `shouldRetry` that always returns true is limited by the attempts', async t => {
  const world = await makeWorld(t, { respond: answersOf({}) })
  const rows = await runRetry(world, await world.open(), 1, { retries: 2, shouldRetry: () => true })
  t.same(rows, ['0 succeeded 3 ok 0 at 3'])
  t.match(await world.emulator.ledger.totals(), { batches: 3 })
})

void t.test(
  'a `shouldRetry` that returns a promise is rejected: it would count as yes',
  async t => {
    const world = await makeWorld(t, {})
    // A JavaScript user may do so; that it rejects must not end the process.
    const ask = (async () => {
      throw new Error('boom')
    }) as never
    await t.rejects(runRetry(world, await world.open(), 1, { shouldRetry: ask }), {
      code: 'CBS_STAGE',
      message: /`shouldRetry` returned a promise/,
    })
    t.match(await world.emulator.ledger.totals(), { batches: 1 })
  },
)

void t.test('a `shouldRetry` that throws nothing useful ends the pipeline anyway', async t => {
  for (const thrown of [undefined, Object.create(null)]) {
    const world = await makeWorld(t, {})
    const shouldRetry = (): never => {
      throw thrown
    }
    await t.rejects(runRetry(world, await world.open(), 1, { shouldRetry }), {
      code: 'CBS_STAGE',
      message: /^`shouldRetry` failed: /,
    })
  }
})

void t.test(
  'a crash at every other event of a run leads to one row per record and no answer paid twice',
  async t => {
    const script = { 1: ['expired'], 2: ['api_error', 'api_error'], 4: ['expired'] }
    const calm = await makeWorld(t, { respond: answersOf(script) })
    const job = await calm.open()
    let events = 0
    job.on('event', () => void events++)
    const rows = await runRetry(calm, job, 6)
    for (let death = 1; death <= events; death += 2) {
      const world = await makeWorld(t, { respond: answersOf(script) })
      const dying = await world.open()
      const stop = new AbortController()
      let seen = 0
      dying.on('event', () => ++seen === death && stop.abort())
      await runRetry(world, dying, 6, {}, stop.signal).catch(() => {})
      await dying.close()
      const again = await world.open()
      t.same((await runRetry(world, again, 6)).sort(), [...rows].sort(), `death at event ${death}`)
      t.equal((await world.emulator.ledger.totals()).billedTwice, 0, `death at event ${death}`)
      await again.close()
    }
  },
)

void t.test('a record that is rejected in a retry has one row, also after a resume', async t => {
  const world = await makeWorld(t, {
    respond: answersOf({ 0: ['expired'], 1: ['expired'] }),
    faults: [{ on: 'create', nth: 2, rejectRequest: '"n 1"' }],
  })
  const job = await world.open()
  const expected = ['0 succeeded 2 ok 0 at 2', '1 rejected 2', '2 succeeded 1 ok 2 at 1']
  t.same((await runRetry(world, job, 3)).sort(), expected)
  await job.close()
  t.same((await runRetry(world, await world.open(), 3)).sort(), expected)
})

void t.test('without the job as an option, the job of the results is used', async t => {
  const world = await makeWorld(t, { respond: answersOf({ 0: ['expired'] }) })
  t.same(await runRetry(world, await world.open(), 2, { job: undefined }), [
    '1 succeeded 1 ok 1 at 1',
    '0 succeeded 2 ok 0 at 2',
  ])
})

void t.test('a pipeline that cannot be created ends the stage', async t => {
  const world = await makeWorld(t, { respond: answersOf({ 0: ['expired'] }) })
  const through = (): never => {
    throw new Error('boom')
  }
  await t.rejects(runRetry(world, await world.open(), 1, { createPipeline: through }), {
    code: 'CBS_STAGE',
    message: /boom/,
  })
})

for (const at of [1, 2, 4]) {
  void t.test(
    `what \`ask\` throws at result ${at} ends the stage with CBS_STAGE, and not the process`,
    async t => {
      const world = await makeWorld(t, { respond: answersOf({ 0: ['expired'] }) })
      let asked = 0
      const ask = ({ status, attempt }: Result): boolean => {
        if (++asked === at) throw new Error('boom')
        return status === 'expired' && attempt === 1
      }
      const job = await world.open()
      await t.rejects(runRetry(world, job, 3, { shouldRetry: ask }), {
        code: 'CBS_STAGE',
        message: /boom/,
      })
      await job.close()
      t.same(openBelow(world.dir), [])
    },
  )
}

void t.test('an answer that cannot be read ends the stage with CBS_STATE', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  const spoil = ({ batch, customId, record, last }: Result): Result =>
    new Result({ batch, customId, record, raw: Buffer.from('{"custom_id":'), last })
  const spoilt = pipeline(
    Readable.from(records(2)),
    spool({ job }),
    asking(world, job, 1),
    stage(spoil),
    retry({ createPipeline: attempt => asking(world, job, attempt), job }),
    async (results: AsyncIterable<Result>) => {
      for await (const _ of results) t.fail('it has no status')
    },
  )
  await t.rejects(spoilt, { code: 'CBS_STATE', message: /a kept result line is damaged/ })
})

void t.test('unreadable attempts of a job end the stage with CBS_DISK', async t => {
  const world = await makeWorld(t, { respond: answersOf({ 0: ['expired'] }) })
  const broken = { is: false }
  const disk = watched((what, path) => {
    if (broken.is && what === 'open' && path.endsWith('2.members')) throw new Error('EIO')
  })
  const job = await world.open()
  await runRetry(world, job, 2)
  await job.close()
  broken.is = true
  const again = await world.open({ disk })
  await t.rejects(runRetry(world, again, 2), { code: 'CBS_DISK', message: /EIO/ })
})

void t.test('an error in a retry keeps its code, and no file stays open', async t => {
  const world = await makeWorld(t, {
    respond: answersOf({ 0: ['expired'] }),
    faults: [{ on: 'create', nth: 2, status: 401 }],
  })
  const job = await world.open()
  await t.rejects(runRetry(world, job, 2), { code: 'CBS_ACCESS' })
  await job.close()
  t.same(openBelow(world.dir), [])
})

void t.test('a stage that is destroyed during a retry closes', async t => {
  const world = await makeWorld(t, { respond: answersOf({ 0: ['expired'] }), batchTimeMs: 60_000 })
  const job = await world.open()
  const stop = new AbortController()
  job.on(
    'event',
    event => event.type === 'submitted' && event.number === 2 && setImmediate(() => stop.abort()),
  )
  await t.rejects(runRetry(world, job, 2, {}, stop.signal), { name: 'AbortError' })
  await job.close()
  t.same(openBelow(world.dir), [])
  t.equal(world.clock.sleepers.size, 0)
})

void t.test('without results there is nothing to retry, and no job is needed', async t => {
  const none: Result[] = []
  const through = (): never => t.fail('it was sent again') as never
  for await (const _ of each(from(Readable.from(none), retry({ createPipeline: through }))))
    t.fail('a row')
})

void t.test('a stage that is destroyed while it reads later attempts sends nothing', async t => {
  const world = await makeWorld(t, { respond: answersOf({ 0: ['expired', 'expired'] }) })
  const job = await world.open()
  await runRetry(world, job, 2)
  await job.close()
  const calls = world.emulator.ledger.lastCalls().length
  const stop = new AbortController()
  let looks = 0
  // The first look is that of the first result, the second begins the round.
  const disk = watched((what, path) => {
    if (what === 'open' && path.endsWith('3.members') && ++looks === 2) stop.abort()
  })
  const again = await world.open({ disk })
  const through = (): never => t.fail('it was sent again') as never
  await t.rejects(runRetry(world, again, 2, { createPipeline: through }, stop.signal), {
    name: 'AbortError',
  })
  await again.close()
  await until(() => openBelow(world.dir).length === 0)
  t.equal(looks, 2)
  t.equal(world.emulator.ledger.lastCalls().length, calls)
})
