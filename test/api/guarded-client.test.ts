import Anthropic from '@anthropic-ai/sdk'
import t from 'tap'
import { failureOf, type Failure } from '../../lib/api/failure.ts'
import { withoutSecrets } from '../../lib/core/without-keys.ts'
import { guardedClient, secretsOf } from '../../lib/api/guarded-client.ts'

const SECRET = 'gateway+token/0123456789'
const base = { baseURL: 'https://gw.example/api', maxRetries: 0, logLevel: 'off' } as const

/** A guarded client whose every request gets this reply, and the requests that it made. */
function clientOf(
  reply: () => Response,
  login: { apiKey: string } | { authToken: string } = { apiKey: SECRET },
): { client: Anthropic; requests: { url: string; init: RequestInit | undefined }[] } {
  const requests: { url: string; init: RequestInit | undefined }[] = []
  const fetch: typeof globalThis.fetch = async (input, init) => {
    requests.push({ url: String(input), init })
    return reply()
  }
  return { client: guardedClient(new Anthropic({ ...base, ...login, fetch })), requests }
}

function json(body: string | ReadableStream, status = 200, headers: object = {}): Response {
  return new Response(body, { status, headers: { 'content-type': 'application/json', ...headers } })
}

async function failureFrom(client: Anthropic): Promise<Failure> {
  try {
    await client.messages.batches.retrieve('a')
  } catch (cause) {
    return failureOf(cause, 0)
  }
  throw new Error('the call succeeded')
}

const error = (inner: string): string => `{"type":"error","error":${inner},"request_id":"req_1"}`

void t.test('a byte order mark before a reply is dropped', async t => {
  const { client } = clientOf(() => json('\ufeff{"data":[{"id":"m"}],"has_more":false}'))
  t.match((await client.models.list()).data, [{ id: 'm' }])
})

void t.test('a request goes to the base URL only, and no redirect is followed', async t => {
  const { client, requests } = clientOf(() => json('{"data":[],"has_more":false}'))
  await client.models.list()
  t.match(requests, [{ url: /^https:\/\/gw\.example\/api\//, init: { redirect: 'manual' } }])
  for (const url of [
    'https://evil.example/v1',
    'https://gw.example./v1',
    'https://gw.example:444/v1',
    'http://gw.example/v1',
    'https://me:word@gw.example/v1',
  ]) {
    const cause: unknown = await client.get(url).catch((thrown: unknown) => thrown)
    t.match(
      failureOf(cause, 0),
      { kind: 'malformed', message: /refused to send a request to/ },
      url,
    )
  }
  t.equal(requests.length, 1)
  t.equal(guardedClient(client), client, 'one boundary is enough')
})

for (const login of [{ apiKey: SECRET }, { authToken: SECRET }] as const) {
  void t.test(`a key that a gateway echoes is removed: ${Object.keys(login)[0]}`, async t => {
    const says = `no ${SECRET}, ${encodeURIComponent(SECRET)}, sk-ant-api03-x_Y or Bearer abc`
    const body = error(JSON.stringify({ type: SECRET, message: says }))
    const { client } = clientOf(() => json(body, 401, { 'request-id': SECRET }), login)
    const cause: unknown = await client.messages.batches.retrieve('a').catch((e: unknown) => e)
    t.equal(
      failureOf(cause, 0).message,
      'the API answered 401: no ***, ***, sk-ant-*** or Bearer ***',
    )
    t.notMatch(JSON.stringify([cause, String(cause), Object(cause).headers]), SECRET)
    t.match(cause, { requestID: '***', type: '***' })
    const page = clientOf(() => new Response(`<p>${SECRET}</p>`, { status: 502 }), login)
    t.equal((await failureFrom(page.client)).message, 'the API answered 502: 502 <p>***</p>')
    const echo = JSON.stringify({ id: `batch-${SECRET}`, type: 'message_batch' })
    const batch = await clientOf(() => json(echo), login).client.messages.batches.retrieve('a')
    t.equal(batch.id, 'batch-***')
  })
}

void t.test('so is a key in a header of a gateway, and no other header', async t => {
  const headers = {
    'X-Portkey-Api-Key': 'portkey-0123456789',
    'Helicone-Auth': 'Bearer helicone-0123456789',
    'Proxy-Authorization': `Basic ${Buffer.from('joe:proxy-0123456789').toString('base64')}`,
    Cookie: 'CF_Authorization=cookie-0123456789; lang=en',
    'X-Portkey-Config': '{"provider":"anthropic","api_key":"config-0123456789"}',
    'X-Odd': '{"api_key":',
    'Cf-Access-Jwt-Assertion': 'eyJhbGciOiJIUzI1NiJ9',
    'X-Portkey-Provider': 'anthropic',
    'X-Bf-Vk': 'a virtual key',
    'X-Gateway-Pwd': 'correct horse',
    'X-Tenant': 'tenant-0123456789',
    'X-Code': 'S3cr3t!Value#2026$long',
    'X-Target-Model': 'claude-sonnet-4-5-20250929',
    'X-Target-Url': 'https://api.example.com/v1',
    'X-Team': 'sentiment-analysis',
    'X-Request-Id': 'request-0123456789',
  }
  const names = 'portkey helicone proxy cookie config tenant'.split(' ')
  const secrets = [...names.map(one => `${one}-0123456789`), 'eyJhbGciOiJIUzI1NiJ9']
  const plain = ['anthropic', 'en', 'joe', 'sentiment-analysis', 'request-0123456789']
  plain.push('claude-sonnet-4-5-20250929', 'https://api.example.com/v1')
  const message = [...secrets, 'a virtual key', 'correct horse', headers['X-Code'], ...plain].join()
  const body = error(JSON.stringify({ type: 'invalid_request_error', message }))
  const client = clientOf(() => json(body, 400)).client.withOptions({ defaultHeaders: headers })
  t.equal(
    (await failureFrom(guardedClient(client))).message,
    `the API answered 400: ${'***,'.repeat(10)}${plain.join()}`,
  )
})

void t.test('a key that a gateway echoes in JSON inside a text is removed', async t => {
  const key = 'gw/AbCd+12345678/xyz=='
  const escaped = key.replaceAll('/', '\\/')
  const said = async (body: string): Promise<string> => {
    const cut = clientOf(() => new Response(body, { status: 400 }), { apiKey: key })
    return (await failureFrom(cut.client)).message
  }
  t.equal(
    await said(error(JSON.stringify({ type: 'x', message: `sent {"key":"${escaped}"}` }))),
    'the API answered 400: sent {"key":"***"}',
  )
  t.match(await said(`{"error":{"message":"${escaped}`), '{"error":{"message":"***')
  t.match(
    await said(`<p>${escaped} ${btoa(`me:${key}`)}</p>`),
    /<p>\*\*\* \w{0,6}\*\*\*\w{0,6}=*<\/p>/,
  )
})

void t.test('a long row of backslashes takes no long time', async t => {
  const began = performance.now()
  withoutSecrets('\\'.repeat(2_000_000), ['/n-0123456789'])
  t.ok(performance.now() - began < 5000)
})

void t.test('a short key does not change every text', async t => {
  const { client } = clientOf(() => json('{"id":"aba"}'), { apiKey: 'a' })
  t.equal((await client.messages.batches.retrieve('a')).id, 'aba')
})

void t.test('an error message is a short string, whatever the API sends', async t => {
  const said = async (inner: string, status = 400): Promise<Failure> =>
    await failureFrom(clientOf(() => json(error(inner), status)).client)
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  t.equal((await said('{"type":1,"message":{"a":[1]}}')).message, 'the API answered 400: {"a":[1]}')
  t.match((await said(`{"message":${deep}}`)).message, /nests too deeply/)
  t.match((await said('{"message":null}')).message, /^the API answered 400: /)
  t.match((await said('"no"')).message, /400: .*"no"/)
  const long = await said(`{"type":"x","message":"${'y'.repeat(400_000)}"}`)
  t.match(long.message, /: y{1000}…$/)
  const blanks = `${' '.repeat(200_000)}\n`.repeat(4)
  const began = performance.now()
  t.match(await said(JSON.stringify({ message: `reached your specified ${blanks}` })), {
    kind: 'refused',
  })
  const repeated = JSON.stringify({ message: 'reached your specified '.repeat(20_000) })
  t.match(await said(repeated), { kind: 'refused' })
  t.ok(performance.now() - began < 3000)
  const spent = '{"message":"no","details":{"error_code":"enforced_spend_limit_reached","more":1}}'
  t.match(await said(spent, 429), { kind: 'access' })
  t.match(await said('{"message":"no","details":{"error_code":7}}', 429), { kind: 'busy' })
})

/** An endless body, and the number of bytes read of it. */
function endless(text: string): { body: ReadableStream; size: () => number } {
  const part = Buffer.from(text.repeat(10_000))
  let size = 0
  const body = new ReadableStream({
    pull(controller) {
      size += part.length
      controller.enqueue(part)
    },
  })
  return { body, size: () => size }
}

for (const status of [200, 400, 503]) {
  void t.test(`an endless ${status} reply is read up to a limit`, async t => {
    const { body, size } = endless('[1,')
    const failure = await failureFrom(clientOf(() => json(body, status)).client)
    t.equal(failure.kind, { 200: 'malformed', 400: 'refused', 503: 'server' }[status])
    t.ok(failure.message.length < 1200)
    t.ok(size() < 10_000_000, String(size()))
  })
}

void t.test('a result set streams through unchanged', async t => {
  const { body } = endless('x')
  const { client } = clientOf(() => new Response(body))
  const headers = { Accept: 'application/binary' }
  const response = await client
    .get('/v1/r', { headers, stream: true, __binaryResponse: true })
    .asResponse()
  t.equal(response.body, body)
  await response.body?.cancel()
})

void t.test(
  'an aborted call ends, although the fetch of the client does not heed its signal',
  async t => {
    const reason = new Error('the user stopped')
    for (const when of ['before the reply', 'while the reply is read']) {
      const stop = new AbortController()
      // Nothing is pulled before the first read.
      const body = new ReadableStream({ pull: () => stop.abort(reason) }, { highWaterMark: 0 })
      const { client } = clientOf(() => {
        if (when === 'before the reply') stop.abort(reason)
        return json(body)
      })
      const { signal } = stop
      const call = client.messages.batches.retrieve('a', {}, { signal })
      t.match(await call.catch((cause: unknown) => cause), { name: 'APIUserAbortError' }, when)
    }
  },
)

void t.test('a reply without a body, or one that breaks off, stays as it is', async t => {
  const { client } = clientOf(() => new Response(null, { status: 204 }))
  t.equal(await client.messages.batches.retrieve('a'), null)
  const broken = (): ReadableStream =>
    new ReadableStream({ start: controller => controller.error(new TypeError('terminated')) })
  t.match(await failureFrom(clientOf(() => json(broken())).client), { kind: 'network' })
  // What fetch throws if a body is not encoded as its header says.
  const decoder = Object.assign(new Error('incorrect header check'), { code: 'Z_DATA_ERROR' })
  const undecodable = (): ReadableStream =>
    new ReadableStream({
      start: controller => controller.error(new TypeError('terminated', { cause: decoder })),
    })
  t.match(await failureFrom(clientOf(() => json(undecodable())).client), { kind: 'malformed' })
})

void t.test('a reply that carries no result set has no secrets to remove', async t => {
  t.same(secretsOf(new Response('x')), [])
})
