import t from 'tap'
import { Anthropic, type ClientOptions } from '@anthropic-ai/sdk'
import { Api, type ApiWait } from '../../lib/api/api.ts'
import { needClient } from '../../lib/api/need-client.ts'
import { ApiSession } from '../../lib/core/session.ts'
import type { EmulatorOptions } from '../../lib/emulator/index.ts'
import { clientOf, KEY, makeWorld, type World } from '../support/world.ts'
import type { StoredJob } from '../../lib/store/job.ts'
import type { Test } from 'tap'

async function connect(
  t: Test,
  options: EmulatorOptions = {},
): Promise<{
  world: World
  job: StoredJob
  api: Api
  troubles: ApiWait[]
  stop: AbortController
  id: string
}> {
  const world = await makeWorld(t, options)
  const job = await world.open()
  const troubles: ApiWait[] = []
  const stop = new AbortController()
  const api = new Api({
    client: world.client,
    session: job.session,
    signal: stop.signal,
    onWait: wait => troubles.push(wait),
  })
  const id = await world.emulator.addForeign({ requests: 2 })
  return { world, job, api, troubles, stop, id }
}

for (const [name, fault] of [
  ['503', { status: 503 }],
  ['529', { status: 529 }],
  ['reset', { reset: true }],
  ['a page of a proxy (N32)', { body: '<html></html>' }],
  ['JSON that is not a batch', { body: '{"id":5}', contentType: 'application/json' }],
  ['truncated JSON', { body: '{"id":', contentType: 'application/json' }],
  ['no header for a minute (N38)', { stallMs: 'forever' }],
  ['a body that stalls (N31)', { stallAfterBytes: 10 }],
  ['a body that breaks off', { resetAfterBytes: 10 }],
] as const) {
  void t.test(`a read that meets ${name} is retried and reported`, async t => {
    const { api, troubles, id, world } = await connect(t, {
      faults: [{ on: ['retrieve', 'list'], nth: [1, 2, 4], ...fault }],
    })
    t.equal((await api.retrieve(id))?.id, id)
    t.equal((await api.list(undefined, 1000, 'all')).data.length, 1)
    t.equal(troubles.length, 3)
    t.match(troubles[0], { call: `retrieve ${id}`, waitMs: Number })
    t.equal(world.clock.sleepers.size, 0)
  })
}

for (const wait of [5, 120]) {
  void t.test(`a read honours a retry-after of ${wait} s (N09)`, async t => {
    const { api, id, world } = await connect(t, {
      faults: [{ on: 'retrieve', nth: 1, status: 429, headers: { 'retry-after': String(wait) } }],
    })
    const began = world.clock.elapsed()
    await api.retrieve(id)
    t.equal(world.clock.elapsed() - began, wait * 1000)
  })
}

void t.test('a read gives up after five malformed replies, with CBS_API (N32)', async t => {
  const { api, id, troubles } = await connect(t, {
    faults: [{ on: 'retrieve', body: '<html></html>' }],
  })
  await t.rejects(api.retrieve(id), {
    code: 'CBS_API',
    message: /cannot retrieve msgbatch.*not a batch/,
  })
  t.equal(troubles.length, 4)
})

void t.test('an API that has never replied is given up soon', async t => {
  const { api, world } = await connect(t, { faults: [{ on: '*', reset: true }] })
  await t.rejects(api.list(undefined, 1000, 'all'), { code: 'CBS_API' })
  t.ok(world.clock.elapsed() < 60_000)
})

void t.test('an unknown batch is undefined, an unknown list is CBS_API', async t => {
  const { api } = await connect(t, { faults: [{ on: 'list', status: 404 }] })
  t.equal(await api.retrieve('msgbatch_nobody'), undefined)
  await t.rejects(api.list(undefined, 1000, 'all'), {
    code: 'CBS_API',
    message: /is the base URL right/,
  })
})

void t.test('a batch can be canceled', async t => {
  const { api, world } = await connect(t)
  const id = await world.emulator.addForeign({ batchTimeMs: 'forever' })
  t.equal((await api.cancel(id))?.processing_status, 'canceling')
})

for (const op of ['retrieve', 'list', 'results'] as const) {
  void t.test(
    `a redirect of ${op} is not followed, with or without the key (N26, N39)`,
    async t => {
      const { world, job, stop, id } = await connect(t, {
        faults: [{ on: op, redirect: 'https://evil.example/', status: 307 }],
      })
      const asked: string[] = []
      const spy: typeof fetch = (url, init) => {
        asked.push(new URL(String(url)).host)
        return world.emulator.fetch(url, init)
      }
      const api = new Api({
        client: clientOf(world.emulator).withOptions({ fetch: spy }),
        session: job.session,
        signal: stop.signal,
      })
      const call = {
        retrieve: () => api.retrieve(id),
        list: () => api.list(undefined, 1000, 'all'),
        results: () =>
          api.download(`${world.emulator.url}/v1/messages/batches/${id}/results`, stop.signal),
      }[op]
      const error: unknown = await call().then(
        () => t.fail('it was followed'),
        (cause: unknown) => cause,
      )
      t.notMatch(String(error), KEY)
      t.notOk(asked.includes('evil.example'))
    },
  )
}

void t.test('a download without a body is an error', async t => {
  const { api, world, id, stop } = await connect(t, { faults: [{ on: 'results', status: 204 }] })
  const url = `${world.emulator.url}/v1/messages/batches/${id}/results`
  await t.rejects(api.download(url, stop.signal), { message: 'the API sent no body' })
})

void t.test('an abort ends a call and a wait between two tries with its own reason', async t => {
  const { api, id, stop, world } = await connect(t, {
    faults: [{ on: 'retrieve', stallMs: 'forever' }],
  })
  const reason = new Error('enough')
  setImmediate(() => stop.abort(reason))
  await t.rejects(api.retrieve(id), reason)
  t.equal(world.clock.sleepers.size, 0)
})

void t.test(
  'the first reply names the workspace, and a second process must have the same (N14)',
  async t => {
    const { api, job, world, stop } = await connect(t, {
      keys: { [KEY]: 'wrkspc_a', b: 'wrkspc_b' },
    })
    await api.list(undefined, 1000, 'all')
    t.equal(job.state.workspace, 'wrkspc_a')
    const other = new Api({
      client: clientOf(world.emulator, 'b'),
      session: job.session,
      signal: stop.signal,
    })
    for (const call of [
      (): Promise<unknown> => other.list(undefined, 1000, 'all'),
      (): Promise<unknown> => other.retrieve('msgbatch_x'),
    ])
      await t.rejects(call(), {
        code: 'CBS_ACCESS',
        message: /belongs to workspace wrkspc_a, but this key belongs to wrkspc_b/,
      })
  },
)

void t.test('the workspace is checked once per process, and only if one is known', async t => {
  const { api, job, world } = await connect(t)
  await api.proveWorkspace()
  t.same(world.emulator.ledger.calls(), [])
  await job.note({ type: 'workspace', id: 'wrkspc_01EmulatorDefaultWrkspc' }, false)
  await api.proveWorkspace()
  await api.proveWorkspace()
  t.same(world.emulator.ledger.calls(), [{ op: 'list', status: 200, count: 1 }])
})

for (const body of [
  '{}',
  '{"data":[],"has_more":"no"}',
  '{"data":[],"has_more":true,"last_id":null}',
]) {
  void t.test(`${body} is not a page of batches`, async t => {
    const { api } = await connect(t, {
      faults: [{ on: 'list', body, contentType: 'application/json' }],
    })
    await t.rejects(api.list(undefined, 1000, 'all'), {
      code: 'CBS_API',
      message: /answer is (not a page|a page without an id)/,
    })
  })
}

void t.test('a repeated header names one workspace', async t => {
  const { api, job } = await connect(t, {
    faults: [{ on: 'list', headers: { 'anthropic-workspace-id': 'wrkspc_a, wrkspc_a' } }],
  })
  await api.list(undefined, 1000, 'all')
  t.equal(job.state.workspace, 'wrkspc_a')
})

void t.test('a reply about another batch is rejected', async t => {
  const { api, id, world } = await connect(t)
  const other = await world.emulator.addForeign({ requests: 3 })
  let answers = 0
  const mixed: typeof fetch = (url, init) =>
    world.emulator.fetch(++answers > 1 ? url : String(url).replace(id, other), init)
  const client = world.client.withOptions({ fetch: mixed })
  const mixedUp = new Api({ client, session: new ApiSession(world.clock), signal: stopless() })
  t.equal((await mixedUp.retrieve(id))?.id, id)
  t.equal((await api.retrieve(other))?.id, other)
})

function stopless(): AbortSignal {
  return new AbortController().signal
}

void t.test('a key that is echoed in a header of a download is not remembered', async t => {
  const { world, job, api } = await connect(t, {
    batchTimeMs: 0,
    faults: [{ on: 'results', headers: { 'anthropic-workspace-id': `wrkspc-${KEY}` } }],
  })
  const id = await world.emulator.addForeign({ requests: 2 })
  const { body } = await api.download(
    `${world.emulator.url}/v1/messages/batches/${id}/results`,
    new AbortController().signal,
  )
  for await (const part of body) t.ok(part.length > 0)
  t.equal(job.state.workspace, 'wrkspc-***')
})

void t.test('the time of a reply from a cache is a past one', async t => {
  const { world, id } = await connect(t)
  const session = new ApiSession(world.clock)
  let isCached = true
  const fetch: typeof globalThis.fetch = async (url, init) => {
    const response = await world.emulator.fetch(url, init)
    if (isCached) {
      response.headers.set('date', 'Sat, 01 Nov 2025 00:00:00 GMT')
      response.headers.set('age', '7200')
    }
    return response
  }
  const client = world.client.withOptions({ fetch })
  const api = new Api({ client, session, signal: stopless() })
  await api.retrieve(id)
  await api.list(undefined, 1, 'valid')
  t.equal(session.serverTime.now(), null)
  isCached = false
  await api.retrieve(id)
  t.ok(Number(session.serverTime.now()) > Date.parse('2026-01-01'))
})

void t.test(
  'a client whose key no header can hold is refused, and the key is not shown',
  async t => {
    for (const key of ['sk-ant-secret\n# my key', 'sk-ant-secret\u2028', 'sk-\0ant-secret'])
      for (const login of [{ apiKey: key }, { apiKey: null, authToken: key }])
        try {
          needClient({ client: new Anthropic({ ...login, baseURL: 'http://127.0.0.1:1' }) })
          t.fail('it was accepted')
        } catch (cause) {
          t.match(cause, { code: 'CBS_OPTION', message: /^`client` has a key that no header/ })
          t.notMatch(String(cause), /secret/)
        }
    for (const key of ['sk-ant-secret\n', ' sk-ant-secret'])
      needClient({ client: new Anthropic({ apiKey: key }) })
    needClient({ client: new Anthropic({ apiKey: async () => 'sk-ant-secret' }) })
  },
)

const EMPTY = { data: [], has_more: false, first_id: null, last_id: null }

void t.test('the caller of an API is its base URL, its account and its workspace', async t => {
  const { world, id } = await connect(t)
  const callerOf = async (more: ClientOptions): Promise<Api['caller']> => {
    const client = world.client.withOptions({ ...more, fetch: async () => Response.json(EMPTY) })
    const api = new Api({ client, session: new ApiSession(world.clock), signal: stopless() })
    await api.listIfThere(undefined, 1, 'valid')
    return api.caller
  }
  const { origin, access } = await callerOf({})
  t.same([origin, access.length], ['http://127.0.0.1:0', 12])
  const same = [
    { baseURL: 'http://127.0.0.1:0/' },
    { apiKey: `${KEY}\n` },
    { defaultHeaders: { 'x-session-id': '1', 'anthropic-beta': 'x', 'x-request-id': '2' } },
  ]
  for (const one of same) t.equal((await callerOf(one)).access, access, JSON.stringify(one))
  const seen = new Set([access])
  for (const other of [
    { baseURL: 'http://127.0.0.1:0/team-a' },
    { apiKey: 'another' },
    { apiKey: null, authToken: 'a' },
    { apiKey: null, authToken: 'b' },
    { defaultHeaders: { 'anthropic-workspace-id': 'wrkspc_2' } },
    { defaultHeaders: { 'x-portkey-virtual-key': 'team-a' } },
    { defaultHeaders: { 'x-portkey-config': 'pc-a' } },
    { defaultHeaders: { 'user-tenant': 'a' } },
    { defaultHeaders: { cookie: 'account=a' } },
    { defaultHeaders: { 'anthropic-organization-id': 'org-a' } },
  ]) {
    const caller = await callerOf(other)
    t.notOk(seen.has(caller.access), JSON.stringify(other))
    seen.add(caller.access)
  }
  const session = new ApiSession(world.clock)
  const api = new Api({ client: world.client, session, signal: stopless() })
  t.notOk('workspace' in api.caller)
  await api.retrieve(id)
  t.equal(api.caller.workspace, 'wrkspc_01EmulatorDefaultWrkspc')

  const keys = ['first', 'renewed']
  const fetch = async (): Promise<Response> => Response.json(EMPTY)
  const client = new Anthropic({ apiKey: async () => String(keys.shift()), fetch })
  const renewing = new Api({ client, session, signal: stopless() })
  await renewing.list(undefined, 1, 'valid')
  const { caller } = renewing
  await renewing.list(undefined, 1, 'valid')
  t.same([renewing.caller, keys], [caller, []])
  const waiting = new Api({ client, session, signal: stopless() })
  t.same(waiting.caller, caller, 'another copy of the same client')
})
