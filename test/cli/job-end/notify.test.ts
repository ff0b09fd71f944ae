import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { notify, type Notice } from '../../../lib/cli/job-end/notify.ts'
import { webhookHeaders } from '../../../lib/cli/job-end/notify.ts'
import { systemClock } from '../../../lib/core/clock.ts'

interface Got {
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** A server with scripted replies that records its requests. */
async function receiver(
  t: Test,
  answer: (response: ServerResponse, nth: number) => void = response => void response.end(),
): Promise<{ url: string; got: Got[] }> {
  const got: Got[] = []
  const server = createServer((request, response) => {
    void text(request).then(body => {
      got.push({ headers: request.headers, body })
      answer(response, got.length)
    })
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // The address of a listening server is an AddressInfo.
  const { port } = server.address() as AddressInfo
  return { url: `http://127.0.0.1:${port}/hook?token=secret-token`, got }
}

function tell(url: string, more: Partial<Notice> = {}): Promise<string | undefined> {
  const signal = new AbortController().signal
  return notify({ url, body: '{"job":"j"}', env: {}, clock: systemClock, signal, ...more })
}

t.test('it posts the text, signed if there is a secret', async t => {
  const { url, got } = await receiver(t)
  const secret = 'a word'
  t.equal(await tell(url, { env: { CLAUDE_BATCH_STREAM_NOTIFY_SECRET: secret } }), undefined)
  const [{ headers, body } = { headers: {}, body: '' }] = got
  t.equal(body, '{"job":"j"}')
  t.equal(headers['content-type'], 'application/json')
  const signed = {
    id: String(headers['webhook-id']),
    timestamp: Number(headers['webhook-timestamp']),
    body,
  }
  t.match(headers, webhookHeaders(signed, secret))
})

t.test('it retries with the same id while the server is busy', async t => {
  const { url, got } = await receiver(t, (response, nth) => {
    response.statusCode = nth === 1 ? 503 : 204
    response.end()
  })
  t.equal(await tell(url, { mostMs: 60_000 }), undefined)
  t.equal(got.length, 2)
  t.equal(got[0]?.headers['webhook-id'], got[1]?.headers['webhook-id'])
})

t.test('a rejection is final, and a redirect is not followed', async t => {
  for (const status of [404, 302]) {
    const { url, got } = await receiver(t, response => {
      response.writeHead(status, { location: '/elsewhere' }).end('why not')
    })
    t.equal(await tell(url), `it answered ${status}`)
    t.equal(got.length, 1)
  }
})

t.test('it gives up in time, and reports the reason without the address', async t => {
  const silent = await receiver(t, () => {})
  // Collecting garbage must not end the time limit.
  const told = tell(silent.url, { mostMs: 200 })
  const collecting = setInterval(() => globalThis.gc?.(), 20)
  t.equal(await told, 'there was no reply')
  clearInterval(collecting)
  const stop = new AbortController()
  const busy = await receiver(t, (response, nth) => {
    if (nth === 2) stop.abort()
    else response.writeHead(500).end()
  })
  t.equal(await tell(busy.url, { mostMs: 60_000, signal: stop.signal }), 'it answered 500')
  const again = new AbortController()
  const rude = await receiver(t, (response, nth) => {
    response.destroy()
    if (nth === 2) again.abort()
  })
  t.match(
    await tell(rude.url, { mostMs: 60_000, signal: again.signal }),
    /^the connection failed \(\w+\)$/,
  )
  t.match(
    await tell('http://127.0.0.1:1/secret-token', { mostMs: 1000 }),
    /^the connection failed|^no answer/,
  )
})

t.test('a signal aborts it at once', async t => {
  const { url } = await receiver(t, () => {})
  t.equal(await tell(url, { signal: AbortSignal.abort() }), 'there was no reply')
})
