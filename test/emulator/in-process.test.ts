import t from 'tap'
import {
  asks,
  bench,
  bodyOf,
  HEADERS,
  held,
  JSON_HEADERS,
  rejection,
  streamed,
  type Bench,
} from './transports.ts'

const URL_PATH = '/v1/messages/batches'

t.test('the in-process fetch accepts every kind of body that fetch accepts', async t => {
  const { emulator } = await bench(t, 'in process')
  const bytes = bodyOf(asks(2))
  const url = emulator.url + URL_PATH
  const plain = new Uint8Array(bytes)
  const bodies: unknown[] = [
    bytes.toString(),
    plain,
    plain.buffer,
    new DataView(plain.buffer),
    new Blob([plain]),
    new Blob([plain]).stream(),
    held(bytes, async () => {}),
    (async function* () {
      yield bytes.toString()
    })(),
  ]
  for (const body of bodies) {
    // RequestInit lists fewer kinds of body than fetch accepts.
    const response = await emulator.fetch(url, {
      method: 'POST',
      headers: JSON_HEADERS,
      body: body as Blob,
    })
    t.match(await response.json(), { request_counts: { processing: 2 } })
  }
  const untyped = await emulator.fetch(url, {
    method: 'POST',
    headers: HEADERS,
    body: bytes.toString(),
  })
  t.match(
    [untyped.status, await untyped.json()],
    [400, { error: { message: 'content-type: must be application/json' } }],
  )
  const form = new URLSearchParams('a=b')
  t.equal(
    (await emulator.fetch(url, { method: 'POST', headers: JSON_HEADERS, body: form })).status,
    400,
  )
  const odd = {
    method: 'POST',
    headers: JSON_HEADERS,
    body: Object(
      (async function* () {
        yield 5
      })(),
    ),
  }
  t.equal((await emulator.fetch(url, odd)).status, 400)
})

t.test('the in-process fetch accepts a Request and a URL', async t => {
  const { emulator } = await bench(t, 'in process')
  const url = new URL(emulator.url + URL_PATH)
  const body = bodyOf(asks(1)).toString()
  const request = new Request(url, { method: 'POST', headers: JSON_HEADERS, body })
  t.equal((await emulator.fetch(request)).status, 200)
  t.match(await (await emulator.fetch(url, { headers: HEADERS })).json(), {
    data: [{ type: 'message_batch' }],
  })
  const manual = new Request(url, { headers: HEADERS, redirect: 'manual' })
  emulator.addFault({ on: 'list', redirect: '/x' })
  t.equal((await emulator.fetch(manual)).status, 302)
})

/** A create that pauses before its last byte until it is released, and records how its body ended. */
function waiting({ emulator }: Bench): {
  send: (init?: RequestInit) => Promise<Response>
  go: () => void
  ends: string[]
} {
  const ends: string[] = []
  let go = (): void => {}
  const between = new Promise<void>(resolve => (go = resolve))
  const bytes = bodyOf(asks(1))
  async function* body(): AsyncGenerator<Buffer> {
    try {
      yield* held(bytes, () => between)
      ends.push('read to its end')
    } finally {
      ends.push('left')
    }
  }
  const send = (init: RequestInit = {}): Promise<Response> =>
    emulator.fetch(emulator.url + URL_PATH, { ...streamed(body(), bytes.length), ...init })
  return { send, go, ends }
}

t.test('a completely sent body is read to its end', async t => {
  const at = await bench(t, 'in process')
  const { send, go, ends } = waiting(at)
  go()
  t.equal((await send()).status, 200)
  await new Promise(resolve => setImmediate(resolve))
  t.same(ends, ['read to its end', 'left'])
})

t.test('an error of a body after its last byte does not matter', async t => {
  const { emulator } = await bench(t, 'in process')
  const bytes = bodyOf(asks(1))
  async function* body(): AsyncGenerator<Buffer> {
    yield bytes
    throw new Error('too late')
  }
  t.equal(
    (await emulator.fetch(emulator.url + URL_PATH, streamed(body(), bytes.length))).status,
    200,
  )
  t.equal(emulator.ledger.batches().length, 1)
})

t.test('a body with an early reply is not read further', async t => {
  const at = await bench(t, 'in process', {
    faults: [{ on: 'create', when: 'early', bytes: 10, status: 401 }],
  })
  const { send, ends } = waiting(at)
  t.equal((await send()).status, 401)
  await new Promise(resolve => setImmediate(resolve))
  t.same(ends, ['left'])
})

t.test('an aborted create creates nothing and rejects with the reason', async t => {
  const at = await bench(t, 'in process')
  const { send, go } = waiting(at)
  const abort = new AbortController()
  const sending = rejection(send({ signal: abort.signal }))
  await new Promise(resolve => setImmediate(resolve))
  abort.abort()
  t.match(await sending, { name: 'AbortError' })
  go()
  await new Promise(resolve => setImmediate(resolve))
  t.same(at.emulator.ledger.batches(), [])
  t.match(
    await rejection(send({ signal: abort.signal })),
    { name: 'AbortError' },
    'aborted before the start',
  )
})

t.test('closing breaks calls in flight and removes the listeners on their signals', async t => {
  const at = await bench(t, 'in process', {
    faults: [
      { on: 'list', stallMs: 'forever' },
      { on: 'results', stallAfterBytes: 9 },
    ],
  })
  const batch = await at.client.messages.batches.create({ requests: asks(1) })
  at.clock.turn(1000)
  const listing = rejection(at.client.messages.batches.list())
  const results = await at.fetch(`${at.emulator.url}${URL_PATH}/${batch.id}/results`, {
    headers: HEADERS,
  })
  const reading = rejection(results.text())
  await new Promise(resolve => setImmediate(resolve))
  await at.emulator.close()
  t.match(await listing, { name: 'APIConnectionError' })
  t.match(await reading, { name: 'AbortError' })
})

t.test('a body is read at the pace of its reader', async t => {
  const { client, clock, emulator } = await bench(t, 'in process')
  const { id } = await client.messages.batches.create({ requests: asks(5000) })
  clock.turn(1000)
  const response = await emulator.fetch(`${emulator.url}${URL_PATH}/${id}/results`, {
    headers: HEADERS,
  })
  const reader = response.body?.getReader()
  const first = await reader?.read()
  t.ok(first?.value && first.value.length < 300_000, 'one block, not the whole')
  await reader?.cancel()
})

t.test('replies without a body have none', async t => {
  const { emulator } = await bench(t, 'in process', {
    faults: [{ on: 'list', status: 204, body: '' }],
  })
  const response = await emulator.fetch(emulator.url + URL_PATH, { headers: HEADERS })
  t.equal(response.status, 204)
  t.equal(response.body, null)
})
