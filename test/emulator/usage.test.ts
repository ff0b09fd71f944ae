import t from 'tap'
import { SeenCounts } from '../../lib/emulator/seen.ts'
import { inputUsage } from '../../lib/emulator/usage.ts'
import { ask, bench, both, linesOf } from './transports.ts'

const user = (content: unknown): object => ({ role: 'user', content })

function usage(params: object, seen = new SeenCounts()): ReturnType<typeof inputUsage> {
  return inputUsage({ ...params }, JSON.stringify(params), seen)
}

t.test('without a breakpoint every token is plain input', async t => {
  const params = { model: 'm', messages: [user('grüße')] }
  t.same(usage(params), {
    input_tokens: Math.ceil(Buffer.byteLength(JSON.stringify(params)) / 4),
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  })
  const quoted = { model: 'm', messages: [user('"cache_control" in a text is a text')] }
  t.equal(usage(quoted).cache_creation_input_tokens, 0)
})

t.test('a prefix is written once and read after that', async t => {
  const seen = new SeenCounts()
  const system = [
    { type: 'text', text: 'x'.repeat(400), cache_control: { type: 'ephemeral', ttl: '1h' } },
  ]
  const first = usage({ model: 'm', system, messages: [user('a')] }, seen)
  const second = usage({ model: 'm', system, messages: [user('b')] }, seen)
  t.ok(first.cache_creation_input_tokens > 100)
  t.equal(first.cache_read_input_tokens, 0)
  t.same(first.cache_creation, {
    ephemeral_5m_input_tokens: 0,
    ephemeral_1h_input_tokens: first.cache_creation_input_tokens,
  })
  t.equal(second.cache_creation_input_tokens, 0)
  t.equal(second.cache_read_input_tokens, first.cache_creation_input_tokens)
  t.equal(second.input_tokens, first.input_tokens)
  const other = usage({ model: 'n', system, messages: [user('b')] }, seen)
  t.equal(other.cache_read_input_tokens, 0, 'another model has a cache of its own')
})

t.test('a longer prefix reads the shorter one and writes the rest', async t => {
  const seen = new SeenCounts()
  const mark = { cache_control: { type: 'ephemeral' } }
  const tools = [{ name: 'a', input_schema: {}, ...mark }]
  const short = usage({ model: 'm', tools, messages: [user('a')] }, seen)
  const messages = [user([{ type: 'text', text: 'y'.repeat(200), ...mark }]), user('b')]
  const long = usage({ model: 'm', tools, messages }, seen)
  t.equal(long.cache_read_input_tokens, short.cache_creation_input_tokens)
  t.ok(long.cache_creation_input_tokens > 50)
  t.equal(long.cache_creation.ephemeral_5m_input_tokens, long.cache_creation_input_tokens)
})

t.test('cache_control at the top marks the last block, so every row pays for a write', async t => {
  const seen = new SeenCounts()
  const row = (text: string): object => ({
    model: 'm',
    messages: [user(text)],
    cache_control: { type: 'ephemeral' },
  })
  const rows = [usage(row('a'), seen), usage(row('b'), seen), usage(row('a'), seen)]
  t.ok(
    rows
      .slice(0, 2)
      .every(one => one.cache_creation_input_tokens > 0 && one.cache_read_input_tokens === 0),
  )
  t.ok(rows[2]?.cache_read_input_tokens)
  const behind = { ...row('c'), system: 'Be brief.' }
  t.ok(
    usage(behind, seen).cache_creation_input_tokens > Number(rows[0]?.cache_creation_input_tokens),
  )
  t.ok(rows.every(one => one.input_tokens >= 0))
  t.equal(
    usage({ model: 'm', messages: [], cache_control: { type: 'ephemeral' } })
      .cache_creation_input_tokens,
    0,
  )
})

both(t, 'the figures stand in the lines of a batch', async (t, transport) => {
  const { client, clock } = await bench(t, transport, { order: 'input' })
  const system = [
    {
      type: 'text',
      text: 'Be brief. '.repeat(50),
      cache_control: { type: 'ephemeral', ttl: '1h' },
    },
  ]
  const { id } = await client.messages.batches.create({
    requests: [ask('a', '1', { system }), ask('b', '2', { system })],
  })
  clock.turn(1000)
  const [first, second] = (await linesOf(client, id)).map(({ result }) =>
    result.type === 'succeeded' ? result.message.usage : undefined,
  )
  t.match(first, { cache_read_input_tokens: 0, service_tier: 'batch' })
  t.equal(second?.cache_read_input_tokens, first?.cache_creation_input_tokens)
})
