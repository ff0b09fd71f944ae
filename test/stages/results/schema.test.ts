import t from 'tap'
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

void t.test('each full answer is held to the schema; text that is cut stays as it is', async t => {
  let n = 0
  const world = await makeWorld(t, { respond: () => ANSWERS[n++ % ANSWERS.length] })
  const job = await world.open()
  const requests = ANSWERS.map((_, i) => ask(String(i)))
  const results = await run(world, job, requests, { fetch: { schema } })
  t.same(
    results.map(({ status, value, response, error }) => [status, value, response, error?.type]),
    [
      ['succeeded', { mood: 'good' }, '{"mood":"good"}', undefined],
      ['invalid', null, '{"mood":"so so"}', 'invalid_response'],
      ['incomplete', '{"mo', '{"mo', 'incomplete'],
      ['errored', null, null, 'invalid_request_error'],
      ['invalid', null, null, 'invalid_response'],
    ],
  )
  t.match(results[1]?.error?.message, /\/mood must be equal to one of the allowed values/)
})

void t.test('without a schema the value is the text', async t => {
  const world = await makeWorld(t, { respond: () => '{"a":1}' })
  const [result] = await run(world, await world.open(), [ask('x')])
  t.equal(result?.value, '{"a":1}')
  t.equal(result?.status, 'succeeded')
})

void t.test('a wrong schema is refused before anything is fetched', async t => {
  const { client } = await makeWorld(t)
  t.throws(() => fetchResults({ client, schema: { type: 'x' } }), { code: 'CBS_OPTION' })
  t.throws(() => template({ schema: { properties: {} } }), { code: 'CBS_OPTION' })
})

void t.test('template asks for the schema, whatever else a record says of its output', async t => {
  const format = { type: 'json_schema', schema: { type: 'object', additionalProperties: false } }
  const messages = [{ role: 'user', content: 'x' }]
  const records = [
    record({ prompt: 'x' }),
    record({ params: { messages, output_config: { effort: 'low', format: { type: 'other' } } } }),
  ]
  const seen: unknown[] = []
  for await (const asked of each(from(records, template({ schema }))))
    seen.push('params' in asked && asked.params.output_config)
  t.match(seen, [{ format }, { effort: 'low', format }])
  t.throws(
    () =>
      template({ schema, params: { output_config: { format: { type: 'json_schema', schema } } } }),
    { code: 'CBS_OPTION', message: /`schema` must be left out where/ },
  )
})
