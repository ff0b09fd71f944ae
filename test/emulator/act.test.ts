import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import {
  asks,
  bench,
  bodyOf,
  both,
  HEADERS,
  held,
  JSON_HEADERS,
  linesOf,
  rejection,
  streamed,
} from './transports.ts'

both(t, 'a call can be answered with any status, headers and error', async (t, transport) => {
  const { client } = await bench(t, transport, {
    faults: [
      { on: 'list', nth: 1, status: 429, headers: { 'retry-after': '5' } },
      {
        on: 'list',
        nth: 2,
        status: 429,
        error: { message: 'no more', error_code: 'enforced_spend_limit_reached' },
      },
      { on: 'list', nth: 3, error: { message: 'down' } },
      { on: 'list', nth: 4, status: 529 },
      { on: 'list', nth: 5, status: 504 },
      { on: 'list', nth: 6, status: 418 },
      { on: 'list', nth: 7, headers: { 'x-note': 'only a header' } },
    ],
  })
  const list = (): Promise<unknown> => rejection(client.messages.batches.list())
  const first = Object(await list())
  t.match(first, {
    status: 429,
    type: 'rate_limit_error',
    apiMessage: 'a scripted fault',
    errorCode: null,
  })
  t.equal(first.headers.get('retry-after'), '5')
  t.match(await list(), {
    name: 'EnforcedSpendLimitReachedError',
    status: 429,
    errorCode: 'enforced_spend_limit_reached',
    apiMessage: 'no more',
    requestID: /^req_/,
  })
  t.match(await list(), { name: 'InternalServerError', status: 500, type: 'api_error' })
  t.match(await list(), { name: 'OverloadedError', status: 529, type: 'overloaded_error' })
  t.match(await list(), { status: 504, type: 'timeout_error' })
  t.match(await list(), { status: 418, type: 'invalid_request_error' })
  const { response } = await client.messages.batches.list().withResponse()
  t.equal(response.headers.get('x-note'), 'only a header')
})

both(
  t,
  'before: nothing is created; after: the batch exists and is billed',
  async (t, transport) => {
    const { client, clock, emulator } = await bench(t, transport, {
      faults: [
        { on: 'create', nth: 1, status: 500 },
        { on: 'create', nth: 2, status: 500, when: 'after' },
        { on: 'create', nth: 3, reset: true },
        { on: 'create', nth: 4, reset: true, when: 'after' },
      ],
    })
    const create = (): Promise<unknown> =>
      rejection(client.messages.batches.create({ requests: asks(2) }))
    t.match(await create(), { status: 500 })
    t.equal((await client.messages.batches.list()).data.length, 0)
    t.match(await create(), { status: 500 })
    t.equal((await client.messages.batches.list()).data.length, 1)
    t.match(await create(), { name: 'APIConnectionError' })
    t.equal((await client.messages.batches.list()).data.length, 1)
    t.match(await create(), { name: 'APIConnectionError' })
    t.equal((await client.messages.batches.list()).data.length, 2)
    clock.turn(1000)
    t.match(await emulator.ledger.totals(), { accepted: 4, billed: 4, distinct: 2, billedTwice: 2 })
    const creates = emulator.ledger.calls().filter(call => call.op === 'create')
    t.same(creates, [
      { op: 'create', status: 500, count: 2 },
      { op: 'create', status: 0, count: 2 },
    ])
  },
)

both(t, 'early: the answer comes while the body is still held back', async (t, transport) => {
  const { emulator, fetch, client } = await bench(t, transport, {
    faults: [
      { on: 'create', nth: 1, when: 'early', status: 401 },
      { on: 'create', nth: 2, when: 'early', status: 429, bytes: 50 },
      { on: 'create', nth: 3, when: 'early', status: 413, bytes: -1 },
      { on: 'create', nth: 4, when: 'early', status: 503, bytes: 1_000_000 },
      { on: 'create', nth: 5, when: 'early', reset: true, bytes: -1 },
    ],
  })
  const body = bodyOf(asks(3))
  const send = (): Promise<Response> =>
    fetch(
      `${emulator.url}/v1/messages/batches`,
      streamed(
        held(body, () => new Promise(() => {})),
        body.length,
      ),
    )
  for (const status of [401, 429, 413, 503]) t.equal((await send()).status, status)
  t.match(await rejection(send()), { message: 'fetch failed', cause: { code: 'ECONNRESET' } })
  t.same((await client.messages.batches.list()).data, [])
})

both(t, 'early: a body of unknown length is read for as long as it takes', async (t, transport) => {
  const { emulator, fetch, client } = await bench(t, transport, {
    faults: [
      { on: 'create', nth: 1, when: 'early', status: 429, bytes: 50 },
      { on: 'create', nth: 2, when: 'early', status: 503, bytes: 1_000_000 },
    ],
  })
  const body = bodyOf(asks(3))
  const url = `${emulator.url}/v1/messages/batches`
  t.equal((await fetch(url, streamed(held(body, () => new Promise(() => {}))))).status, 429)
  t.equal((await fetch(url, streamed(held(body, async () => {})))).status, 503)
  t.same((await client.messages.batches.list()).data, [])
})

both(
  t,
  'a fault that only delays an early moment does not lose the bytes read so far',
  async (t, transport) => {
    const { client } = await bench(t, transport, {
      faults: [{ on: 'create', when: 'early', bytes: 70, stallMs: 1 }],
    })
    const batch = await client.messages.batches.create({ requests: asks(2) })
    t.equal(batch.request_counts.processing, 2)
  },
)

both(t, 'a proxy answers with a page of its own', async (t, transport) => {
  const { emulator, fetch } = await bench(t, transport, {
    faults: [
      { on: 'list', nth: 1, body: '<h1>Welcome</h1>' },
      { on: 'list', nth: 2, body: 'gone', status: 502, contentType: 'text/plain' },
    ],
  })
  const url = `${emulator.url}/v1/messages/batches`
  const page = await fetch(url, { headers: HEADERS })
  t.equal(page.status, 200)
  t.equal(page.headers.get('content-type'), 'text/html')
  t.equal(await page.text(), '<h1>Welcome</h1>')
  const gone = await fetch(url, { headers: HEADERS })
  t.equal(gone.status, 502)
  t.equal(gone.headers.get('content-type'), 'text/plain')
})

both(t, 'a redirect is there to be refused', async (t, transport) => {
  const { emulator, fetch } = await bench(t, transport, {
    faults: [{ on: ['create', 'list'], redirect: 'https://elsewhere.example/x', status: 307 }],
  })
  const url = `${emulator.url}/v1/messages/batches`
  const response = await fetch(url, { headers: HEADERS, redirect: 'manual' })
  t.equal(response.status, 307)
  t.equal(response.headers.get('location'), 'https://elsewhere.example/x')
  const posted = {
    method: 'POST',
    headers: JSON_HEADERS,
    body: bodyOf(asks(1)).toString(),
    redirect: 'manual',
  } as const
  t.equal((await fetch(url, posted)).status, 307)
  t.same(emulator.ledger.batches(), [])
  t.match(await rejection(fetch(url, { headers: HEADERS, redirect: 'error' })), {
    message: 'fetch failed',
  })
})

both(t, 'a stall ends after its time, and never if it lasts forever', async (t, transport) => {
  const { client } = await bench(t, transport, {
    faults: [
      { on: 'list', nth: 1, stallMs: 5 },
      { on: 'list', nth: 2, stallMs: 'forever' },
    ],
  })
  t.same((await client.messages.batches.list()).data, [])
  const giveUp = AbortSignal.timeout(30)
  t.match(await rejection(client.messages.batches.list({}, { signal: giveUp })), {
    name: 'APIUserAbortError',
  })
})

both(t, 'an answer can fall silent, or break, in the middle of its body', async (t, transport) => {
  const { emulator, fetch, client, clock } = await bench(t, transport, {
    faults: [
      { on: 'results', nth: 1, stallAfterBytes: 100 },
      { on: 'results', nth: 2, resetAfterBytes: 100 },
      { on: 'results', nth: 3, stallAfterBytes: 100, stallMs: 1 },
      { on: 'results', nth: 4, resetAfterBytes: 1_000_000 },
      { on: 'results', nth: 5, resetAfterBytes: 0 },
    ],
  })
  const { id } = await client.messages.batches.create({ requests: asks(3) })
  clock.turn(1000)
  const url = `${emulator.url}/v1/messages/batches/${id}/results`
  const read = async (signal?: AbortSignal): Promise<[number, unknown]> => {
    let bytes = 0
    try {
      const response = await fetch(url, { headers: HEADERS, ...(signal ? { signal } : {}) })
      // A fetch body is iterable, but its type does not say so.
      for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
        bytes += chunk.length
      return [bytes, undefined]
    } catch (error) {
      return [bytes, error]
    }
  }
  const [silent, aborted] = await read(AbortSignal.timeout(200))
  t.equal(silent, 100)
  t.match(aborted, { name: 'TimeoutError' })
  const [cut, broken] = await read()
  t.ok(cut <= 100, 'what was sent just before a reset may be lost')
  t.match(broken, { name: 'TypeError', message: 'terminated' })
  const [whole, nothing] = await read()
  t.equal(nothing, undefined)
  t.same(await read(), [whole, undefined], 'a fault behind the end of the body does nothing')
  t.match((await read())[0], 0)
  t.equal((await linesOf(client, id)).length, 3)
})

both(t, 'a pause in an answer of any kind changes nothing of it', async (t, transport) => {
  const { client, clock } = await bench(t, transport, {
    faults: [{ on: '*', stallMs: 1, stallAfterBytes: 100 }],
  })
  const { id } = await client.messages.batches.create({ requests: asks(2000) })
  clock.turn(1000)
  t.match((await client.messages.batches.list()).data, [
    { id, request_counts: { succeeded: 2000 } },
  ])
  t.equal((await linesOf(client, id)).length, 2000)
})

t.test('a redirect of the in-process fetch is followed only within the emulator', async t => {
  const elsewhere = createServer((_, response) => response.end('{"data":[],"has_more":false}'))
  elsewhere.listen(0, '127.0.0.1')
  await new Promise(resolve => elsewhere.once('listening', resolve))
  t.teardown(() => elsewhere.close())
  // The address of a listening server is an AddressInfo.
  const { port } = elsewhere.address() as AddressInfo
  const { emulator, client } = await bench(t, 'in process', {
    faults: [
      { on: 'list', nth: 1, redirect: '/v1/models' },
      { on: 'create', nth: 1, redirect: '/v1/models/claude-haiku-5-5' },
      { on: 'list', nth: 2, redirect: `http://127.0.0.1:${port}/` },
      { on: 'retrieve', redirect: '/v1/messages/batches/again' },
    ],
  })
  t.ok((await client.messages.batches.list()).data.length > 10)
  const created = await client.messages.batches.create({ requests: asks(1) })
  t.equal(created.id, 'claude-haiku-5-5', 'a POST becomes a GET, as everywhere')
  t.match(await rejection(client.messages.batches.list()), { name: 'APIConnectionError' })
  t.match(await rejection(client.messages.batches.retrieve('x')), { name: 'APIConnectionError' })
  t.same(
    emulator.ledger.calls().find(call => call.op === 'retrieve'),
    { op: 'retrieve', status: 302, count: 21 },
  )
})
