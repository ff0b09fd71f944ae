import t from 'tap'
import type { Answer } from '../../lib/emulator/index.ts'
import { ask, asks, bench, both, linesOf, textOf, type Line } from './transports.ts'

both(t, 'respond may answer in every shape', async (t, transport) => {
  const answers: Record<string, Answer | undefined> = {
    text: 'plain',
    content: [
      { type: 'thinking', thinking: 'hmm, hmm', signature: '' },
      { type: 'text', text: 'thought', citations: null },
    ],
    tool: [
      { type: 'tool_use', id: 'toolu_1', name: 'f', input: { a: 1 }, caller: { type: 'direct' } },
    ],
    partial: {
      content: [],
      stop_reason: 'refusal',
      stop_details: { type: 'refusal', category: 'bio', explanation: 'no' },
    },
    bare: { stop_reason: 'pause_turn' },
    cut: {
      content: [{ type: 'text', text: 'so far', citations: null }],
      stop_reason: 'max_tokens',
    },
    error: { error: { type: 'overloaded_error', message: 'Overloaded' } },
    expired: { expired: true },
    canceled: { canceled: true },
    nothing: undefined,
  }
  const { client, clock } = await bench(t, transport, {
    respond: (_, { custom_id }) => answers[custom_id ?? ''],
  })
  const requests = Object.keys(answers).map(id => ask(id, id))
  const { id } = await client.messages.batches.create({ requests })
  clock.turn(1000)
  const counts = (await client.messages.batches.retrieve(id)).request_counts
  t.same(counts, { processing: 0, succeeded: 7, errored: 1, canceled: 1, expired: 1 })
  const lines = new Map<string, Line['result']>()
  for (const line of await linesOf(client, id)) lines.set(line.custom_id, line.result)
  t.match(lines.get('text'), {
    message: { content: [{ type: 'text', text: 'plain' }], stop_reason: 'end_turn' },
  })
  t.match(lines.get('content'), {
    message: {
      content: answers['content'],
      usage: { output_tokens: 4, output_tokens_details: { thinking_tokens: 2 } },
    },
  })
  t.match(lines.get('tool'), {
    message: { stop_reason: 'tool_use', usage: { output_tokens: Number } },
  })
  t.match(lines.get('partial'), {
    message: { content: [], stop_reason: 'refusal', stop_details: { category: 'bio' } },
  })
  t.match(lines.get('bare'), { message: { content: [], stop_reason: 'pause_turn' } })
  t.match(lines.get('cut'), { message: { stop_reason: 'max_tokens' } })
  t.match(lines.get('error'), {
    type: 'errored',
    error: { error: { type: 'overloaded_error', message: 'Overloaded' } },
  })
  t.same(lines.get('expired'), { type: 'expired' })
  t.same(lines.get('canceled'), { type: 'canceled' })
  t.match(lines.get('nothing'), {
    message: { content: [{ text: /^echo [0-9a-f]{12}: nothing$/ }] },
  })
})

t.test('a partial message may set some of its usage', async t => {
  const { client, clock } = await bench(t, 'in process', {
    // Only a part of what the type of usage requires.
    respond: () => ({ content: [], usage: { output_tokens: 777 } }) as unknown as Answer,
  })
  const { id } = await client.messages.batches.create({ requests: asks(1) })
  clock.turn(1000)
  t.match((await linesOf(client, id))[0]?.result, {
    message: { usage: { output_tokens: 777, input_tokens: Number, service_tier: 'batch' } },
  })
})

both(
  t,
  'respond may be slow; answers run concurrently and each reaches its own row',
  async (t, transport) => {
    let running = 0
    let most = 0
    const { client, clock } = await bench(t, transport, {
      order: 'input',
      respond: async (_, { custom_id }) => {
        most = Math.max(most, ++running)
        await new Promise(resolve => setImmediate(resolve))
        running--
        return `to ${custom_id}`
      },
    })
    const { id } = await client.messages.batches.create({ requests: asks(200) })
    clock.turn(1000)
    const lines = await linesOf(client, id)
    t.same(
      lines.map(textOf),
      asks(200).map(request => `to ${request.custom_id}`),
    )
    t.ok(most > 1 && most <= 64, `${most} at a time`)
  },
)

t.test('fast and slow answers keep the order of their rows', async t => {
  const { client, clock } = await bench(t, 'in process', {
    order: 'input',
    respond: (_, { custom_id }) =>
      Number(custom_id?.slice(2)) % 3 === 0 ? 'fast' : Promise.resolve('slow'),
  })
  const { id } = await client.messages.batches.create({ requests: asks(7) })
  clock.turn(1000)
  const lines = await linesOf(client, id)
  t.same(
    lines.map(line => line.custom_id),
    asks(7).map(request => request.custom_id),
  )
  t.same(lines.map(textOf), ['fast', 'slow', 'slow', 'fast', 'slow', 'slow', 'fast'])
})

both(
  t,
  'respond is called once per request, with the number of equal requests',
  async (t, transport) => {
    const calls: [string | null, number][] = []
    const { client, clock } = await bench(t, transport, {
      respond: (params, { custom_id, attempt }) => {
        calls.push([custom_id, attempt])
        return `${params.model} ${attempt}`
      },
    })
    for (const name of ['a', 'b']) {
      const { id } = await client.messages.batches.create({
        requests: [ask(name, 'same'), ask(`${name}-bad`, 'x', { top_k: 1 })],
      })
      clock.turn(1000)
      await client.messages.batches.list()
      await Promise.all([
        linesOf(client, id),
        linesOf(client, id),
        client.messages.batches.retrieve(id),
      ])
    }
    t.same(calls, [
      ['a', 1],
      ['b', 2],
    ])
  },
)

t.test('a respond that throws makes an errored row with its message', async t => {
  const { client, clock } = await bench(t, 'in process', {
    respond: (_, { custom_id }) => {
      if (custom_id === 'r-0') throw new Error('at once')
      return Promise.reject(new Error('later'))
    },
  })
  const { id } = await client.messages.batches.create({ requests: asks(2) })
  clock.turn(1000)
  const errors = (await linesOf(client, id)).map(({ result }) =>
    result.type === 'errored' ? result.error.error.message : result.type,
  )
  t.same(errors.sort(), ['respond threw: Error: at once', 'respond threw: Error: later'])
})

t.test(
  'by default the answer follows the requested schema, tool, max_tokens and thinking',
  async t => {
    const { client, clock } = await bench(t, 'in process', { order: 'input' })
    const schema = {
      type: 'object',
      properties: { mood: { enum: ['good', 'bad'] } },
      required: ['mood'],
    }
    const tools = [
      { name: 'f', input_schema: schema },
      { name: 'g', input_schema: { type: 'object', properties: { n: { const: 1 } } } },
    ]
    const thinking = { type: 'adaptive' }
    const { id } = await client.messages.batches.create({
      requests: [
        ask('schema', 'q', { output_config: { format: { type: 'json_schema', schema } } }),
        ask('any', 'q', { tools, tool_choice: { type: 'any' } }),
        ask('tool', 'q', { tools, tool_choice: { type: 'tool', name: 'g' } }),
        ask('auto', 'q', { tools, tool_choice: { type: 'auto' } }),
        ask('short', 'a long question that is repeated', { max_tokens: 3 }),
        ask('thinks', 'q', { thinking }),
        ask('always', 'q', { model: 'claude-opus-5-5' }),
        ask('never', 'q', { thinking: { type: 'disabled' } }),
      ],
    })
    clock.turn(1000)
    const messages = (await linesOf(client, id)).map(({ result }) =>
      result.type === 'succeeded' ? result.message : undefined,
    )
    const [inSchema, any, tool, auto, short, thinks, always, never] = messages
    t.match(JSON.parse(Object(inSchema?.content[0]).text), { mood: /good|bad/ })
    t.match(any, {
      stop_reason: 'tool_use',
      content: [{ type: 'tool_use', name: 'f', input: { mood: String } }],
    })
    t.match(tool, { content: [{ type: 'tool_use', name: 'g', input: { n: 1 } }] })
    t.match(auto, { content: [{ type: 'text' }] })
    t.match(short, {
      stop_reason: 'max_tokens',
      content: [{ text: /^echo .{7}$/ }],
      usage: { output_tokens: 3 },
    })
    t.match(
      thinks?.content.map(block => block.type),
      ['thinking', 'text'],
    )
    t.match(
      always?.content.map(block => block.type),
      ['thinking', 'text'],
    )
    t.same(
      never?.content.map(block => block.type),
      ['text'],
    )
  },
)
