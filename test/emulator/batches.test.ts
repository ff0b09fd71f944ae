import t from 'tap'
import { createEmulator } from '../../lib/emulator/index.ts'
import { asks, bench, both, clientFor, linesOf, rejection } from './transports.ts'

const HOUR = 60 * 60 * 1000

both(t, 'canceling goes through canceling, and some rows have succeeded', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport, {
    cancelTimeMs: 50,
    order: 'input',
  })
  const { id } = await client.messages.batches.create({ requests: asks(7) })
  clock.turn(100)
  const canceling = await client.messages.batches.cancel(id)
  t.match(canceling, {
    processing_status: 'canceling',
    cancel_initiated_at: '2026-11-20T12:00:00.100001Z',
    request_counts: { processing: 7, canceled: 0 },
    ended_at: null,
    results_url: null,
  })
  clock.turn(10)
  t.same(await client.messages.batches.cancel(id), canceling, 'canceling again changes nothing')
  clock.turn(40)
  const ended = await client.messages.batches.retrieve(id)
  t.match(ended, { processing_status: 'ended', ended_at: '2026-11-20T12:00:00.150001Z' })
  t.match(ended.request_counts, { processing: 0, succeeded: 2, canceled: 5 })
  const types = (await linesOf(client, id)).map(line => line.result.type)
  t.same(types, [
    'canceled',
    'canceled',
    'succeeded',
    'canceled',
    'canceled',
    'succeeded',
    'canceled',
  ])
  t.match(await emulator.ledger.totals(), { accepted: 7, billed: 2 })
  t.match(await rejection(client.messages.batches.cancel(id)), {
    status: 400,
    type: 'invalid_request_error',
  })
})

both(t, 'a cancel that comes too late cancels nothing', async (t, transport) => {
  const { client, clock } = await bench(t, transport, { cancelTimeMs: 50 })
  const { id } = await client.messages.batches.create({ requests: asks(3) })
  clock.turn(960)
  await client.messages.batches.cancel(id)
  clock.turn(40)
  t.match((await client.messages.batches.retrieve(id)).request_counts, {
    succeeded: 3,
    canceled: 0,
  })
})

both(t, 'what has not been answered after 24 hours expires', async (t, transport) => {
  const { client, clock } = await bench(t, transport, {
    batchTimeMs: ({ number }) => (number === 1 ? 48 * HOUR : Infinity),
  })
  const slow = await client.messages.batches.create({ requests: asks(4) })
  const never = await client.messages.batches.create({ requests: asks(4) })
  clock.turn(24 * HOUR - 1)
  t.equal((await client.messages.batches.retrieve(slow.id)).processing_status, 'in_progress')
  clock.turn(1)
  const ended = await client.messages.batches.retrieve(slow.id)
  t.equal(ended.ended_at, ended.expires_at)
  t.match(ended.request_counts, { succeeded: 2, expired: 2 })
  t.match((await client.messages.batches.retrieve(never.id)).request_counts, {
    succeeded: 0,
    expired: 4,
  })
})

both(t, 'a batch can be deleted once it has ended', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport)
  const { id } = await client.messages.batches.create({ requests: asks(1) })
  t.match(await rejection(client.messages.batches.delete(id)), {
    status: 400,
    type: 'invalid_request_error',
  })
  t.match(await rejection(client.messages.batches.results(id)), {
    message: /Has it finished processing/,
  })
  clock.turn(1000)
  t.same(await client.messages.batches.delete(id), { id, type: 'message_batch_deleted' })
  t.match(await rejection(client.messages.batches.retrieve(id)), { status: 404 })
  t.match(await rejection(client.messages.batches.delete(id)), { status: 404 })
  t.same((await client.messages.batches.list()).data, [])
  t.match(emulator.ledger.batches(), [{ id, deleted: true, state: 'ended' }])
  t.match(await emulator.ledger.totals(), { accepted: 1, billed: 1 })
})

both(
  t,
  'results of a running batch are rejected, and an unknown id is not found',
  async (t, transport) => {
    const { client, emulator, fetch } = await bench(t, transport)
    const { id } = await client.messages.batches.create({ requests: asks(1) })
    const headers = { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' }
    const results = await fetch(`${emulator.url}/v1/messages/batches/${id}/results`, { headers })
    t.equal(results.status, 400)
    t.match(await rejection(client.messages.batches.retrieve('msgbatch_x')), {
      status: 404,
      type: 'not_found_error',
    })
    const nowhere = await fetch(`${emulator.url}/v1/nowhere`, { headers })
    t.match(
      [nowhere.status, await nowhere.json()],
      [404, { type: 'error', error: { type: 'not_found_error' } }],
    )
  },
)

both(t, 'the list pages from the newest to the oldest and back', async (t, transport) => {
  const { client, clock } = await bench(t, transport)
  const ids: string[] = []
  for (let i = 0; i < 25; i++) {
    ids.unshift((await client.messages.batches.create({ requests: asks(1) })).id)
    clock.turn(i % 2)
  }
  const first = await client.messages.batches.list()
  t.same(
    first.data.map(batch => batch.id),
    ids.slice(0, 20),
  )
  t.match(first, { has_more: true, first_id: ids[0], last_id: ids[19] })
  const walked: string[] = []
  for await (const batch of client.messages.batches.list({ limit: 4 })) walked.push(batch.id)
  t.same(walked, ids)
  const back = await client.messages.batches.list({ limit: 3, before_id: ids[10] ?? '' })
  t.same(
    back.data.map(batch => batch.id),
    ids.slice(7, 10),
  )
  t.match(back, { has_more: true })
  const start = await client.messages.batches.list({ before_id: ids[2] ?? '' })
  t.same([start.data.length, start.has_more], [2, false])
  const end = await client.messages.batches.list({ limit: 1000, after_id: ids[24] ?? '' })
  t.match(end, { data: [], has_more: false, first_id: null, last_id: null })
})

both(t, 'a wrong page is refused', async (t, transport) => {
  const { client, emulator, fetch } = await bench(t, transport)
  const wrong: [object, string][] = [
    [{ limit: 0 }, 'limit: Input should be greater than or equal to 1'],
    [{ limit: 1001 }, 'limit: Input should be less than or equal to 1000'],
    [{ after_id: 'x' }, 'after_id: no object with the id x is in this list'],
    [{ before_id: 'x', after_id: 'y' }, 'Only one of before_id and after_id can be given'],
  ]
  for (const [query, message] of wrong) {
    t.match(await rejection(client.messages.batches.list(query)), {
      status: 400,
      apiMessage: message,
    })
  }
  const headers = { 'x-api-key': 'k', 'anthropic-version': '2023-06-01' }
  t.equal((await fetch(`${emulator.url}/v1/messages/batches?limit=ten`, { headers })).status, 400)
})

t.test('on the system clock a batch ends by itself', async t => {
  const emulator = await createEmulator({ port: null, batchTimeMs: 5 })
  t.teardown(() => emulator.close())
  const client = clientFor(emulator, 'in process')
  const { id } = await client.messages.batches.create({ requests: asks(1) })
  let status = 'in_progress'
  const until = Date.now() + 10_000
  while (status !== 'ended' && Date.now() < until)
    status = (await client.messages.batches.retrieve(id)).processing_status
  t.equal(status, 'ended')
})
