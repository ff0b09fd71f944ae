import * as api from '@opentelemetry/api'
import t from 'tap'
import { openTelemetry, runBatches, type OpenTelemetryApi, type Result } from '../../lib/index.ts'
import { makeWorld } from '../support/world.ts'

/** An API that records its calls. */
function recorder(): {
  api: OpenTelemetryApi
  spans: {
    name: string
    attributes: object
    links: number
    events: string[]
    ended: number
    status?: unknown
  }[]
  sums: Map<string, number>
} {
  const spans: ReturnType<typeof recorder>['spans'] = []
  const sums = new Map<string, number>()
  const sum = (name: string) => (value: number, attributes: object) => {
    const key = `${name} ${Object.values(attributes).join(' ')}`
    sums.set(key, (sums.get(key) ?? 0) + value)
  }
  return {
    spans,
    sums,
    api: {
      trace: {
        getTracer: () => ({
          startSpan: (name, { attributes, links = [] }) => {
            const span: (typeof spans)[number] = {
              ...{ name, attributes: { ...attributes }, links: links.length, events: [], ended: 0 },
            }
            spans.push(span)
            return {
              spanContext: () => ({ traceId: 't', spanId: 's', traceFlags: 1 }),
              setAttributes: more => Object.assign(span.attributes, more),
              addEvent: event => span.events.push(event),
              setStatus: status => (span.status = status),
              end: () => void (span.ended += 1),
            }
          },
        }),
      },
      metrics: {
        getMeter: () => ({
          createHistogram: name => ({ record: sum(name) }),
          createCounter: name => ({ add: sum(name) }),
          createUpDownCounter: name => ({ add: sum(name) }),
        }),
      },
    },
  }
}

const questions = Array.from({ length: 6 }, (_, n) => ({ text: `question ${n}` }))

void t.test('a run and each of its batches have a span, rows have none', async t => {
  const { client, clock } = await makeWorld(t)
  const seen = recorder()
  const telemetry = openTelemetry(seen.api)
  const run = runBatches(questions, { client, clock, prompt: '{{text}}', batchSize: 3, telemetry })
  for await (const _ of run) continue
  const [first, ...batches] = seen.spans
  t.match(first, {
    name: 'claude_batch_stream.run',
    attributes: { 'gen_ai.provider.name': 'anthropic', 'claude_batch_stream.rows': 6 },
    ended: 1,
    status: undefined,
  })
  t.equal(batches.length, 2)
  for (const batch of batches)
    t.match(batch, {
      name: 'claude_batch_stream.batch',
      attributes: {
        'claude_batch_stream.batch.requests': 3,
        'claude_batch_stream.batch.id': /^msgbatch_/,
      },
      links: 1,
      events: ['sealed', 'submitted', 'ended'],
      ended: 1,
    })
  t.equal(seen.sums.get('claude_batch_stream.rows succeeded'), 6)
  t.ok(
    Number(seen.sums.get('gen_ai.client.token.usage anthropic chat claude-haiku-5-5 output')) > 0,
  )
  t.ok(Number(seen.sums.get('claude_batch_stream.cost anthropic chat claude-haiku-5-5')) > 0)
  for (const state of ['sealed', 'submitted', 'ended'])
    t.equal(seen.sums.get(`claude_batch_stream.batches ${state}`), 0, state)
})

void t.test('a failed run marks its span as failed and ends its batch spans', async t => {
  const { client, clock } = await makeWorld(t, {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'no' } }),
  })
  const seen = recorder()
  const telemetry = openTelemetry(seen.api)
  const all = runBatches(questions, {
    ...{ client, clock, telemetry },
    prompt: '{{text}}',
    batchSize: 2,
    concurrency: 1,
  })
  await t.rejects(
    async () => {
      for await (const _ of all) continue
    },
    { code: 'CBS_STOPPED' },
  )
  t.match(seen.spans[0], { ended: 1, status: { code: 2, message: /first batch/ } })
  t.ok(seen.spans[0]?.events.some(event => event === 'submission stopped: CBS_STOPPED'))
  t.ok(seen.spans.every(({ ended }) => ended === 1))

  const left = recorder()
  const broken = async (): Promise<void> => {
    const telemetry = openTelemetry(left.api)
    for await (const _ of runBatches(questions, { client, clock, telemetry, prompt: '{{text}}' }))
      throw new Error('left')
  }
  await t.rejects(broken(), { message: 'left' })
  t.ok(left.spans.every(({ ended }) => ended === 1))
})

void t.test('a batch that is split because it is too large gets spans for its parts', async t => {
  const { client, clock } = await makeWorld(t, { faults: [{ on: 'create', nth: 1, status: 413 }] })
  const seen = recorder()
  const telemetry = openTelemetry(seen.api)
  for await (const _ of runBatches(questions, { client, clock, telemetry, prompt: '{{text}}' }))
    continue
  t.equal(seen.spans.length, 4)
  t.ok(seen.spans.every(({ ended }) => ended === 1))
})

void t.test('an answer without a model name counts for the model unknown', async t => {
  const seen = recorder()
  const observation = openTelemetry(seen.api).begin({ job: 'x' })
  const usage = { input_tokens: 7, output_tokens: 2 }
  // The members of a result that an observation reads.
  observation.result({ status: 'succeeded', usage, model: null, cost: null } as unknown as Result)
  t.equal(seen.sums.get('gen_ai.client.token.usage anthropic chat unknown input'), 7)
  t.notOk([...seen.sums.keys()].some(key => key.startsWith('claude_batch_stream.cost')))
})

void t.test('results of a batch that an earlier run awaited make no span', async t => {
  const seen = recorder()
  const observation = openTelemetry(seen.api).begin({ job: 'x' })
  observation.event({ type: 'fetched', number: 1, lines: 1, bytes: 1, why: null })
  observation.end(undefined)
  t.equal(seen.spans.length, 1)
  t.match(seen.spans[0], { ended: 1, status: undefined })
})

void t.test('a reason for an abort that is not an error is the message of the span', async t => {
  const { client, clock } = await makeWorld(t)
  const seen = recorder()
  const abort = new AbortController()
  const run = runBatches(questions, {
    ...{ client, clock, prompt: '{{text}}', telemetry: openTelemetry(seen.api) },
    signal: abort.signal,
    onEvent: ({ type }) => type === 'submitted' && abort.abort('the deadline'),
  })
  await t.rejects(async () => {
    for await (const _ of run) continue
  })
  t.match(seen.spans[0], { ended: 1, status: { code: 2, message: /the deadline/ } })
})

void t.test('without a provider the real API costs almost nothing', async t => {
  const { client, clock } = await makeWorld(t)
  const telemetry = openTelemetry(api)
  const run = runBatches(questions, { client, clock, telemetry, prompt: '{{text}}' })
  const results = []
  for await (const result of run) results.push(result)
  const [one] = results
  if (!one) throw new Error('there is no result')
  const observation = telemetry.begin({ job: 'x' })
  const began = process.cpuUsage()
  for (let n = 0; n < 100_000; n++) observation.result(one)
  const { user } = process.cpuUsage(began)
  t.comment(`${user / 100_000} us a row`)
  t.ok(user / 100_000 < 20)
})
