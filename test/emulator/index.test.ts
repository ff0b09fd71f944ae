import { createServer } from 'node:net'
import { existsSync, readdirSync, statSync } from 'node:fs'
import t, { type Test } from 'tap'
import { createEmulator, echo, lastUserText, requestKey } from '../../lib/emulator/index.ts'
import {
  ask,
  asks,
  bench,
  both,
  clientFor,
  HandClock,
  linesOf,
  rejection,
  textOf,
} from './transports.ts'

both(t, 'a batch runs from create to results as it does on the API', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport)
  const created = await client.messages.batches.create({ requests: asks(25) })
  t.match(created.id, /^msgbatch_[0-9A-Za-z]{24}$/)
  t.match(created, {
    type: 'message_batch',
    processing_status: 'in_progress',
    request_counts: { processing: 25, succeeded: 0, errored: 0, canceled: 0, expired: 0 },
    ended_at: null,
    cancel_initiated_at: null,
    archived_at: null,
    results_url: null,
  })
  t.equal(created.created_at, '2026-11-20T12:00:00.000001Z')
  t.equal(created.expires_at, '2026-11-21T12:00:00.000001Z')

  clock.turn(999)
  t.same(
    await client.messages.batches.retrieve(created.id),
    created,
    'no result shows until the whole batch ends',
  )
  clock.turn(1)
  const ended = await client.messages.batches.retrieve(created.id)
  t.equal(ended.processing_status, 'ended')
  t.same(ended.request_counts, {
    processing: 0,
    succeeded: 25,
    errored: 0,
    canceled: 0,
    expired: 0,
  })
  t.equal(ended.ended_at, '2026-11-20T12:00:01.000001Z')
  t.equal(ended.results_url, `${emulator.url}/v1/messages/batches/${created.id}/results`)

  const lines = await linesOf(client, created.id)
  const ids = lines.map(line => line.custom_id)
  t.same(
    [...ids].sort(),
    asks(25)
      .map(request => request.custom_id)
      .sort(),
  )
  t.notSame(
    ids,
    asks(25).map(request => request.custom_id),
    'the order differs from that of the requests',
  )
  for (const line of lines) t.equal(textOf(line), echo(line.custom_id.replace('r-', 'question ')))
  t.same(await linesOf(client, created.id), lines, 'a second download is the same')
})

both(t, 'a message has every member that the types promise', async (t, transport) => {
  const { client, clock } = await bench(t, transport)
  const request = ask('a', 'hello')
  const { id } = await client.messages.batches.create({ requests: [request] })
  clock.turn(1000)
  const [line] = await linesOf(client, id)
  const text = echo('hello')
  t.match(line, {
    custom_id: 'a',
    result: {
      type: 'succeeded',
      message: {
        id: /^msg_/,
        type: 'message',
        role: 'assistant',
        model: 'claude-haiku-5-5',
        content: [{ type: 'text', text, citations: null }],
        container: null,
        diagnostics: null,
        stop_reason: 'end_turn',
        stop_sequence: null,
        stop_details: null,
        usage: {
          input_tokens: Math.ceil(JSON.stringify(request.params).length / 4),
          output_tokens: Math.ceil(text.length / 4),
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
          output_tokens_details: { thinking_tokens: 0 },
          server_tool_use: null,
          service_tier: 'batch',
          speed: 'standard',
          inference_geo: 'not_available',
        },
      },
    },
  })
})

both(t, 'answers carry the headers of the API', async (t, transport) => {
  const { client } = await bench(t, transport)
  const { response, request_id } = await client.messages.batches.list().withResponse()
  t.match(request_id, /^req_/)
  t.match(response.headers.get('anthropic-organization-id'), /^[0-9a-f-]{36}$/)
  t.match(response.headers.get('anthropic-workspace-id'), /^wrkspc_/)
  t.equal(response.headers.get('date'), 'Fri, 20 Nov 2026 12:00:00 GMT')
})

t.test('results come in input order on request', async t => {
  const { client, clock } = await bench(t, 'in process', { order: 'input' })
  const { id } = await client.messages.batches.create({ requests: asks(50) })
  clock.turn(1000)
  const ids = (await linesOf(client, id)).map(line => line.custom_id)
  t.same(
    ids,
    asks(50).map(request => request.custom_id),
  )
})

t.test('the duration of a batch may depend on the batch', async t => {
  const { client, clock } = await bench(t, 'in process', {
    batchTimeMs: ({ number, requests, bytes }) => (bytes > 100 ? number * 100 + requests : 0),
  })
  const first = await client.messages.batches.create({ requests: asks(1) })
  const second = await client.messages.batches.create({ requests: asks(2) })
  const states = async (): Promise<string[]> => {
    const found = await Promise.all(
      [first, second].map(({ id }) => client.messages.batches.retrieve(id)),
    )
    return found.map(batch => batch.processing_status)
  }
  clock.turn(101)
  t.same(await states(), ['ended', 'in_progress'])
  clock.turn(101)
  t.same(await states(), ['ended', 'ended'])
})

t.test('it listens on 127.0.0.1 only, on a free port or a given one', async t => {
  const emulator = await createEmulator()
  t.teardown(() => emulator.close())
  t.match(emulator.url, /^http:\/\/127\.0\.0\.1:\d+$/)
  t.equal((await clientFor(emulator, 'http').messages.batches.list()).data.length, 0)

  const taken = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => taken.once('listening', resolve))
  t.teardown(() => taken.close())
  const { port } = Object(taken.address())
  const root = ownTmpdir(t)
  t.match(await rejection(createEmulator({ port })), {
    name: 'BatchStreamError',
    code: 'CBS_OPTION',
    message: new RegExp(`port. ${port}: .*EADDRINUSE`),
  })
  t.same(readdirSync(root), [], 'nothing is left behind')
})

/** A temporary folder of this test only. */
function ownTmpdir(t: Test): string {
  const root = t.testdir()
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = root
  t.teardown(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
  return root
}

t.test('its files are private, and deleted when it closes', async t => {
  const root = ownTmpdir(t)
  const emulator = await createEmulator({ port: null })
  const client = clientFor(emulator, 'in process')
  await client.messages.batches.create({ requests: asks(3) })
  const [folder] = readdirSync(root)
  t.equal(statSync(`${root}/${folder}`).mode & 0o777, 0o700)
  const [file] = readdirSync(`${root}/${folder}`)
  t.equal(statSync(`${root}/${folder}/${file}`).mode & 0o777, 0o600)
  await emulator.close()
  await emulator.close()
  t.same(readdirSync(root), [])

  process.env['TMPDIR'] = `${root}/missing`
  t.match(await rejection(createEmulator({ port: null })), { code: 'CBS_DISK', message: /missing/ })
  t.notOk(existsSync(`${root}/missing`))
})

t.test('`await using` closes it', async t => {
  let url = ''
  {
    await using emulator = await createEmulator()
    url = emulator.url
    t.equal((await fetch(url)).status, 401)
  }
  t.match(await rejection(fetch(url)), { message: 'fetch failed' })
})

t.test('after closing, the in-process fetch fails like a dead network', async t => {
  const emulator = await createEmulator({ port: null })
  await emulator.close()
  t.match(await rejection(emulator.fetch(`${emulator.url}/v1/models`)), {
    name: 'TypeError',
    message: 'fetch failed',
  })
})

t.test('invalid options are rejected at once', async t => {
  const wrong: [object, RegExp][] = [
    [{ port: -1 }, /`port` must be a whole number from 0 to 65535, got -1/],
    [{ batchTimeMs: '1s' }, /`batchTimeMs` must be a number of milliseconds/],
    [{ batchTimeMs: NaN }, /`batchTimeMs`/],
    [{ cancelTimeMs: -1 }, /`cancelTimeMs`/],
    [{ queueLimit: 0 }, /`queueLimit`/],
    [{ order: 'sorted' }, /`order` must be 'shuffled' or 'input', got "sorted"/],
    [{ respond: 'yes' }, /`respond` must be a function/],
    [{ faults: {} }, /`faults` must be an array/],
    [{ foreign: [{ requests: 0 }] }, /`foreign\[0\].requests`/],
    [{ foreign: [{ customIds: ['a b'] }] }, /`foreign\[0\].customIds`.*got "a b"/],
  ]
  for (const [options, message] of wrong) {
    t.throws(() => createEmulator(options), {
      name: 'BatchStreamError',
      code: 'CBS_OPTION',
      message,
    })
  }
  const emulator = await createEmulator({
    port: null,
    queueLimit: Infinity,
    clock: new HandClock(),
  })
  t.teardown(() => emulator.close())
  t.throws(() => emulator.addFault({ on: 'list', nth: 0 }), { code: 'CBS_OPTION' })
  t.throws(() => emulator.addForeign({ requests: -1 }), { code: 'CBS_OPTION' })
})

t.test('a test can compute the expected answers', async t => {
  t.equal(echo('hello'), 'echo 2cf24dba5fb0: hello')
  t.equal(echo('x'.repeat(99)).length, 'echo 123456789012: '.length + 40)
  const messages = [
    { role: 'user', content: 'first' },
    { role: 'assistant', content: 'no' },
    {
      role: 'user',
      content: [{ type: 'text', text: 'a' }, { type: 'image' }, { type: 'text', text: 'b' }],
    },
  ]
  t.equal(lastUserText({ messages }), 'ab')
  t.equal(lastUserText({ messages: [{ role: 'assistant', content: 'no' }] }), '')
  t.equal(requestKey({ a: 1 }), requestKey(JSON.parse('{ "a" : 1 }')))
  t.not(requestKey({ a: 1 }), requestKey({ a: 2 }))
})
