import { createWriteStream, readFileSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import Anthropic from '@anthropic-ai/sdk'
import t, { type Test } from 'tap'
import * as z from 'zod'
import {
  SourceRecord,
  estimate,
  from,
  openJob,
  parseCsv,
  parseJsonl,
  runBatches,
  stage,
  type RunEvent,
  type RunOptions,
} from '../../lib/index.ts'
import { createEmulator, type EmulatorOptions } from '../../lib/emulator/index.ts'
import { clientOf, makeWorld, type World } from '../support/world.ts'

const reviews = Array.from({ length: 10 }, (_, id) => ({ id, text: `text ${id}`, at: new Date(0) }))

/** Short waits, so that a run on the emulator takes milliseconds. */
const quick = { poll: 1, backoff: { first: 1, most: 4 } }

function quickWith({ client, clock }: World): Pick<RunOptions, 'client' | 'clock'> {
  return { client, clock }
}

/** An API in real time, whose batches take a millisecond. */
async function realWorld(t: Test, options: EmulatorOptions = {}): Promise<Anthropic> {
  const emulator = await createEmulator({ port: null, batchTimeMs: 1, ...options })
  t.teardown(() => emulator.close())
  return clientOf(emulator)
}

void t.test('ten prompts from an array take five lines', async t => {
  const { client, clock } = await makeWorld(t)
  const prompts = reviews.map(({ text }) => ({ text }))
  const run = runBatches(prompts, { client, clock, prompt: '{{text}}' })
  const answers: string[] = []
  for await (const { value } of run) answers.push(value ?? 'failed')
  t.equal(answers.length, 10)
  t.ok(answers.every(answer => answer.startsWith('echo')))
  t.ok(Number(run.cost.spent) > 0)
  t.equal(Number(run.cost.synchronous), Number(run.cost.spent) * 2)
})

void t.test('records, answers and costs have the right types and values', async t => {
  const world = await makeWorld(t, { respond: () => '{"mood":"good"}' })
  const seen: unknown[] = []
  const events: RunEvent['type'][] = []
  const run = runBatches(reviews, {
    ...quickWith(world),
    prompt: (review, record) => `${review.text} of ${review.at.slice(0, 4)}, line ${record.line}`,
    model: review => (review.id === 0 ? 'claude-opus-5' : 'claude-haiku-5-5'),
    maxTokens: review => review.id + 10,
    schema: z.object({ mood: z.enum(['good', 'bad']) }),
    batchSize: 4,
    order: 'input',
    onEvent: ({ type }) => events.push(type),
  })
  let sum = 0
  for await (const { record, value, status, cost, model } of run) {
    const mood: 'good' | 'bad' | undefined = value?.mood
    seen.push([record.fields.id, record.fields.at, mood, status])
    sum += Number(cost)
    t.equal(model, record.fields.id === 0 ? 'claude-opus-5' : 'claude-haiku-5-5')
  }
  t.same(
    seen,
    reviews.map(({ id }) => [id, '1970-01-01T00:00:00.000Z', 'good', 'succeeded']),
  )
  t.ok(Math.abs(sum - Number(run.cost.spent)) < 1e-12)
  t.ok(
    ['sealed', 'submitted', 'ended', 'fetched', 'rows'].every(type => events.some(e => e === type)),
  )
  const [batch] = await world.emulator.ledger.batches()
  t.ok(batch)
})

void t.test('a prompt with a missing value rejects its record, and nothing is sent', async t => {
  const world = await makeWorld(t)
  const people: { name?: string }[] = [{ name: 'Ada' }, {}]
  const seen: unknown[] = []
  const run = runBatches(people, {
    ...quickWith(world),
    prompt: person => 'Greet ' + person.name,
    order: 'input',
  })
  for await (const { status, error, value } of run) seen.push([status, error?.type, value])
  t.match(seen, [
    ['succeeded', undefined, /^echo/],
    ['rejected', 'missing_value', undefined],
  ])
  t.match(await world.emulator.ledger.totals(), { billed: 1 })
})

void t.test('rows of every format go to a file', async t => {
  const world = await makeWorld(t, { respond: () => '{"mood":"good"}' })
  const { dir } = world
  const run = (): ReturnType<typeof runBatches<(typeof reviews)[number], { type: 'object' }>> =>
    runBatches(reviews.slice(0, 2), {
      ...quickWith(world),
      prompt: '{{text}}',
      order: 'input',
      schema: { type: 'object', properties: { mood: { type: 'string' } } } as { type: 'object' },
    })
  const written = async (format: 'jsonl' | 'csv' | 'tsv' | 'text' | 'raw'): Promise<string> => {
    const file = join(dir, `rows.${format}`)
    await pipeline(run().toRows(format), createWriteStream(file))
    return readFileSync(file, 'utf8')
  }
  t.match((await written('jsonl')).split('\n')[0], /^\{"id":0,.*"response":\{"mood":"good"\}/)
  t.match(
    await written('csv'),
    /^id,text,at,mood,status,error\n0,text 0,1970-01-01T00:00:00.000Z,good/,
  )
  t.match(await written('tsv'), /^id\ttext\tat\tmood/)
  t.equal(await written('text'), '{"mood":"good"}\n{"mood":"good"}\n')
  t.equal((await written('raw')).split('\n').length, 3)
  // @ts-expect-error no such format
  t.throws(() => run().toRows('xml'), { code: 'CBS_OPTION', message: /`format` must be/ })
})

void t.test('rows use the names of fields that the run was given', async t => {
  const world = await makeWorld(t, { respond: () => 'good' })
  const run = runBatches([{ text: 'a' }], {
    ...quickWith(world),
    prompt: '{{text}}',
    responseField: 'answer',
    metaField: 'about',
  })
  let rows = ''
  for await (const row of run.toRows()) rows += row.toString()
  t.match(JSON.parse(rows), { text: 'a', answer: 'good', about: { status: 'succeeded' } })
})

void t.test('the cost of a model without a known price is null', async t => {
  const world = await makeWorld(t)
  const run = runBatches([{ text: 'a' }], {
    ...quickWith(world),
    prompt: '{{text}}',
    model: 'claude-mythos-preview',
    batchAge: 60_000,
  })
  for await (const { status, cost } of run) t.match([status, cost], ['succeeded', null])
  t.same(run.cost, { spent: null, synchronous: null, saved: 0 })
})

void t.test('a named job resumes and pays for nothing twice', async t => {
  const world = await makeWorld(t)
  const { dir, emulator } = world
  const options = {
    ...quickWith(world),
    prompt: (review: { text: string }) => review.text,
    job: { name: 'moods', dir },
    batchSize: 3,
  }
  for await (const { status } of runBatches(reviews, options)) {
    t.equal(status, 'succeeded')
    break
  }
  const count = async (): Promise<number> => {
    let results = 0
    for await (const { status } of runBatches(reviews, options))
      if (status === 'succeeded') results++
    return results
  }
  t.equal(await count(), 10)
  t.equal(await count(), 10, 'a finished run gives its results again')
  t.match(await emulator.ledger.totals(), { billed: 10, billedTwice: 0 })

  const other = { ...options, prompt: (review: { text: string }) => `Other: ${review.text}` }
  const collected: string[] = []
  await t.rejects(
    async () => {
      for await (const { status } of runBatches(reviews, other)) collected.push(status)
    },
    { code: 'CBS_INPUT', message: /the template has changed/ },
  )
  t.equal(collected.length, 10, 'what was paid for is collected all the same')
  await t.rejects(
    async () => {
      for await (const _ of runBatches(reviews.slice(0, 9), options)) continue
    },
    { code: 'CBS_INPUT', message: /the input has changed/ },
  )
  t.match(await emulator.ledger.totals(), { billed: 10 })
})

void t.test('maxWait: 0 drives a job step by step, without a waiting process', async t => {
  const world = await makeWorld(t, { batchTimeMs: 3_600_000 })
  const step = async (): Promise<readonly [boolean, number]> => {
    const run = runBatches(reviews, {
      ...quickWith(world),
      prompt: '{{text}}',
      batchSize: 3,
      concurrency: 2,
      maxWait: 0,
      job: { name: 'steps', dir: world.dir },
    })
    let results = 0
    for await (const { status } of run) if (status === 'succeeded') results += 1
    return [run.finished, results]
  }
  t.same(await step(), [false, 0])
  t.equal(world.emulator.ledger.batches().length, 2, 'no more than fit')
  t.same(await step(), [false, 0])
  t.equal(world.emulator.ledger.batches().length, 2)
  await world.clock.sleep(2 * 3_600_000)
  t.same(await step(), [false, 6], 'what has ended is collected')
  t.equal(world.emulator.ledger.batches().length, 4, 'the rest is sent')
  await world.clock.sleep(2 * 3_600_000)
  t.same(await step(), [true, 10])
  t.same(await step(), [true, 10], 'a finished job gives its results again')
  t.match(await world.emulator.ledger.totals(), { billed: 10, billedTwice: 0, acceptedTwice: 0 })
})

void t.test('maxWait: 0 finds a batch whose create was answered with a wrong id', async t => {
  const HOUR = 3_600_000
  // The search finds a batch that runs, or one that has ended, and some gateways drop the `date` header.
  for (const [batchTimeMs, isDated] of [
    [HOUR, true],
    [1000, true],
    [1000, false],
  ] as const) {
    const world = await makeWorld(t, {
      batchTimeMs,
      faults: [{ on: 'create', nth: 1, replyId: 'msgbatch_wrong' }],
    })
    const fetch: typeof globalThis.fetch = async (url, init) => {
      const response = await world.emulator.fetch(url, init)
      if (!isDated) response.headers.delete('date')
      return response
    }
    const client = world.client.withOptions({ fetch })
    const step = async (): Promise<readonly [boolean, number]> => {
      const options = { prompt: '{{text}}', batchSize: 5, maxWait: 0 }
      const job = { name: 'steps', dir: world.dir }
      const run = runBatches(reviews, { clock: world.clock, client, ...options, job })
      let results = 0
      for await (const { status } of run) if (status === 'succeeded') results += 1
      return [run.finished, results]
    }
    t.same(await step(), [false, 0])
    await world.clock.sleep(HOUR / 2)
    t.same(await step(), [false, batchTimeMs < HOUR ? 5 : 0], 'the other one may have ended')
    await world.clock.sleep(HOUR / 12)
    t.same(await step(), [false, batchTimeMs < HOUR ? 5 : 0], 'the settle time has not passed')
    await world.clock.sleep(HOUR / 6)
    if (batchTimeMs === HOUR) {
      t.same(await step(), [false, 0], 'the one that may be it still runs')
      await world.clock.sleep(HOUR)
    }
    t.same(await step(), [true, 10])
    t.match(await world.emulator.ledger.totals(), { billed: 10, billedTwice: 0, acceptedTwice: 0 })
  }
})

void t.test('maxWait: 0 does not leave records that are still arriving', async t => {
  const world = await makeWorld(t, { batchTimeMs: 3_600_000 })
  const source = async function* (): AsyncGenerator<{ text: string }> {
    yield* [{ text: 'one' }, { text: 'two' }]
    await world.clock.sleep(60_000)
    yield* [{ text: 'three' }, { text: 'four' }]
  }
  const run = runBatches(source(), {
    ...quickWith(world),
    ...{ prompt: '{{text}}', batchSize: 2, maxWait: 0 },
    job: { name: 'arriving', dir: world.dir },
  })
  for await (const { status } of run) t.fail(status)
  t.notOk(run.finished)
  t.equal(world.emulator.ledger.batches().length, 2)
})

void t.test(
  'maxWait also leaves an endless source, and the rows of the step are emitted',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: 3_600_000 })
    const source = async function* (): AsyncGenerator<{ text: string }> {
      yield { text: 'one' }
      await new Promise<void>(() => {})
    }
    const run = runBatches(source(), {
      ...quickWith(world),
      prompt: '{{text}}',
      batchWait: 10,
      maxWait: 50,
      job: { name: 'endless', dir: world.dir },
    })
    const rows: Buffer[] = []
    for await (const row of run.toRows()) rows.push(row)
    t.same(rows, [])
    t.notOk(run.finished)
    t.equal(world.emulator.ledger.batches().length, 1)
  },
)

void t.test('a run that nobody reads any more ends at once, and its job is free', async t => {
  const world = await makeWorld(t, {
    batchTimeMs: ({ number }) => (number === 1 ? 1000 : 3_600_000),
  })
  const job = { name: 'left', dir: world.dir }
  const options = { ...quickWith(world), prompt: '{{text}}', batchSize: 5, job } as const
  const reopened = async (): Promise<void> => {
    const began = world.clock.elapsed()
    // The lock is free, or this rejects.
    await (await openJob({ ...job, clock: world.clock })).close()
    t.ok(world.clock.elapsed() - began < 60_000)
  }
  const sink = new Writable({
    write(_, _encoding, done) {
      done(new Error('the disk of a user is full'))
    },
  })
  await t.rejects(pipeline(runBatches(reviews, options).toRows(), sink), /disk of a user/)
  await reopened()
  const rows = runBatches(reviews, options).toRows()
  const results = runBatches(reviews, { ...options, job: { ...job, name: 'other' } })
  const iterator = results[Symbol.asyncIterator]()
  for (let count = 0; count < 5; count++) t.notOk((await iterator.next()).done)
  const waiting = iterator.next()
  await iterator.return?.()
  t.same(await waiting, { done: true, value: undefined })
  await iterator.return?.()
  await (await openJob({ ...job, name: 'other', clock: world.clock })).close()
  const stop = new AbortController()
  const { signal } = stop
  const stopped = runBatches(reviews, { ...options, signal })
    [Symbol.asyncIterator]()
    .next()
  stop.abort(new Error('stopped while the job is opened'))
  await t.rejects(stopped, /stopped while the job is opened/)
  await reopened()
  // Nor does it begin.
  const reading = rows.resume()
  reading.destroy()
  await once(reading, 'close')
  await reopened()
  t.match(await world.emulator.ledger.totals(), { acceptedTwice: 10 })
})

void t.test('an open job is used and stays open', async t => {
  const world = await makeWorld(t)
  const job = await world.open()
  for await (const _ of runBatches(reviews, { ...quickWith(world), prompt: '{{text}}', job }))
    continue
  t.ok(job.state.finished)
  await job.close()
})

void t.test('shouldRetry decides which failures are retried', async t => {
  const world = await makeWorld(t, {
    respond: ({ messages: [message] }, { attempt }) =>
      message?.content === 'text 3' && attempt < 3
        ? { error: { type: 'invalid_request_error', message: 'not now' } }
        : undefined,
  })
  const attempts: number[] = []
  const run = runBatches(reviews, {
    ...quickWith(world),
    prompt: '{{text}}',
    retries: 4,
    shouldRetry: ({ status }) => status === 'errored',
  })
  for await (const { status, attempt } of run) {
    t.equal(status, 'succeeded')
    attempts.push(attempt)
  }
  t.same(attempts.toSorted(), [1, 1, 1, 1, 1, 1, 1, 1, 1, 3])
})

void t.test('with short waits, faults of the API cost milliseconds', async t => {
  const client = await realWorld(t, {
    faults: [
      { on: 'create', nth: 1, status: 529 },
      { on: 'list', nth: 1, status: 500 },
    ],
  })
  const began = performance.now()
  let rows = 0
  const run = runBatches(reviews, { client, ...quick, settle: 1, prompt: '{{text}}' })
  for await (const { status } of run) if (status === 'succeeded') rows++
  t.equal(rows, 10)
  t.ok(performance.now() - began < 5000)
})

void t.test('a cap stops the run after the results of batches in flight', async t => {
  const world = await makeWorld(t)
  const options = { ...quickWith(world), prompt: '{{text}}', batchSize: 2 } as const
  const whole = await estimate(reviews, options)
  const worst = Number(whole.usd.worst)
  const statuses: string[] = []
  const run = runBatches(reviews, { ...options, maxCost: worst / 5 + 1e-12 })
  await t.rejects(
    async () => {
      for await (const { status } of run) statuses.push(status)
    },
    {
      code: 'CBS_STOPPED',
      option: 'maxCost',
      message: /^`maxCost` .* is reached: .* Use a higher `maxCost` to continue$/,
    },
  )
  t.ok(statuses.length > 0 && statuses.length < 10)
  t.ok(Number(run.cost.spent) <= worst / 5 + 1e-12)

  const file = join(world.dir, 'capped.jsonl')
  const rows: Buffer[] = []
  await t.rejects(
    pipeline(
      runBatches(reviews, { ...options, maxCost: worst / 5 + 1e-12 }).toRows(),
      async function (bytes) {
        for await (const row of bytes) rows.push(row)
      },
    ),
    { code: 'CBS_STOPPED' },
  )
  t.ok(rows.length > 0, `${file}: the rows that are here are read before the error`)
})

void t.test(
  'an endless source ends when submission has stopped and everything is answered',
  async t => {
    const client = await realWorld(t)
    async function* endless(): AsyncGenerator<{ text: string }> {
      for (let id = 0; id < 4; id++) yield { text: `text ${id}` }
      await new Promise(() => {})
    }
    const worst = Number((await estimate(reviews.slice(0, 2), { prompt: '{{text}}' })).usd.worst)
    const statuses: string[] = []
    const run = runBatches(endless(), {
      client,
      ...quick,
      prompt: '{{text}}',
      batchSize: 2,
      batchWait: 60_000,
      maxCost: worst + 1e-12,
    })
    await t.rejects(
      async () => {
        for await (const { status } of run) statuses.push(status)
      },
      { code: 'CBS_STOPPED' },
    )
    t.same(statuses, ['succeeded', 'succeeded'])
  },
)

void t.test('an abort ends the run, and batches at the API continue', async t => {
  const world = await makeWorld(t)
  const abort = new AbortController()
  const run = runBatches(reviews, {
    ...quickWith(world),
    prompt: '{{text}}',
    batchSize: 2,
    signal: abort.signal,
    onEvent: ({ type }) => type === 'submitted' && abort.abort(),
  })
  await t.rejects(async () => {
    for await (const _ of run) continue
  }, abort.signal.reason)
  const late = runBatches(reviews, { ...quickWith(world), prompt: 'x', signal: abort.signal })
  await t.rejects(async () => {
    for await (const _ of late) continue
  }, abort.signal.reason)
})

void t.test('records of a file are a source, and a run can be read once', async t => {
  const world = await makeWorld(t)
  const source = from(['id,text\n1,Good\n'], parseCsv())
  const run = runBatches(source, { ...quickWith(world), prompt: row => String(row['text']) })
  for await (const { record } of run) t.equal(record.fields['id'], '1')
  await t.rejects(
    async () => {
      for await (const _ of run) continue
    },
    { code: 'CBS_STAGE', message: /read once/ },
  )
})

void t.test('invalid options are rejected at once', async t => {
  const { client } = await makeWorld(t)
  const refused = (options: object, message: RegExp): unknown =>
    t.throws(() => runBatches(reviews, { client, prompt: 'x', ...options }), {
      code: 'CBS_OPTION',
      option: /^[a-z]+/i,
      message,
    })
  refused({ client: undefined }, /`client` must be/)
  refused({ maxcost: 5 }, /there is no option `maxcost` \(did you mean "maxCost"\?\)/)
  refused({ shouldRetry: 1 }, /`shouldRetry` must be a function/)
  refused({ onEvent: 'x' }, /`onEvent` must be a function/)
  refused({ order: 'any' }, /`order` must be/)
  refused({ adopt: 'none' }, /`adopt` must be a list of texts, got "none"/)
  refused({ poll: 0 }, /`poll`/)
  refused({ batchWait: 0 }, /`batchWait`/)
  refused({ batchAge: 0 }, /`batchAge`/)
  refused({ batchSize: 0 }, /`batchSize`/)
  refused({ concurrency: 0 }, /`concurrency`/)
  refused({ retries: -1 }, /`retries`/)
  refused({ maxCost: 0 }, /`maxCost` must be an amount in USD/)
  refused({ maxCost: '5' }, /`maxCost`/)
  refused({ maxCost: Infinity }, /`maxCost`/)
  refused({ maxCost: 1, model: 'claude-unknown' }, /give it with `price`/)
  refused({ price: { input: -1, output: 1 } }, /`price` must be/)
  refused({ maxInvalid: { share: 2 } }, /`maxInvalid`/)
  refused({ prompt: 5 }, /`prompt` must be/)
  refused({ maxWait: -1, job: { name: 'j', dir: 'x' } }, /`maxWait`/)
  refused({ job: 'moods' }, /^`job` must be an open job, or the options of openJob\(\) such as/)
  refused({ preflight: 'no' }, /^`preflight` must be true or false, got "no"/)
  refused({ canary: 0 }, /^`canary` must be a whole number of at least 1/)
  refused({ maxWait: 0 }, /`maxWait` needs a `job`/)
  refused({ schema: { type: 'x' } }, /schema/)
  t.doesNotThrow(() =>
    runBatches(reviews, {
      ...{ client, prompt: 'x', maxCost: 1e-7, maxInvalid: { share: 0.5 } },
      price: { input: 0.1, output: 0.5 },
    }),
  )
})

void t.test('an estimate reads the source and sends nothing', async t => {
  const people: { text?: string }[] = [{ text: 'a' }, {}, { text: 'c' }]
  const found = await estimate(people, { prompt: '{{text}}', batchSize: 1 })
  t.match(found, { records: 3, rejected: 1, skipped: 0, batches: 2, requests: 2 })
  t.ok(Number(found.usd.expected) > 0 && Number(found.usd.worst) >= Number(found.usd.expected))
  const failed = { text: 'a', _batch: { status: 'errored' } }
  t.match(await estimate([failed], { prompt: '{{text}}' }), { skipped: 1, requests: 0 })
  t.match(await estimate(people, { prompt: '{{text?}}', model: 'claude-unknown' }), {
    usd: { expected: null },
  })
})

void t.test('an estimate without options is refused', async t => {
  // @ts-expect-error options are needed
  await t.rejects(estimate(reviews), { code: 'CBS_OPTION', message: /^`options` must be/ })
})

void t.test('an estimate includes attached files', async t => {
  const dir = t.testdir()
  writeFileSync(join(dir, 'long.txt'), 'word '.repeat(2000))
  const files = [{ path: 'long.txt' }, { path: 'missing.txt' }]
  const options = { prompt: 'Summarize.', attach: '{{path}}', attachDir: dir }
  const found = await estimate(files, options)
  t.match(found, { records: 2, rejected: 1, requests: 1 })
  t.ok(found.bytes > 10_000)
})

void t.test(
  'telemetry that throws does not affect the run, and warns once for each method',
  async t => {
    const { client, clock } = await makeWorld(t)
    const warnings: string[] = []
    const warn = ({ message }: Error): void => void warnings.push(message)
    process.on('warning', warn)
    t.teardown(() => process.off('warning', warn))
    const fail = (): never => {
      throw new Error('no exporter')
    }
    const ask = async (telemetry: RunOptions['telemetry']): Promise<number> => {
      let rows = 0
      for await (const _ of runBatches(reviews, { client, clock, prompt: '{{text}}', telemetry }))
        rows += 1
      return rows
    }
    t.equal(await ask({ begin: fail }), 10)
    t.equal(await ask({ begin: () => ({ event: fail, result: fail, end: fail }) }), 10)
    // A JavaScript user may do so, and its rejection must not end the process.
    const late = (() => Promise.reject(new Error('too late'))) as never
    t.equal(await ask({ begin: late }), 10)
    await new Promise(done => setImmediate(done))
    t.same(
      warnings.filter(message => /no exporter/.test(message)).map(message => message.split('`')[1]),
      ['telemetry.begin', 'telemetry.event', 'telemetry.result', 'telemetry.end'],
    )
    t.ok(warnings.some(message => /`telemetry.begin` returned a promise/.test(message)))
  },
)

void t.test('a signal ends a run whose rows are not taken at the moment', async t => {
  const world = await makeWorld(t)
  const stop = new AbortController()
  const job = { name: 'a', dir: t.testdir() }
  const run = runBatches(reviews, {
    ...quickWith(world),
    ...{ prompt: '{{text}}', job, signal: stop.signal },
  })
  const never = new Writable({
    highWaterMark: 1,
    write: () => stop.abort(new Error('enough')),
  })
  await t.rejects(pipeline(run.toRows(), never), { message: 'enough' })
  await (await openJob(job)).close()
})

void t.test(
  'a reader that comes back after the signal gets its reason, and the job is free',
  async t => {
    const world = await makeWorld(t)
    const stop = new AbortController()
    const job = { name: 'a', dir: t.testdir() }
    const options = { ...quickWith(world), prompt: '{{text}}', job, signal: stop.signal }
    const run = runBatches(reviews, options)[Symbol.asyncIterator]()
    t.notOk((await run.next()).done)
    stop.abort(new Error('enough'))
    const isFree = async (): Promise<boolean> =>
      await openJob(job).then(
        async opened => (await opened.close(), true),
        () => false,
      )
    while (!(await isFree())) continue
    await t.rejects(run.next(), { message: 'enough' })
  },
)

void t.test('a signal that is none is refused', async t => {
  const { client, clock } = await makeWorld(t)
  // A JavaScript user may pass the controller.
  const signal = new AbortController() as unknown as AbortSignal
  t.throws(() => runBatches(reviews, { client, clock, prompt: '{{text}}', signal }), {
    code: 'CBS_OPTION',
    message: /`signal` must be an AbortSignal/,
  })
})

void t.test(
  'a stage that changes the fields of a record fails; one that makes a new record does not',
  async t => {
    const { client, clock, emulator } = await makeWorld(t)
    const ask = async (change: (record: SourceRecord) => SourceRecord): Promise<unknown[]> => {
      const source = from([Buffer.from('{"text":"secret"}\n')], parseJsonl(), stage(change))
      const values: unknown[] = []
      for await (const { value } of runBatches(source, { client, clock, prompt: '{{text}}' }))
        values.push(value)
      return values
    }
    const inPlace = (record: SourceRecord): SourceRecord => {
      // What JavaScript users may write.
      const fields: Record<string, unknown> = record.fields
      fields['text'] = 'nothing'
      return record
    }
    await t.rejects(ask(inPlace), { message: /Cannot assign to read only property 'text'/ })
    t.equal((await emulator.ledger.totals()).accepted, 0)
    const anew = ({ fields, line }: SourceRecord): SourceRecord =>
      new SourceRecord(Buffer.from(JSON.stringify({ ...fields, text: 'nothing' })), { line })
    t.match(await ask(anew), [/: nothing$/])
  },
)

void t.test('a closed job is refused, and ends nothing but the run', async t => {
  const { client, dir } = await makeWorld(t)
  const job = await openJob({ name: 'closed', dir })
  await job.close()
  const read = async (): Promise<void> => {
    for await (const _ of runBatches(reviews, { client, prompt: '{{text}}', job })) t.fail('a row')
  }
  await t.rejects(read(), { code: 'CBS_OPTION', option: 'job', message: /job closed is closed/ })
  // An error without a listener would end the test.
  await new Promise(done => setTimeout(done, 50))
})

void t.test('a prompt function whose params have no JSON ends the run with CBS_STAGE', async t => {
  const client = await realWorld(t)
  for (const preflight of [true, false]) {
    const metadata = { user_id: 5n as unknown as string }
    const prompt = () => ({ messages: [{ role: 'user' as const, content: 'x' }], metadata })
    const options = { ...quick, client, preflight, prompt }
    await t.rejects(text(runBatches(reviews, options).toRows()), {
      code: 'CBS_STAGE',
      message: 'a request cannot be serialized as JSON: Do not know how to serialize a BigInt',
    })
  }
})

void t.test('a client without a key is CBS_ACCESS', async t => {
  t.intercept(process, 'env', { value: {} })
  const client = new Anthropic({ apiKey: null, authToken: null })
  await t.rejects(text(runBatches(reviews, { ...quick, client, prompt: '{{text}}' }).toRows()), {
    code: 'CBS_ACCESS',
    message: /Could not resolve authentication method/,
  })
})
