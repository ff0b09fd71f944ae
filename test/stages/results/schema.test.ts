import t from 'tap'
import * as z from 'zod'
import {
  aggregate,
  awaitEnd,
  inputOrder,
  spool,
  records,
  stage,
  submit,
  type BatchRequest,
  type RejectedRecord,
} from '../../../lib/index.ts'
import { fetchResults } from '../../../lib/stages/results/fetch-results.ts'
import { template } from '../../../lib/stages/template/template.ts'
import { each, from } from '../../../lib/core/chain.ts'
import { record } from '../../support/jobs.ts'
import { ask, makeWorld, run } from '../../support/world.ts'

const schema = {
  type: 'object',
  properties: { mood: { enum: ['good', 'bad'] } },
  required: ['mood'],
}

const ANSWERS = [
  '{"mood":"good"}',
  '{"mood":"so so"}',
  {
    stop_reason: 'max_tokens' as const,
    content: [{ type: 'text' as const, text: '{"mo', citations: null }],
  },
  { error: { type: 'invalid_request_error', message: 'no' } },
  [],
]

void t.test(
  'each complete answer is checked against the schema, and truncated text stays unchanged',
  async t => {
    let n = 0
    const world = await makeWorld(t, { respond: () => ANSWERS[n++ % ANSWERS.length] })
    const job = await world.open()
    const requests = ANSWERS.map((_, i) => ask(String(i)))
    const results = await run(world, job, requests, { fetch: { schema } })
    t.same(
      results.map(({ status, value, response, error }) => [status, value, response, error?.type]),
      [
        ['succeeded', { mood: 'good' }, '{"mood":"good"}', undefined],
        ['invalid', undefined, '{"mood":"so so"}', 'invalid_response'],
        ['incomplete', undefined, '{"mo', 'incomplete'],
        ['errored', undefined, null, 'invalid_request_error'],
        ['invalid', undefined, null, 'invalid_response'],
      ],
    )
    t.match(results[1]?.error?.message, /\/mood must be equal to one of the allowed values/)
  },
)

void t.test('a schema is given once, where the request is made', async t => {
  const world = await makeWorld(t, { respond: () => '{"mood":"good","day":"2026-01-02"}' })
  const { client } = world
  const Mood = z.object({ mood: z.string(), day: z.string().transform(day => new Date(day)) })
  const results = from(
    records([{ text: 'a' }]),
    spool({ job: await world.open() }),
    template({ prompt: row => String(row['text']), schema: Mood }),
    stage((request: BatchRequest | RejectedRecord) => request),
    aggregate(),
    submit({ client }),
    awaitEnd({ client, poll: 1 }),
    inputOrder(),
    fetchResults({ client }),
  )
  const seen: unknown[] = []
  for await (const { value, answerJson } of results) seen.push([value, String(answerJson)])
  t.same(seen, [
    [{ mood: 'good', day: new Date('2026-01-02') }, '{"mood":"good","day":"2026-01-02"}'],
  ])
})

void t.test('without a schema the value is the text', async t => {
  const world = await makeWorld(t, { respond: () => '{"a":1}' })
  const [result] = await run(world, await world.open(), [ask('x')])
  t.equal(result?.value, '{"a":1}')
  t.equal(result?.status, 'succeeded')
})

void t.test('an invalid schema is rejected before anything is fetched', async t => {
  const { client } = await makeWorld(t)
  t.throws(() => fetchResults({ client, schema: { type: 'x' } }), { code: 'CBS_OPTION' })
  t.throws(() => template({ schema: { properties: {} } }), { code: 'CBS_OPTION' })
})

void t.test(
  'template requests the schema, whatever else a record says about its output',
  async t => {
    const format = { type: 'json_schema', schema: { type: 'object', additionalProperties: false } }
    const messages = [{ role: 'user', content: 'x' }]
    const asking = [
      record({ prompt: 'x' }),
      record({ params: { messages, output_config: { effort: 'low', format: { type: 'other' } } } }),
    ]
    const seen: unknown[] = []
    for await (const asked of each(from(asking, template({ schema }))))
      seen.push('params' in asked && asked.params.output_config)
    t.match(seen, [{ format }, { effort: 'low', format }])
    t.throws(
      () =>
        template({
          schema,
          params: { output_config: { format: { type: 'json_schema', schema } } },
        }),
      { code: 'CBS_OPTION', message: /`schema` must be left out where/ },
    )
  },
)

void t.test('between two slow checks the process gets a turn, and a run can be ended', async t => {
  const world = await makeWorld(t, { respond: () => `{"mood":"${'a'.repeat(60)}b"}` })
  const slow = { type: 'object', properties: { mood: { type: 'string', pattern: '^(a+)+$' } } }
  const stop = new AbortController()
  const job = await world.open()
  job.on('event', ({ type }) => type === 'fetched' && setTimeout(() => stop.abort(), 500))
  const began = performance.now()
  const requests = Array.from({ length: 100 }, (_, i) => ask(String(i)))
  const options = { fetch: { schema: slow }, signal: stop.signal }
  await t.rejects(run(world, job, requests, options), { name: 'AbortError' })
  await job.close()
  // Each check takes a second.
  t.ok(performance.now() - began < 30_000)
})
