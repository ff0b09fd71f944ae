import t from 'tap'
import { requestKey, type LedgerRequest } from '../../lib/emulator/index.ts'
import { ask, asks, bench, both, rejection } from './transports.ts'

both(
  t,
  'the ledger lists what was accepted, and how often each request was billed',
  async (t, transport) => {
    const { client, clock, emulator } = await bench(t, transport)
    const { ledger } = emulator
    const twice = ask('a', 'same')
    await client.messages.batches.create({
      requests: [twice, ask('b', 'once'), ask('c', 'bad', { top_k: 1 })],
    })
    clock.turn(999)
    await client.messages.batches.create({ requests: [ask('a2', 'same'), ask('b', 'else')] })
    t.same(await ledger.totals(), {
      batches: 2,
      accepted: 5,
      billed: 0,
      distinct: 4,
      acceptedTwice: 1,
      billedTwice: 0,
    })
    clock.turn(1)
    t.match(
      await ledger.totals(),
      { accepted: 5, billed: 2, billedTwice: 0 },
      'nothing is billed before its batch ends',
    )
    clock.turn(1000)
    t.same(await ledger.totals(), {
      batches: 2,
      accepted: 5,
      billed: 4,
      distinct: 4,
      acceptedTwice: 1,
      billedTwice: 1,
    })

    const byRequest = await ledger.byRequest()
    t.same(byRequest.get(requestKey(twice.params)), { accepted: 2, billed: 2 })
    const byId = await ledger.byCustomId()
    t.same(byId.get('a'), { accepted: 1, billed: 1 })
    t.same(byId.get('b'), { accepted: 2, billed: 2 })
    t.same(byId.get('c'), { accepted: 1, billed: 0 })
    t.equal(byId.get('constructor'), undefined)

    const requests: LedgerRequest[] = []
    for await (const request of ledger.requests()) requests.push(request)
    t.match(requests[2], { batch: 1, index: 2, custom_id: 'c', outcome: 'errored', billed: false })
    t.match(requests[3], {
      batch: 2,
      index: 0,
      custom_id: 'a2',
      outcome: 'succeeded',
      billed: true,
      key: requestKey(twice.params),
    })
    t.match(ledger.batches(), [
      {
        number: 1,
        requests: 3,
        state: 'ended',
        created_at: '2026-11-20T12:00:00.000001Z',
        deleted: false,
      },
      { number: 2, requests: 2, state: 'ended', workspace: /^wrkspc_/ },
    ])
  },
)

t.test('the ledger has the size of the body that was sent', async t => {
  const { client, emulator } = await bench(t, 'in process')
  const requests = asks(3)
  await client.messages.batches.create({ requests })
  t.equal(emulator.ledger.batches()[0]?.bytes, JSON.stringify({ requests }).length)
})

both(t, 'it counts the calls, and remembers the last ones', async (t, transport) => {
  const { client, emulator } = await bench(t, transport)
  const { id } = await client.messages.batches.create({ requests: asks(1) })
  await client.messages.batches.retrieve(id)
  await client.messages.batches.retrieve(id)
  await rejection(client.messages.batches.retrieve('nobody'))
  t.same(emulator.ledger.calls(), [
    { op: 'create', status: 200, count: 1 },
    { op: 'retrieve', status: 200, count: 2 },
    { op: 'retrieve', status: 404, count: 1 },
  ])
  t.match(emulator.ledger.lastCalls(), [
    { op: 'create', status: 200, id: undefined, at: Date.parse('2026-11-20T12:00:00Z') },
    { op: 'retrieve', status: 200, id },
    { op: 'retrieve', status: 200, id },
    { op: 'retrieve', status: 404, id: 'nobody' },
  ])
})
