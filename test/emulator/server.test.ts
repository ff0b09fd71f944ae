import { once } from 'node:events'
import { request } from 'node:http'
import { connect } from 'node:net'
import t from 'tap'
import { asks, bench, bodyOf, HEADERS, JSON_HEADERS, rejection } from './transports.ts'

const PATH = '/v1/messages/batches'

t.test('a socket that dies during a create leaves nothing behind', async t => {
  const { emulator, client } = await bench(t, 'http')
  const { port } = new URL(emulator.url)
  const body = bodyOf(asks(2))
  const socket = connect(Number(port), '127.0.0.1')
  await once(socket, 'connect')
  const head = Object.entries({ ...JSON_HEADERS, host: 'x', 'content-length': String(body.length) })
  socket.write(
    `POST ${PATH} HTTP/1.1\r\n${head.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
  )
  socket.write(body.subarray(0, -1))
  // The reply to this later call shows that the emulator has begun to read the create.
  await client.messages.batches.list()
  socket.destroy()
  const until = Date.now() + 10_000
  const broken = (): boolean =>
    emulator.ledger.calls().some(call => call.op === 'create' && call.status === 0)
  while (!broken() && Date.now() < until) await client.messages.batches.list()
  t.ok(broken(), 'the ledger knows of the call')
  t.same(emulator.ledger.batches(), [])
})

t.test('a body sent byte by byte, without a length, is accepted', async t => {
  const { emulator } = await bench(t, 'http')
  const outgoing = request(`${emulator.url}${PATH}`, { method: 'POST', headers: JSON_HEADERS })
  for (const byte of bodyOf(asks(1))) outgoing.write(Buffer.of(byte))
  outgoing.end()
  const [incoming] = await once(outgoing, 'response')
  t.equal(incoming.statusCode, 200)
  incoming.resume()
})

t.test(
  'an early reply leaves the connection usable once the rest of the body has arrived',
  async t => {
    const { emulator } = await bench(t, 'http')
    const { port } = new URL(emulator.url)
    const socket = connect(Number(port), '127.0.0.1')
    t.teardown(() => socket.destroy())
    let received = ''
    socket.on('data', chunk => (received += chunk))
    const answers = async (count: number): Promise<void> => {
      while (received.split('HTTP/1.1').length <= count) await once(socket, 'data')
    }
    socket.write(`POST ${PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345`)
    await answers(1)
    t.match(received, /^HTTP\/1.1 401 /)
    socket.write(`67890GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n`)
    await answers(2)
    t.match(received.slice(9), /HTTP\/1.1 401 /)
  },
)

t.test('a reader that leaves during a download does no harm', async t => {
  const { emulator, client, clock } = await bench(t, 'http')
  const { id } = await client.messages.batches.create({ requests: asks(20_000) })
  clock.turn(1000)
  const url = `${emulator.url}${PATH}/${id}/results`
  for (let i = 0; i < 3; i++) {
    const response = await fetch(url, { headers: HEADERS })
    const reader = response.body?.getReader()
    await reader?.read()
    await reader?.cancel()
  }
  t.equal((await (await fetch(url, { headers: HEADERS })).text()).split('\n').length, 20_001)
})

t.test('closing breaks a hanging call', async t => {
  const { emulator, client } = await bench(t, 'http', {
    faults: [{ on: 'list', stallMs: 'forever' }],
  })
  const hanging = rejection(client.messages.batches.list())
  await client.models.list()
  await emulator.close()
  t.match(await hanging, { name: 'APIConnectionError' })
})
