import t from 'tap'
import { checkParams, type ParamsContext } from '../../lib/emulator/params.ts'

const GOOD = {
  model: 'claude-haiku-5-5',
  max_tokens: 100,
  messages: [{ role: 'user', content: 'hi' }],
}
const BATCH: ParamsContext = { kind: 'batch', version: '2026-10-21', betas: '', userProfile: null }

/** The API's error for these params; undefined if they are valid. */
function said(more: object, context: Partial<ParamsContext> = {}): string | undefined {
  return checkParams({ ...GOOD, ...more }, { ...BATCH, ...context })?.message
}

t.test('valid params are accepted', async t => {
  const fine: object[] = [
    {},
    {
      system: 'Be brief',
      stop_sequences: ['x'],
      metadata: { user_id: 'u' },
      service_tier: 'auto',
      stream: false,
    },
    {
      thinking: { type: 'adaptive' },
      tools: [{ name: 'a', input_schema: {} }],
      tool_choice: { type: 'auto' },
    },
    { output_config: { effort: 'low' } },
    { output_config: { format: null } },
    { output_config: { format: { type: 'json_schema', schema: {} } } },
    {
      model: 'claude-opus-4-5',
      thinking: { type: 'enabled', budget_tokens: 1024 },
      max_tokens: 2000,
    },
    { model: 'claude-sonnet-4-6', thinking: { type: 'disabled' } },
    { speed: null },
  ]
  for (const more of fine) t.equal(said(more), undefined, JSON.stringify(more))
})

t.test('the model must be known to the API', async t => {
  t.match(checkParams({ ...GOOD, model: 'claude-2' }, BATCH), {
    status: 404,
    type: 'not_found_error',
    message: 'model: claude-2',
  })
  t.equal(said({ model: '__proto__' }), 'model: __proto__')
  t.equal(said({ model: undefined }), 'model: Field required')
  t.equal(said({ model: 5 }), 'model: Input should be a valid string')
})

t.test('max_tokens', async t => {
  t.equal(said({ max_tokens: undefined }), 'max_tokens: Field required')
  t.equal(said({ max_tokens: '5' }), 'max_tokens: Input should be a valid integer')
  t.equal(said({ max_tokens: 1.5 }), 'max_tokens: Input should be a valid integer')
  t.equal(said({ max_tokens: 0 }), 'max_tokens: Input should be greater than or equal to 1')
  t.equal(
    said({ max_tokens: 0 }, { kind: 'message' }),
    undefined,
    'outside a batch it warms the cache',
  )
  t.match(
    said({ max_tokens: 128_001 }),
    /^max_tokens: 128001 > 128000, which is the maximum allowed/,
  )
  const long = { model: 'claude-opus-5-5', max_tokens: 300_000 }
  const betas = 'other-1,output-300k-2026-03-24'
  t.match(said(long), /300000 > 128000/)
  t.equal(said(long, { betas }), undefined)
  t.equal(said({ ...long, model: 'claude-sonnet-5' }, { betas }), undefined)
  t.match(said({ ...long, model: 'claude-sonnet-5-5' }, { betas }), /> 128000/)
  t.match(said(long, { betas, kind: 'message' }), /> 128000/, 'the beta is for batches')
})

t.test('unknown fields, and fields that batches do not support, are rejected', async t => {
  for (const field of ['extra_body', 'fallbacks', 'store', 'thread', 'constructor']) {
    t.equal(said({ [field]: 1 }), `${field}: Extra inputs are not permitted`)
  }
  t.match(said({ stream: true }), /^stream: /)
  t.match(said({ speed: 'fast' }), /^speed: /)
  t.equal(said({ mcp_servers: [] }), 'mcp_servers: Extra inputs are not permitted')
  t.equal(said({ mcp_servers: [] }, { betas: 'mcp-client-2025-11-20' }), undefined)
  t.equal(said({ max_tokens: 5 }, { kind: 'count' }), 'max_tokens: Extra inputs are not permitted')
  t.equal(said({ user_profile_id: 'a' }), undefined)
  t.equal(said({ user_profile_id: 'a' }, { userProfile: 'a' }), undefined)
  t.match(said({ user_profile_id: 'a' }, { userProfile: 'b' }), /^user_profile_id: conflicts/)
})

t.test(
  'sampling parameters were removed with version 2026-10-21 and with the models after Opus 4.6',
  async t => {
    for (const field of ['temperature', 'top_p', 'top_k']) {
      t.equal(said({ [field]: 1 }), `${field}: Extra inputs are not permitted`)
      t.equal(said({ [field]: 1, model: 'claude-opus-4-6' }, { version: '2023-06-01' }), undefined)
      t.match(
        said({ [field]: 1, model: 'claude-opus-4-7' }, { version: '2023-06-01' }),
        /does not support sampling/,
      )
    }
  },
)

t.test('thinking', async t => {
  t.match(
    said({ thinking: { type: 'enabled', budget_tokens: 1024 } }),
    /enabled is not supported by this model/,
  )
  t.match(
    said({ thinking: { type: 'disabled' }, model: 'claude-opus-5-5' }),
    /cannot turn thinking off/,
  )
  t.match(
    said({ thinking: { type: 'adaptive' }, model: 'claude-opus-4-5' }),
    /adaptive is not supported/,
  )
  t.match(said({ thinking: { type: 'on' } }), /does not match any of the expected tags/)
  t.match(said({ thinking: true }), /does not match any of the expected tags/)
  const old = { model: 'claude-opus-4-5' }
  t.match(
    said({ ...old, thinking: { type: 'enabled' } }),
    /budget_tokens: Input should be greater than or equal to 1024/,
  )
  t.match(
    said({ ...old, thinking: { type: 'enabled', budget_tokens: 1024 } }),
    /must be greater than .thinking.budget_tokens/,
  )
  const counted = {
    ...old,
    thinking: { type: 'enabled', budget_tokens: 1024 },
    messages: GOOD.messages,
  }
  t.equal(checkParams(counted, { ...BATCH, kind: 'count' }), undefined)
})

t.test('output_config and tools', async t => {
  t.match(said({ output_config: 'json' }), /^output_config: Input should be a valid dictionary/)
  t.match(said({ output_config: { format: { type: 'xml' } } }), /Input should be 'json_schema'/)
  t.match(said({ output_config: { format: 'json' } }), /Input should be 'json_schema'/)
  t.match(said({ output_config: { format: { type: 'json_schema' } } }), /schema: Field required/)
  t.match(said({ tools: {} }), /^tools: Input should be a valid list/)
  t.match(said({ tools: ['a'] }), /^tools.0: Input should be a valid dictionary/)
  t.match(said({ tools: [{ name: 'a' }, {}] }), /^tools.1.name: Field required/)
})

t.test('R15: forced tools, and who is billed', async t => {
  for (const type of ['any', 'tool']) {
    const tool_choice = { type, name: 'a' }
    for (const model of [
      'claude-opus-5-5',
      'claude-sonnet-5-5',
      'claude-fable-5-1',
      'claude-fable-5-2',
    ])
      t.equal(
        said({ model, tool_choice }),
        `tool_choice.type: ${type} is not supported by this model, use auto`,
      )
    for (const model of ['claude-opus-5', 'claude-sonnet-5', 'claude-fable-5', 'claude-haiku-5-5'])
      t.equal(said({ model, tool_choice }), undefined, model)
  }
  const billing_policy = { type: 'billing_policy', bill_to: 'user_profile' }
  t.match(said({ billing_policy }, { betas: 'x-1' }), /user_profile is not supported in batches/)
  t.equal(said({ billing_policy: { type: 'billing_policy' } }, { betas: 'x-1' }), undefined)
})
