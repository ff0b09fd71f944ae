import t from 'tap'
import { asks, bench, both, clientFor, HEADERS, rejection } from './transports.ts'

both(t, 'a key comes as a bearer token or as x-api-key', async (t, transport) => {
  const { emulator, fetch } = await bench(t, transport)
  const version = { 'anthropic-version': '2023-06-01' }
  const status = async (headers: Record<string, string>): Promise<number> =>
    (await fetch(`${emulator.url}/v1/messages/batches`, { headers: { ...version, ...headers } }))
      .status
  t.equal(await status({ authorization: 'Bearer any' }), 200)
  t.equal(await status({ 'x-api-key': 'any' }), 200)
  t.equal(await status({}), 401)
  t.equal(await status({ authorization: 'Basic any', 'x-api-key': '' }), 401)
  const missing = await fetch(`${emulator.url}/v1/messages/batches`)
  t.match(await missing.json(), {
    type: 'error',
    error: { type: 'authentication_error' },
    request_id: /^req_/,
  })
})

both(t, 'the version header is required, and checked', async (t, transport) => {
  const { emulator, fetch } = await bench(t, transport)
  const url = `${emulator.url}/v1/models`
  const { 'anthropic-version': _version, ...without } = HEADERS
  t.match(await (await fetch(url, { headers: without })).json(), {
    error: { message: 'anthropic-version: header is required' },
  })
  const odd = await fetch(url, { headers: { ...HEADERS, 'anthropic-version': '1999-01-01' } })
  t.match(
    [odd.status, await odd.json()],
    [400, { error: { message: /"1999-01-01" is not a valid version/ } }],
  )
})

both(t, 'a workspace sees its own batches only', async (t, transport) => {
  const keys = { one: 'wrkspc_1', two: 'wrkspc_2', other: 'wrkspc_1' }
  const { emulator } = await bench(t, transport, { keys })
  const one = clientFor(emulator, transport, 'one')
  const two = clientFor(emulator, transport, 'two')
  const other = clientFor(emulator, transport, 'other')
  const { id } = await one.messages.batches.create({ requests: asks(1) })
  t.equal((await other.messages.batches.retrieve(id)).id, id)
  t.match(await rejection(two.messages.batches.retrieve(id)), {
    status: 404,
    workspaceID: 'wrkspc_2',
  })
  t.same((await two.messages.batches.list()).data, [])
  t.equal((await one.messages.batches.list({ workspace_id: 'wrkspc_1' })).data.length, 1)
  t.match(await rejection(one.messages.batches.list({ workspace_id: 'wrkspc_2' })), {
    status: 403,
    type: 'permission_error',
  })
  const stranger = clientFor(emulator, transport, 'constructor')
  t.match(await rejection(stranger.messages.batches.list()), { status: 401, workspaceID: null })
})

both(t, 'a key can be revoked while a client uses it', async (t, transport) => {
  const { client, emulator } = await bench(t, transport)
  await client.messages.batches.list()
  emulator.revokeKey('sk-test')
  t.match(await rejection(client.messages.batches.list()), {
    status: 401,
    type: 'authentication_error',
  })
})
