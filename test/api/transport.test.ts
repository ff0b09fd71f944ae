import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { getEventListeners, once } from 'node:events'
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import Anthropic, { type ClientOptions } from '@anthropic-ai/sdk'
import { Agent, getGlobalDispatcher, ProxyAgent, setGlobalDispatcher } from 'undici'
import t, { type Test } from 'tap'
import { Api } from '../../lib/api/api.ts'
import { failureOf, type Failure } from '../../lib/api/failure.ts'
import { eachPart, leanFetch, mayReplaceFetch, takeBody } from '../../lib/api/transport.ts'
import { withIdleTimeout } from '../../lib/api/idle-timeout.ts'
import { systemClock } from '../../lib/core/clock.ts'
import { ApiSession } from '../../lib/core/session.ts'

/** The URL of a result set; its id selects the server's behaviour. */
const results = (id = 'b'): string => `/v1/messages/batches/${encodeURIComponent(id)}/results`

const idIn = ({ url = '' }: IncomingMessage): string => decodeURIComponent(url.split('/')[4] ?? '')

/** Bytes of which each place differs from its neighbours and from the same place of another seed. */
function numbers(count: number, seed: number): Buffer {
  const bytes = Buffer.alloc(count * 4)
  for (let n = 0; n < count; n++) bytes.writeUInt32LE(n ^ (seed << 24), n * 4)
  return bytes
}

/** A server with this listener, and its URL. */
async function serve(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // The address of a server on a port is an AddressInfo.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Caller {
  readonly api: Api
  readonly abort: AbortController
  readonly create: (parts: AsyncIterable<Uint8Array>, size: number) => Promise<unknown>
  /** The whole body of a download. */
  readonly read: (id?: string) => Promise<string>
}

function callerAt(baseURL: string, options: ClientOptions = {}): Caller {
  const client = new Anthropic({
    apiKey: 'any-key',
    baseURL,
    maxRetries: 0,
    logLevel: 'off',
    ...options,
  })
  const abort = new AbortController()
  const api = new Api({ client, session: new ApiSession(systemClock), signal: abort.signal })
  return {
    ...{ api, abort },
    create: (parts, size) => api.create(() => parts, size, abort.signal),
    read: async id => {
      const parts: Uint8Array[] = []
      const { body } = await api.download(baseURL + results(id), abort.signal)
      for await (const part of body) parts.push(part)
      return Buffer.concat(parts).toString()
    },
  }
}

async function failureIn(work: Promise<unknown>): Promise<Failure> {
  try {
    await work
  } catch (cause) {
    return failureOf(cause, 0)
  }
  throw new Error('the call succeeded')
}

async function* parts(...all: readonly (string | Promise<unknown>)[]): AsyncGenerator<Uint8Array> {
  for (const part of all) {
    if (typeof part === 'string') yield Buffer.from(part)
    else await part
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const all: Buffer[] = []
  for await (const part of request) all.push(part)
  return Buffer.concat(all).toString()
}

function later(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>(done => (resolve = done))
  return { promise, resolve }
}

void t.test('a create sends its body and length and returns the reply', async t => {
  const seen: string[] = []
  const url = await serve(t, async (request, reply) => {
    const { 'content-length': length, 'transfer-encoding': chunked, connection } = request.headers
    seen.push(`${length} ${chunked} ${connection} ${await bodyOf(request)}`)
    reply.setHeader('content-type', 'application/json').end('{"id":"b"}')
  })
  const { create } = callerAt(url)
  t.match(await create(parts('ab', 'cd', 'e'), 5), { answer: { id: 'b' } })
  t.match(await create(parts('fg'), 2), { answer: { id: 'b' } })
  t.same(seen, ['5 undefined close abcde', '2 undefined close fg'])
})

void t.test(
  'the next part is requested after the previous one has left, so that its buffer may be reused',
  async t => {
    const url = await serve(t, async (request, reply) => {
      const body = await bodyOf(request)
      reply.setHeader('content-type', 'application/json').end(
        JSON.stringify({
          id: body.length,
          ok: /^(?:a+b+)+$/.test(body) && !body.includes('ba'.repeat(2)),
        }),
      )
    })
    const { api, abort } = callerAt(url)
    const size = 1_000_000
    let told: boolean | undefined
    const body = (reuses: boolean): AsyncIterable<Uint8Array> => {
      told = reuses
      const shared = Buffer.alloc(size)
      return (async function* () {
        for (const letter of 'abab') yield shared.fill(letter)
      })()
    }
    t.match(await api.create(body, 4 * size, abort.signal), {
      answer: { id: 4 * size, ok: true },
    })
    t.equal(told, true)
  },
)

for (const status of [401, 413, 429] as const) {
  void t.test(
    `${status} before the last byte is final, and the last byte is never requested`,
    async t => {
      const held = later()
      const url = await serve(t, (request, reply) => {
        request.once('data', () => {
          reply.writeHead(status, { 'content-type': 'application/json', 'retry-after': '7' })
          reply.end('{"type":"error","error":{"type":"x","message":"no"}}')
        })
      })
      let isAsked = false
      const body = async function* (): AsyncGenerator<Uint8Array> {
        yield Buffer.from('abc')
        await held.promise
        isAsked = true
        yield Buffer.from('d')
      }
      const failure = await failureIn(callerAt(url).create(body(), 4))
      const kinds = { 401: 'access', 413: 'tooLarge', 429: 'busy' }
      t.match(failure, { kind: kinds[status], status, message: `the API answered ${status}: no` })
      if (status === 429) t.equal(failure.retryAfterMs, 7000)
      t.notOk(isAsked)
      held.resolve()
    },
  )
}

void t.test('nothing more is sent after the reply', async t => {
  const seen: string[] = []
  const replied = later()
  const url = await serve(t, (request, reply) => {
    request.on('data', data => seen.push(String(data)))
    request.once('data', () => reply.writeHead(413).end('too large'))
    request.on('error', () => {})
  })
  const body = parts('abc', replied.promise, 'd')
  await t.rejects(callerAt(url).create(body, 4))
  replied.resolve()
  // Ends the generator, if the transport has not done so.
  await body.return(undefined)
  t.same(seen, ['abc'])
})

void t.test('an error of the body is the error of the create', async t => {
  const url = await serve(t, request => request.on('error', () => {}).resume())
  const failing = async function* (): AsyncGenerator<Uint8Array> {
    yield Buffer.from('abc')
    throw new Error('the disk is gone')
  }
  const failure = await failureIn(callerAt(url).create(failing(), 4))
  t.match(failure, { kind: 'network', message: 'the disk is gone' })
})

void t.test('a connection refused, or reset during an upload, is a network failure', async t => {
  t.match(await failureIn(callerAt('http://127.0.0.1:1').create(parts('abc'), 4)), {
    kind: 'network',
    message: /ECONNREFUSED/,
  })
  const url = await serve(t, request => request.once('data', () => request.socket.destroy()))
  const held = later()
  t.match(await failureIn(callerAt(url).create(parts('abc', held.promise), 4)), {
    kind: 'network',
  })
  held.resolve()
})

const ENCODINGS: Readonly<Record<string, (text: string) => Buffer>> = {
  identity: text => Buffer.from(text),
  gzip: text => gzipSync(text),
  'X-Gzip': text => gzipSync(text),
  deflate: text => deflateSync(text),
  br: text => brotliCompressSync(text),
  'deflate, gzip': text => gzipSync(deflateSync(text)),
}

void t.test('a download is decoded', async t => {
  const text = 'a line of results\n'.repeat(50_000)
  const url = await serve(t, (request, reply) => {
    const encoding = idIn(request)
    t.equal(request.headers['accept-encoding'], 'gzip')
    reply.setHeader('content-encoding', encoding).end(ENCODINGS[encoding]?.(text))
  })
  for (const encoding of Object.keys(ENCODINGS)) {
    const read = await callerAt(url).read(encoding)
    t.ok(read === text, encoding)
  }
  const own = callerAt(
    await serve(t, ({ headers }, reply) => reply.end(headers['accept-encoding'])),
    {
      defaultHeaders: { 'accept-encoding': 'identity' },
    },
  )
  t.equal(await own.read(), 'identity', 'unless the user says what is accepted')
})

void t.test('a body with many encodings is rejected', async t => {
  const url = await serve(t, (request, reply) => {
    reply.setHeader('content-encoding', Array(Number(idIn(request))).fill('gzip')).end('')
  })
  await t.rejects(callerAt(url).read('6'), { cause: { message: /has 6 encodings/ } })
})

void t.test(
  'a truncated or damaged gzip, a short body and a reset are errors, never an end',
  async t => {
    const whole = gzipSync('a line of results\n'.repeat(1000))
    const broken: Readonly<Record<string, (reply: ServerResponse) => void>> = {
      cut: reply => reply.setHeader('content-encoding', 'gzip').end(whole.subarray(0, -20)),
      damaged: reply => {
        const damaged = Buffer.from(whole)
        damaged.fill(0xff, 20, 40)
        reply.setHeader('content-encoding', 'gzip').end(damaged)
      },
      short: reply => {
        reply.setHeader('content-length', '100').write('abc', () => reply.socket?.end())
      },
      reset: reply => void reply.write('abc', () => reply.socket?.destroy()),
      'gzip reset': reply => {
        reply.setHeader('content-encoding', 'gzip')
        reply.write(whole.subarray(0, 30), () => reply.socket?.destroy())
      },
    }
    const url = await serve(t, (request, reply) => broken[idIn(request)]?.(reply))
    for (const how of Object.keys(broken)) await t.rejects(callerAt(url).read(how), how)
  },
)

void t.test('the SDK reads the body of a failed download', async t => {
  const url = await serve(t, (request, reply) => {
    const said = gzipSync('{"type":"error","error":{"type":"not_found_error","message":"gone"}}')
    if (idIn(request) === 'page') return reply.writeHead(502).end('<h1>Bad Gateway</h1>')
    reply
      .writeHead(404, { 'content-encoding': 'gzip', 'content-type': 'application/json' })
      .end(said)
  })
  const { read } = callerAt(url)
  t.match(await failureIn(read()), { kind: 'notFound', message: 'the API answered 404: gone' })
  t.match(await failureIn(read('page')), { kind: 'server', message: /Bad Gateway/ })
})

void t.test('a redirect is reported and not followed', async t => {
  let calls = 0
  const other = await serve(t, (_, reply) => {
    calls++
    reply.end('caught')
  })
  const url = await serve(t, async (request, reply) => {
    await bodyOf(request)
    reply.writeHead(307, { location: other }).end()
  })
  const { create, read } = callerAt(url)
  t.match(await failureIn(create(parts('abc'), 3)), { kind: 'redirect', status: 307 })
  t.match(await failureIn(read()), { kind: 'redirect', status: 307 })
  t.equal(calls, 0)
})

void t.test('a malformed reply is an error, and its connection is closed', async t => {
  const closed: Promise<unknown>[] = []
  const url = await serve(t, (request, reply) => {
    closed.push(once(request.socket, 'close'))
    if (idIn(request) === 'empty') return reply.writeHead(204).end()
    request.socket.write('HTTP/1.1 999 Odd\r\ncontent-length: 5\r\n\r\nab')
  })
  t.match(await failureIn(callerAt(url).read()), { kind: 'network' })
  await closed[0]
  await t.rejects(callerAt(url).read('empty'), { message: 'the API sent no body' })
})

void t.test('an abort ends a call before, during and after the reply', async t => {
  const asked = later()
  const url = await serve(t, (request, reply) => {
    request.on('error', () => {}).resume()
    if (idIn(request) === 'stalls') return reply.writeHead(200).write('abc')
    if (idIn(request) === 'gzip') {
      reply.writeHead(200, { 'content-encoding': 'gzip' })
      return reply.write(gzipSync('abc').subarray(0, 12))
    }
    asked.resolve()
  })
  const before = callerAt(url)
  before.abort.abort()
  await t.rejects(before.create(parts('abc'), 3))
  await t.rejects(leanFetch(url, { signal: AbortSignal.abort(new Error('stop')) }), {
    message: 'stop',
  })

  const during = callerAt(url)
  const call = during.create(parts('abc'), 3)
  await asked.promise
  during.abort.abort()
  await t.rejects(call)

  for (const isBegun of [true, false]) {
    const held = later()
    const sending = callerAt(url)
    const body = isBegun ? parts('abc', held.promise) : parts(held.promise, 'abcd')
    const sent = sending.create(body, 4)
    setTimeout(() => sending.abort.abort(), 20)
    await t.rejects(sent)
    held.resolve()
  }

  for (const how of ['stalls', 'gzip']) {
    const reading = callerAt(url)
    const { body } = await reading.api.download(url + results(how), reading.abort.signal)
    setTimeout(() => reading.abort.abort(), 20)
    const all = async (): Promise<void> => {
      for await (const _ of body);
    }
    await t.rejects(all(), how)
  }

  const unread = callerAt(url)
  await unread.api.download(url + results('stalls'), unread.abort.signal)
  unread.abort.abort()
})

void t.test('a reader that leaves a download closes its connection', async t => {
  const closed = later()
  const url = await serve(t, (_, reply) => {
    const timer = setInterval(() => reply.write('abc'), 1)
    reply.on('close', () => {
      clearInterval(timer)
      closed.resolve()
    })
  })
  const { api, abort } = callerAt(url)
  const { body } = await api.download(url + results(), abort.signal)
  for await (const _ of body) break
  await closed.promise
  t.pass()
})

void t.test('the body of a reply is a web stream unless the Node stream is taken', async t => {
  const url = await serve(t, (_, reply) => reply.end('abc'))
  t.equal(await (await leanFetch(url)).text(), 'abc')
  const left = await leanFetch(url)
  await left.body?.cancel()
  const kept = await leanFetch(url)
  const body = takeBody(kept)
  await kept.body?.cancel()
  let text = ''
  for await (const part of body ?? []) text += Buffer.from(part).toString()
  t.equal(text, 'abc', 'what was taken outlives the reply')
})

void t.test('the parts of a body are taken one after the other, from any transport', async t => {
  const url = await serve(t, (request, reply) => {
    reply.write('abc')
    if (idIn(request) === 'breaks') return setImmediate(() => reply.destroy())
    let left = 50
    const timer = setInterval(() => {
      reply.write('defg')
      if (--left > 0) return
      clearInterval(timer)
      reply.end()
    }, 1)
    reply.on('close', () => clearInterval(timer))
  })
  for (const fetch of [undefined, plainFetch]) {
    const { api, abort } = callerAt(url, fetch && { fetch })
    const open = async (id?: string) => (await api.download(url + results(id), abort.signal)).body
    let text = ''
    await eachPart(await open(), part => {
      text += Buffer.from(part).toString()
      return true
    })
    t.equal(text, `abc${'defg'.repeat(50)}`)

    let isBusy = false
    text = ''
    await eachPart(await open(), async part => {
      t.notOk(isBusy, 'a part waits for the one before it')
      isBusy = true
      await new Promise(resolve => setTimeout(resolve, 2))
      isBusy = false
      text += Buffer.from(part).toString()
      return true
    })
    t.equal(text, `abc${'defg'.repeat(50)}`)

    for (const stop of [() => false, () => Promise.resolve(false)]) {
      let calls = 0
      await eachPart(await open(), () => {
        calls += 1
        return stop()
      })
      t.equal(calls, 1, 'no part follows one that was the last wanted')
    }
    const fail = (): never => {
      throw new Error('full')
    }
    await t.rejects(eachPart(await open(), fail), { message: 'full' })
    await t.rejects(
      eachPart(await open(), async () => fail()),
      { message: 'full' },
    )
    await t.rejects(eachPart(await open('breaks'), () => true))
  }
})

void t.test(
  'the memory of a part is freed after it was taken, unless others may use it',
  async t => {
    const url = await serve(t, (request, reply) => {
      const text = 'x'.repeat(100_000)
      if (idIn(request) !== 'gzip') return reply.end(text)
      reply.setHeader('content-encoding', 'gzip').end(gzipSync(text))
    })
    for (const [id, fetch, isFreed] of [
      ['plain', undefined, true],
      ['gzip', undefined, false],
      ['plain', plainFetch, false],
    ] as const) {
      for (const isAsync of [false, true]) {
        const { api, abort } = callerAt(url, fetch && { fetch })
        const { body } = await api.download(url + results(id), abort.signal)
        const taken: Uint8Array[] = []
        let bytes = 0
        await eachPart(body, part => {
          taken.push(part)
          const count = (): true => {
            bytes += part.length
            return true
          }
          return isAsync ? new Promise(resolve => setImmediate(() => resolve(count()))) : count()
        })
        t.equal(bytes, 100_000, 'a part is whole while it is taken')
        t.equal(
          taken.every(part => part.length === 0),
          isFreed,
        )
      }
    }
  },
)

void t.test('a call that is over leaves no listener on its signal', async t => {
  const url = await serve(t, async (request, reply) => {
    if (idIn(request) === 'breaks') return request.socket.destroy()
    reply.end(`{"id":"${await bodyOf(request)}"}`)
  })
  const { signal } = new AbortController()
  for (const init of [{}, { method: 'POST', body: 'abc' }]) {
    await (await leanFetch(url, { ...init, signal })).text()
    await t.rejects(leanFetch(url + results('breaks'), { ...init, signal }))
  }
  const limits = { clock: systemClock, signal, limitMs: 10_000 }
  await withIdleTimeout(limits, timer => leanFetch(url, { signal: timer.signal }))
  t.same(getEventListeners(signal, 'abort'), [])

  const given = new AbortController()
  given.abort(new Error('stop'))
  const call = withIdleTimeout({ ...limits, signal: given.signal }, timer =>
    leanFetch(url, { signal: timer.signal }),
  )
  await t.rejects(call, { message: 'stop' })
})

void t.test('requests without a body share a connection, uploads do not', async t => {
  const ports: (number | undefined)[] = []
  const url = await serve(t, async (request, reply) => {
    ports.push(request.socket.remotePort)
    reply.end(`${request.method} ${await bodyOf(request)} ${request.headers['content-length']}`)
  })
  const post = { method: 'POST', body: '{"a":"é"}' }
  t.equal(await (await leanFetch(url, post)).text(), 'POST {"a":"é"} 10')
  await (await leanFetch(url)).text()
  await (await leanFetch(url)).text()
  t.not(ports[0], ports[1])
  t.equal(ports[1], ports[2])
})

void t.test('an idle connection is closed after some seconds, a slow reply is not', async t => {
  const idle = later()
  const url = await serve(t, ({ socket }, reply) => {
    socket.once('close', () => idle.resolve())
    setTimeout(() => reply.end('abc'), 4500)
  })
  t.equal(await (await leanFetch(url)).text(), 'abc')
  await idle.promise
})

void t.test('downloads share a connection', async t => {
  const ports = new Set<number | undefined>()
  const url = await serve(t, ({ socket }, reply) => {
    ports.add(socket.remotePort)
    reply.end('abc')
  })
  const { read } = callerAt(url)
  for (let n = 0; n < 3; n++) t.equal(await read(), 'abc')
  t.equal(ports.size, 1)
})

void t.test(
  'https: an unknown certificate is rejected, one of NODE_EXTRA_CA_CERTS is accepted',
  async t => {
    const dir = t.testdir()
    const made = spawnSync('openssl', [
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost'],
      ...[
        '-addext',
        'subjectAltName=DNS:localhost',
        '-keyout',
        `${dir}/key.pem`,
        '-out',
        `${dir}/cert.pem`,
      ],
    ])
    if (made.status !== 0) return t.comment('there is no openssl to make a certificate')
    const { readFileSync } = await import('node:fs')
    const server = createTlsServer(
      { key: readFileSync(`${dir}/key.pem`), cert: readFileSync(`${dir}/cert.pem`) },
      async (request, reply) => {
        if (request.url === '/large') reply.end(numbers(2e6, 1))
        else reply.end(`${request.method} ${await bodyOf(request)}`)
      },
    ).listen(0)
    await once(server, 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    const url = `https://localhost:${(server.address() as AddressInfo).port}`
    await t.rejects(leanFetch(url), { code: /SELF_SIGNED/ })
    const module = fileURLToPath(new URL('../../lib/api/transport.ts', import.meta.url))
    const code = `
    const { eachPart, leanFetch, takeBody } = await import(${JSON.stringify(module)})
    const body = (async function* () { yield Buffer.from('ab'); yield Buffer.from('c') })()
    const sent = await leanFetch('${url}', { method: 'POST', body, headers: { 'content-length': '3' } })
    const hash = (await import('node:crypto')).createHash('sha256')
    await eachPart(takeBody(await leanFetch('${url}/large')), async part => {
      await new Promise(done => setImmediate(done))
      return Boolean(hash.update(part))
    })
    console.log(await sent.text(), await (await leanFetch('${url}')).text(), hash.digest('hex'))
    process.exit()`
    const { spawn } = await import('node:child_process')
    const child = spawn(
      process.execPath,
      [...process.execArgv, '--input-type=module', '-e', code],
      {
        env: { ...process.env, NODE_EXTRA_CA_CERTS: `${dir}/cert.pem` },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    )
    const sha256 = createHash('sha256').update(numbers(2e6, 1)).digest('hex')
    t.equal(String(Buffer.concat(await child.stdout.toArray())).trim(), `POST abc GET  ${sha256}`)
  },
)

/** Node's own fetch, behind a function of a user's. */
const plainFetch: typeof fetch = (input, init) => fetch(input, init)

/** A custom fetch that records its use. */
const ownFetch: typeof fetch = async (input, init) => {
  const reply = await fetch(input, init)
  return new Response(`own ${await reply.text()}`, reply)
}

void t.test("a user's fetch, fetch options and dispatcher are used", async t => {
  const url = await serve(t, ({ headers }, reply) =>
    reply.end(headers['x-proxied'] ? 'proxied' : 'plain'),
  )
  const usual = new Anthropic({ apiKey: 'any-key', baseURL: url })
  // The function reads only these two members.
  const isReplaced = (client: object): boolean => mayReplaceFetch(client as { fetch: unknown })
  t.ok(isReplaced(usual))
  t.equal(await callerAt(url).read(), 'plain')
  t.equal(await callerAt(url, { fetch: ownFetch }).read(), 'own plain')
  // The types of Node's fetch and of the package differ; both accept this.
  const fetchOptions = { dispatcher: new ProxyAgent(url) } as NonNullable<
    ClientOptions['fetchOptions']
  >
  t.notOk(isReplaced(new Anthropic({ apiKey: 'any-key', baseURL: url, fetchOptions })))

  const dispatcher = getGlobalDispatcher()
  const { fetch } = globalThis
  t.teardown(() => {
    setGlobalDispatcher(dispatcher)
    globalThis.fetch = fetch
  })
  // What undici makes of an Agent with interceptors.
  const intercepted = new Proxy(new Agent(), {
    get: (target, key) => (key === 'dispatch' ? () => true : Reflect.get(target, key)),
  })
  for (const other of [
    new ProxyAgent(url),
    new Agent({ connections: 1 }),
    new Agent({ connect: { ca: 'mine' } }),
    intercepted,
  ]) {
    setGlobalDispatcher(other)
    t.notOk(isReplaced(usual), other.constructor.name)
  }
  setGlobalDispatcher(new Agent())
  t.ok(isReplaced(usual), 'importing undici sets one like this')
  const key = Symbol.for('undici.globalDispatcher.1')
  for (const [value, expected] of [
    [undefined, true],
    [null, false],
  ] as const) {
    Reflect.set(globalThis, key, value)
    t.equal(isReplaced(usual), expected)
  }
  setGlobalDispatcher(dispatcher)
  globalThis.fetch = ownFetch
  t.notOk(isReplaced(new Anthropic({ apiKey: 'any-key', baseURL: url })), 'a patched fetch')
})

void t.test('an unrequested protocol upgrade fails the call at once', async t => {
  const url = await serve(t, request =>
    request.socket.end('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
  )
  const { create, read } = callerAt(url)
  t.match(await failureIn(create(parts('abc'), 3)), { kind: 'network', message: /without a reply/ })
  t.match(await failureIn(read()), { kind: 'network' })
})

t.test(
  'downloads at the same time are read byte for byte, with pauses, and again on the same connections',
  async t => {
    const connections = new Set<unknown>()
    const url = await serve(t, (request, reply) => {
      connections.add(request.socket)
      reply.end(numbers(500_000, Number(request.url?.slice(1))))
    })
    const read = async (seed: number): Promise<Buffer> => {
      const parts: Buffer[] = []
      const body = takeBody(await leanFetch(`${url}/${seed}`))
      if (!body) throw new Error('there is no body')
      await eachPart(body, part => {
        parts.push(Buffer.from(part))
        if (parts.length % 3 > 0) return true
        return new Promise(done => void setImmediate(() => done(true)))
      })
      return Buffer.concat(parts)
    }
    for (const round of [0, 10])
      await Promise.all(
        [1, 2, 3].map(async n => {
          const bytes = await read(round + n)
          t.ok(bytes.equals(numbers(500_000, round + n)), `download ${n} of round ${round}`)
        }),
      )
    t.equal(connections.size, 3)
  },
)
