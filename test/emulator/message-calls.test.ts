import t from 'tap'
import { echo } from '../../lib/emulator/index.ts'
import { ask, bench, both, HEADERS, JSON_HEADERS, rejection } from './transports.ts'

const { max_tokens, ...counted } = ask('a', 'hello').params

both(t, 'tokens are counted for free', async (t, transport) => {
  const { client } = await bench(t, transport)
  const { model, messages } = counted
  const { input_tokens } = await client.messages.countTokens({ model, messages })
  t.equal(input_tokens, Math.ceil(JSON.stringify({ model, messages }).length / 4))
  const wrong = rejection(client.messages.countTokens({ model: 'claude-1', messages }))
  t.match(await wrong, { status: 404, apiMessage: 'model: claude-1' })
})

both(t, 'one message is answered at once, at the standard tier', async (t, transport) => {
  const { client, emulator } = await bench(t, transport)
  const message = await client.messages.create({ ...counted, max_tokens, stream: false })
  t.match(message, { content: [{ text: echo('hello') }], usage: { service_tier: 'standard' } })
  t.match(await rejection(client.messages.create({ ...counted, max_tokens, stream: true })), {
    status: 400,
  })
  t.match(await rejection(client.messages.create({ ...counted, max_tokens: -1 })), {
    status: 400,
    apiMessage: /^max_tokens/,
  })
  t.match(await emulator.ledger.totals(), { accepted: 0 })
})

both(t, 'respond answers it too, with errors as HTTP errors', async (t, transport) => {
  const { client } = await bench(t, transport, {
    respond: (params, { custom_id, attempt }) => {
      const text = JSON.stringify(params.messages)
      if (text.includes('busy'))
        return { error: { type: 'overloaded_error', message: 'Overloaded' } }
      if (text.includes('odd')) return { error: { type: 'billing_error', message: 'Pay' } }
      if (text.includes('throw')) throw new Error('a bug of mine')
      return `${custom_id} ${attempt}`
    },
  })
  const say = (content: string): PromiseLike<unknown> =>
    client.messages.create({ ...counted, max_tokens, messages: [{ role: 'user', content }] })
  t.match(await say('a'), { content: [{ text: 'null 1' }] })
  t.match(await say('a'), { content: [{ text: 'null 2' }] })
  t.match(await rejection(say('busy')), { status: 529, type: 'overloaded_error' })
  t.match(await rejection(say('odd')), { status: 400, type: 'billing_error' })
  t.match(await rejection(say('throw')), {
    status: 500,
    apiMessage: /the emulator failed: Error: a bug of mine/,
  })
})

both(t, 'a body that is no JSON object is refused', async (t, transport) => {
  const { emulator, fetch } = await bench(t, transport)
  const post = async (body: string): Promise<unknown> => {
    const response = await fetch(`${emulator.url}/v1/messages`, {
      method: 'POST',
      headers: JSON_HEADERS,
      body,
    })
    return { status: response.status, message: Object(await response.json()).error.message }
  }
  t.match(await post('{'), { status: 400, message: /^The request body is not valid JSON/ })
  t.match(await post('[]'), {
    status: 400,
    message: 'Input should be a valid dictionary or object',
  })
  t.match(await post(' '.repeat(32_000_001)), { status: 413 })
})

both(t, 'models can be listed and looked up, also by their other names', async (t, transport) => {
  const { client, emulator, fetch } = await bench(t, transport)
  const ids: string[] = []
  for await (const model of client.models.list({ limit: 5 })) ids.push(model.id)
  t.ok(ids.includes('claude-haiku-5-5') && ids.includes('claude-opus-4-5-20251101'))
  t.equal(new Set(ids).size, ids.length)
  t.match(await client.models.retrieve('claude-haiku-5-5'), {
    type: 'model',
    display_name: 'Claude Haiku 5.5',
    lifecycle: 'active',
    line: 'haiku',
    max_tokens: Number,
    capabilities: {
      batch: { supported: true },
      thinking: { types: { enabled: { supported: false } } },
    },
  })
  t.match(await client.models.retrieve('claude-sonnet-4-5'), {
    id: 'claude-sonnet-4-5-20250929',
    lifecycle: 'deprecated',
    capabilities: {
      thinking: { types: { enabled: { supported: true }, adaptive: { supported: false } } },
    },
  })
  t.match(await client.models.retrieve('claude-opus-5-5'), {
    capabilities: { thinking: { types: { disabled: { supported: false } } } },
  })
  t.match(await rejection(client.models.retrieve('constructor')), {
    status: 404,
    type: 'not_found_error',
  })
  const wrong = await fetch(`${emulator.url}/v1/models?limit=0`, { headers: HEADERS })
  t.equal(wrong.status, 400)
})
