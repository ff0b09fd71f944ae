import t from 'tap'
import {
  ask,
  asks,
  bench,
  bodyOf,
  HEADERS,
  both,
  held,
  JSON_HEADERS,
  linesOf,
  rejection,
  streamed,
  textOf,
  type Bench,
} from './transports.ts'

/** Posts a body unchanged. */
async function post(
  { emulator, fetch }: Bench,
  body: string,
  headers: object = {},
): Promise<Response> {
  const all = { ...JSON_HEADERS, ...headers }
  return fetch(`${emulator.url}/v1/messages/batches`, { method: 'POST', headers: all, body })
}

async function refusal(
  response: Response,
): Promise<{ status: number; type: string; message: string }> {
  const { error } = Object(await response.json())
  return { status: response.status, type: error.type, message: error.message }
}

both(t, 'one bad request refuses the whole create, and is named', async (t, transport) => {
  const at = await bench(t, transport)
  const long = 'x'.repeat(65)
  const wrong: [unknown[], string][] = [
    [[], 'requests: List should have at least 1 item after validation, not 0'],
    [[ask(long, 'a')], 'requests.0.custom_id: String should have at most 64 characters'],
    [[ask('', 'a')], 'requests.0.custom_id: String should have at least 1 character'],
    [
      [ask('a', 'a'), ask('b c', 'a')],
      "requests.1.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
    ],
    [
      [ask('a', 'a'), ask('b', 'b'), ask('a', 'c')],
      'requests.2.custom_id: custom_id must be unique',
    ],
    [[{ params: {} }], 'requests.0.custom_id: Field required'],
    [[{ custom_id: 1, params: {} }], 'requests.0.custom_id: Input should be a valid string'],
    [[{ custom_id: 'a' }], 'requests.0.params: Field required'],
    [[{ custom_id: 'a', params: [] }], 'requests.0.params: Input should be a valid dictionary'],
    [[{ custom_id: 'a', params: {}, meta: 1 }], 'requests.0.meta: Extra inputs are not permitted'],
    [['a'], 'requests.0: Input should be a valid dictionary or object'],
    [[null], 'requests.0: Input should be a valid dictionary or object'],
  ]
  for (const [requests, message] of wrong) {
    const found = await refusal(await post(at, JSON.stringify({ requests })))
    t.same(found, { status: 400, type: 'invalid_request_error', message })
  }
  const broken = await refusal(await post(at, '{"requests":[{"custom_id":]}'))
  t.match(broken, { status: 400, message: /^The request body is not valid JSON: / })
  t.match(await refusal(await post(at, '{"requests":[{"custom_id":"a","params":{}},]}')), {
    status: 400,
  })
  t.same(at.emulator.ledger.batches(), [])
})

both(t, 'params are not checked at create, only when the batch has ended', async (t, transport) => {
  const { client, clock } = await bench(t, transport)
  const requests = [ask('good', 'a'), ask('bad', 'b', { temperature: 0.5 })]
  const { id } = await client.messages.batches.create({ requests })
  clock.turn(1000)
  t.same((await client.messages.batches.retrieve(id)).request_counts, {
    processing: 0,
    succeeded: 1,
    errored: 1,
    canceled: 0,
    expired: 0,
  })
  const bad = (await linesOf(client, id)).find(line => line.custom_id === 'bad')
  t.match(bad?.result, {
    type: 'errored',
    error: {
      type: 'error',
      error: {
        type: 'invalid_request_error',
        message: 'temperature: Extra inputs are not permitted',
      },
      request_id: /^req_/,
    },
  })
})

both(t, 'headers are checked before the body', async (t, transport) => {
  const at = await bench(t, transport)
  const body = JSON.stringify({ requests: asks(1) })
  t.match(await refusal(await post(at, body, { 'content-type': 'text/plain' })), {
    status: 400,
    message: 'content-type: must be application/json',
  })
  const url = `${at.emulator.url}/v1/messages/batches`
  const bytes = new Uint8Array(Buffer.from(body))
  const untyped = await at.fetch(url, { method: 'POST', headers: HEADERS, body: bytes })
  t.match(await refusal(untyped), {
    status: 400,
    message: 'content-type: must be application/json',
  })
  t.equal((await post(at, body, { 'content-type': 'application/json; charset=utf-8' })).status, 200)
  const packed = await post(at, body, { 'content-encoding': 'gzip' })
  t.match(await packed.json(), {
    error: { details: { error_code: 'request_body_encoding_unsupported' } },
  })
})

both(
  t,
  'a body of more than 256 MB is rejected by its content-length, before it is read',
  async (t, transport) => {
    const at = await bench(t, transport)
    let taken = 0
    const response = await at.fetch(
      `${at.emulator.url}/v1/messages/batches`,
      streamed(
        (async function* () {
          yield Buffer.from('{"requests":[')
          taken++
          await new Promise(() => {})
        })(),
        256_000_001,
      ),
    )
    t.same(await refusal(response), {
      status: 413,
      type: 'request_too_large',
      message: 'Request exceeds the maximum size',
    })
    t.ok(taken <= 1, 'the rest of the body was not asked for')
  },
)

t.test('a body of unknown length is rejected once it is too large', async t => {
  const at = await bench(t, 'in process')
  const chunk = Buffer.alloc(1_000_000, ' ')
  let sent = 0
  const response = await at.fetch(
    `${at.emulator.url}/v1/messages/batches`,
    streamed(
      (async function* () {
        for (;;) {
          sent += chunk.length
          yield chunk
        }
      })(),
    ),
  )
  t.equal(response.status, 413)
  t.equal(sent, 257_000_000)
})

t.test('100,000 requests are accepted, one more is rejected', async t => {
  const { client, emulator } = await bench(t, 'in process')
  const requests = asks(100_001)
  const tooMany = await rejection(client.messages.batches.create({ requests }))
  t.match(tooMany, {
    status: 400,
    apiMessage: /List should have at most 100000 items after validation, not 100001/,
  })
  const batch = await client.messages.batches.create({ requests: requests.slice(1) })
  t.equal(batch.request_counts.processing, 100_000)
  t.equal(emulator.ledger.batches()[0]?.requests, 100_000)
})

both(
  t,
  'the queue holds so many requests in processing, over all batches',
  async (t, transport) => {
    const { client, clock } = await bench(t, transport, { queueLimit: 5 })
    await client.messages.batches.create({ requests: asks(3) })
    const error = await rejection(client.messages.batches.create({ requests: asks(3) }))
    t.match(error, {
      status: 429,
      type: 'rate_limit_error',
      apiMessage: /limit of 5 .*3 are in it/,
    })
    await client.messages.batches.create({ requests: asks(2) })
    clock.turn(1000)
    await client.messages.batches.create({ requests: asks(5) })
  },
)

both(t, 'the batch exists from the last byte on, and not before', async (t, transport) => {
  const at = await bench(t, transport)
  const body = bodyOf(asks(1))
  let before: number | undefined
  const response = await at.fetch(
    `${at.emulator.url}/v1/messages/batches`,
    streamed(
      held(body, async () => {
        before = (await at.client.messages.batches.list()).data.length
      }),
      body.length,
    ),
  )
  t.equal(response.status, 200)
  t.equal(before, 0)
  t.equal((await at.client.messages.batches.list()).data.length, 1)
})

both(t, 'a connection that breaks before the last byte creates nothing', async (t, transport) => {
  const at = await bench(t, transport)
  const body = bodyOf(asks(2))
  const mine = new Error('my own')
  const error = await rejection(
    at.fetch(
      `${at.emulator.url}/v1/messages/batches`,
      streamed(
        held(body, () => Promise.reject(mine)),
        body.length,
      ),
    ),
  )
  t.match(error, { name: 'TypeError', message: 'fetch failed', cause: mine })
  t.same(at.emulator.ledger.batches(), [])
  t.same((await at.client.messages.batches.list()).data, [])
})

both(t, 'a body that ends before its content-length creates nothing', async (t, transport) => {
  const at = await bench(t, transport)
  const body = bodyOf(asks(2))
  const sent = at.fetch(
    `${at.emulator.url}/v1/messages/batches`,
    streamed(
      held(body, async () => {}),
      body.length + 1,
    ),
  )
  t.match(await rejection(sent), { name: 'TypeError', message: 'fetch failed' })
  t.same(at.emulator.ledger.batches(), [])
})

both(t, 'the SDK can hold back the last byte of a create', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport)
  const body = bodyOf([ask('a', 'grüße 🙂')])
  const steps: string[] = []
  const batch = await client.messages.batches.create(
    // The body below replaces the SDK's parameter, which stays empty.
    Object({}),
    {
      body: held(body, async () => void steps.push(`before: ${emulator.ledger.batches().length}`)),
      headers: { 'content-type': 'application/json', 'content-length': String(body.length) },
    },
  )
  steps.push(`after: ${emulator.ledger.batches().length}`)
  t.same(steps, ['before: 0', 'after: 1'])
  clock.turn(1000)
  t.match(textOf((await linesOf(client, batch.id))[0]), /: grüße 🙂$/)
})

both(
  t,
  'R08: half of a surrogate pair rejects the whole create, and names no request',
  async (t, transport) => {
    const at = await bench(t, transport)
    const body = (text: string): string =>
      JSON.stringify({ requests: [ask('a', 'a'), ask('b', 'TEXT')] }).replace('TEXT', text)
    for (const half of [
      'cut \\ud83d',
      '\\uDE00',
      '\\ude00\\ud83d',
      '\\ud83d\\u0041',
      '\\\\\\ud83d',
    ]) {
      const found = await refusal(await post(at, body(half)))
      t.match(found, { status: 400, type: 'invalid_request_error' }, half)
      t.match(
        found.message,
        /^The request body is not valid JSON: no low surrogate in string: line 1/,
      )
    }
    const counted = await at.fetch(`${at.emulator.url}/v1/messages/count_tokens`, {
      method: 'POST',
      headers: JSON_HEADERS,
      body: '{"model":"claude-haiku-5-5","messages":[{"role":"user","content":"\\ud83d"}]}',
    })
    t.match(await refusal(counted), { status: 400, message: /no low surrogate/ })
    for (const good of ['\\ud83d\\ude00', '\\\\ud83d', '\\uD83D\\uDE00 \\n', 'caf\\u00e9'])
      t.equal((await post(at, body(good))).status, 200, good)
  },
)
