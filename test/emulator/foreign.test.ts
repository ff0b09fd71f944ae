import t from 'tap'
import { asks, bench, both, linesOf } from './transports.ts'

both(t, 'batches of other tools are in the list, and not in the ledger', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport, {
    foreign: [
      { requests: 3, createdAgoMs: 5000 },
      { customIds: ['theirs-1', 'theirs_2'], createdAgoMs: -10, batchTimeMs: 1000, expire: [0] },
      { requests: 2, batchTimeMs: 'forever', workspace: 'wrkspc_elsewhere' },
    ],
  })
  const mine = await client.messages.batches.create({ requests: asks(3) })
  const late = await emulator.addForeign({ batchTimeMs: 'forever' })
  const { data } = await client.messages.batches.list()
  t.same(
    data.map(batch => batch.id),
    [late, mine.id, data[2]?.id],
  )
  t.match(data[2], {
    processing_status: 'ended',
    request_counts: { succeeded: 3 },
    created_at: '2026-11-20T11:59:55.000000Z',
  })
  const ids = (await linesOf(client, data[2]?.id ?? '')).map(line => line.custom_id)
  t.same(ids.sort(), ['foreign-0', 'foreign-1', 'foreign-2'])
  clock.turn(10)
  const [newest] = (await client.messages.batches.list()).data
  t.match(
    newest,
    { processing_status: 'in_progress', request_counts: { processing: 2 } },
    'it appears at its time',
  )
  clock.turn(1000)
  const ended = await client.messages.batches.retrieve(newest?.id ?? '')
  t.match(ended.request_counts, { succeeded: 1, expired: 1 })
  t.match((await client.messages.batches.retrieve(late)).processing_status, 'in_progress')
  t.match(await emulator.ledger.totals(), { batches: 1, accepted: 3 })
  t.same(
    emulator.ledger.batches().map(batch => batch.number),
    [1],
  )
})
