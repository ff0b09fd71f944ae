import t from 'tap'
import { checkParams } from '../../../lib/stages/template/params.ts'

const said = (params: Record<string, unknown>) =>
  checkParams(params).map(problem => problem.message)
const user = { role: 'user', content: 'hi' }

t.test('a usual request is valid, and so is a part of one', async t => {
  t.same(checkParams({}), [])
  t.same(
    checkParams({
      model: 'claude-haiku-5-5',
      max_tokens: 1024,
      messages: [user],
      system: 'be brief',
      thinking: { type: 'adaptive' },
      tools: [],
      output_config: { effort: 'low' },
      mcp_servers: [],
      stream: false,
      metadata: null,
    }),
    [],
  )
})

t.test('sampling parameters, removed in API version 2026-10-21, are rejected', async t => {
  for (const name of ['temperature', 'top_p', 'top_k']) {
    t.same(checkParams({ [name]: 0 }), [
      {
        type: 'refused_parameter',
        message: `\`${name}\` was removed in API version 2026-10-21; leave it out, and steer the answer in the prompt`,
      },
    ])
  }
})

t.test('parameters that batches do not support are rejected, each with what to do', async t => {
  for (const name of [
    'speed',
    'fallbacks',
    'store',
    'previous_thread_event_id',
    'thread',
    'cache_hint',
    'context_hint',
    'research_preview_2026_02',
    'betas',
    'workspace_id',
  ]) {
    const [message, ...others] = said({ [name]: 'x' })
    t.match(message, new RegExp(`^\`${name}\` .+; (?:leave it out|send|set it)`))
    t.same(others, [])
    t.same(said({ [name]: null }), [], 'null asks for nothing')
    t.same(said({ [name]: undefined }), [])
  }
  t.match(said({ stream: true }), [/`stream` is not possible in a batch/])
})

t.test('an unknown parameter is rejected with the nearest name', async t => {
  t.same(said({ max_token: 5 }), [
    '`max_token` is not a parameter of the Messages API (did you mean "max_tokens"?)',
  ])
  t.same(said({ foo: null }), ['`foo` is not a parameter of the Messages API'])
  t.match(said(JSON.parse('{"__proto__":{"temperature":1}}')), [/`__proto__` is not a parameter/])
})

t.test('max_tokens is a whole number of at least 1', async t => {
  for (const max_tokens of [0, -1, 1.5, '100', NaN, 1e300, null])
    t.match(said({ max_tokens }), [/`max_tokens` must be a whole number/], String(max_tokens))
  t.same(said({ max_tokens: 1 }), [])
})

t.test('a model is a string', async t => {
  for (const model of ['', 5, null])
    t.same(said({ model }), ['`model` must be the id of a model'], String(model))
})

t.test('a thinking budget must be below max_tokens and large enough', async t => {
  const model = 'claude-sonnet-4-5'
  const budget = (budget_tokens: unknown, more: object = {}): readonly string[] =>
    said({ model, thinking: { type: 'enabled', budget_tokens }, ...more })
  t.match(budget(2048, { max_tokens: 2048 }), [
    /`thinking.budget_tokens` \(2048\) must be below `max_tokens` \(2048\)/,
  ])
  t.same(budget(2047, { max_tokens: 2048 }), [])
  t.same(budget(2048), [], 'max_tokens may come later')
  t.same(budget(4096, { max_tokens: 2048, tools: [] }), [], 'interleaved thinking')
  for (const few of [1023, 1.5, '2048', undefined])
    t.match(budget(few), [/must be a whole number of at least 1024$/])
  t.match(said({ model, thinking: { type: 'enabled' } }), [/at least 1024$/])
  t.same(said({ model, thinking: { type: 'adaptive' }, max_tokens: 1 }), [])
  t.equal(said({ model: 'claude-haiku-5-5', thinking: { type: 'enabled' } }).length, 1)
})

t.test('manual thinking was removed with version 4.7', async t => {
  const thinking = { type: 'enabled', budget_tokens: 2000 }
  for (const model of [
    'claude-opus-4-7',
    'claude-haiku-5-5',
    'claude-sonnet-5',
    'claude-fable-5-1-20260901',
  ]) {
    t.match(
      said({ model, thinking }),
      [`\`thinking\` of type "enabled" is refused by ${model}; use {"type":"adaptive"}`],
      model,
    )
  }
  for (const model of [
    'claude-opus-4-6',
    'claude-haiku-4-5-20251001',
    'claude-3-haiku-20240307',
    'claude-mythos-preview',
    'their-model',
    undefined,
  ]) {
    t.same(said({ model, thinking }), [], String(model))
  }
  for (const other of [{ type: 'disabled' }, null, 'enabled', {}])
    t.same(said({ model: 'claude-opus-5', thinking: other }), [])
})

t.test('prefill was removed with version 4.6', async t => {
  const prefilled = [user, { role: 'assistant', content: '{' }]
  t.match(said({ model: 'claude-sonnet-4-6', messages: prefilled }), [
    /end with an assistant's text, which claude-sonnet-4-6 does not continue; end them with a user message/,
  ])
  t.match(
    said({
      model: 'claude-haiku-5-5',
      messages: [user, { role: 'assistant', content: [{ type: 'text', text: '{' }] }],
    }),
    [/end with an assistant/],
  )
  t.same(said({ model: 'claude-sonnet-4-5', messages: prefilled }), [])
  t.same(said({ messages: prefilled }), [], 'no model, no verdict')
})

t.test('a paused turn may be continued', async t => {
  const paused = [
    user,
    {
      role: 'assistant',
      content: [
        { type: 'text', text: 'let me see' },
        { type: 'server_tool_use', id: 'x', name: 'web_search', input: {} },
      ],
    },
  ]
  t.same(said({ model: 'claude-haiku-5-5', messages: paused }), [])
})

t.test('messages are a nonempty list', async t => {
  for (const messages of [[], {}, 'hi', null])
    t.same(said({ messages }), ['`messages` must be a list of at least one message'])
})

t.test('blocks that version 2026-10-21 rejects are found', async t => {
  const document = { type: 'document', source: {} }
  const cited = { type: 'text', text: 'a', citations: [{}] }
  t.match(said({ messages: [{ role: 'assistant', content: [document] }, user] }), [
    /`document` block in an assistant message/,
  ])
  t.same(said({ messages: [{ role: 'user', content: [document] }] }), [])
  t.match(said({ messages: [{ role: 'user', content: [cited] }] }), [
    /`citations` on a text block of a user message/,
  ])
  t.same(
    said({
      messages: [
        {
          role: 'user',
          content: [
            { ...cited, citations: [] },
            { ...cited, citations: null },
          ],
        },
      ],
    }),
    [],
  )
  t.same(said({ messages: [{ role: 'assistant', content: [cited] }, user] }), [])
})

t.test('messages of any shape cause no exception, and the API judges them', async t => {
  for (const odd of [
    null,
    5,
    'x',
    [],
    {},
    { role: 'assistant' },
    { role: 'user', content: [null, 3, []] },
  ]) {
    t.same(said({ model: 'claude-haiku-5-5', messages: [odd] }), [], JSON.stringify(odd))
  }
})

t.test('all faults are reported at once', async t => {
  t.equal(checkParams({ temperature: 1, top_p: 1, stream: true, max_tokens: 0, foo: 1 }).length, 5)
})

t.test('R15: a model that chooses its tools itself rejects a forced tool_choice', async t => {
  for (const type of ['any', 'tool']) {
    const tool_choice = { type, name: 'a' }
    for (const model of [
      'claude-opus-5-5',
      'claude-sonnet-5-5-20260929',
      'claude-fable-5-1',
      'claude-fable-5-2',
    ])
      t.match(
        said({ model, tool_choice }),
        [/`tool_choice` of type "(any|tool)" is refused by claude-/],
        model,
      )
    for (const model of [
      'claude-opus-5',
      'claude-sonnet-5',
      'claude-fable-5',
      'claude-haiku-5-5',
      'their-model',
      undefined,
    ])
      t.same(said({ model, tool_choice }), [], String(model))
  }
  t.same(said({ model: 'claude-opus-5-5', tool_choice: { type: 'auto' } }), [])
})

t.test('R15: thinking cannot be disabled for a model that always thinks', async t => {
  const thinking = { type: 'disabled' }
  for (const model of ['claude-opus-5-5', 'claude-fable-5', 'claude-fable-5-2'])
    t.match(
      said({ model, thinking }),
      [/`thinking` of type "disabled" is refused by claude-/],
      model,
    )
  for (const model of ['claude-opus-5', 'claude-sonnet-5-5', 'claude-haiku-5-5', 'their-model'])
    t.same(said({ model, thinking }), [], model)
})

t.test('a batch cannot bill a user profile', async t => {
  const billing_policy = { type: 'billing_policy', bill_to: 'user_profile' }
  t.match(said({ billing_policy }), [/`billing_policy` cannot bill a user profile in a batch/])
  for (const fine of [
    { type: 'billing_policy', bill_to: 'self' },
    null,
    { type: 'billing_policy' },
  ])
    t.same(said({ billing_policy: fine }), [])
})
