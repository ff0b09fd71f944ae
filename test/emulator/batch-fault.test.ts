import t from 'tap'
import { RESULTS_KEPT_MS } from '../../lib/core/limits.ts'
import { ask, asks, bench, both, linesOf, rejection } from './transports.ts'

both(
  t,
  'a new batch can be a 404 for a while, and be missing from the list for another',
  async (t, transport) => {
    const { client, clock } = await bench(t, transport, {
      faults: [{ on: 'create', nth: 2, notFoundMs: 500, listedAfterMs: 300 }],
    })
    const first = await client.messages.batches.create({ requests: asks(1) })
    const second = await client.messages.batches.create({ requests: asks(1) })
    const listed = async (): Promise<string[]> =>
      (await client.messages.batches.list()).data.map(batch => batch.id)
    t.same(await listed(), [first.id])
    t.match(await rejection(client.messages.batches.retrieve(second.id)), {
      status: 404,
      type: 'not_found_error',
    })
    clock.turn(300)
    t.same(await listed(), [second.id, first.id])
    t.match(await rejection(client.messages.batches.cancel(second.id)), { status: 404 })
    clock.turn(200)
    t.equal((await client.messages.batches.retrieve(second.id)).id, second.id)
  },
)

both(t, 'the reply to a create can have another id', async (t, transport) => {
  const { client, emulator } = await bench(t, transport, {
    faults: [{ on: 'create', nth: 1, replyId: 'msgbatch_wrong' }],
  })
  const { id } = await client.messages.batches.create({ requests: asks(1) })
  t.equal(id, 'msgbatch_wrong')
  t.match(await rejection(client.messages.batches.retrieve(id)), { status: 404 })
  const [real] = (await client.messages.batches.list()).data
  t.equal(real?.id, emulator.ledger.batches()[0]?.id)
  t.not(real?.id, id)
})

both(t, 'a batch can vanish', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport, {
    faults: [{ on: 'create', vanishAfterMs: 10 }],
  })
  const { id } = await client.messages.batches.create({ requests: asks(1) })
  t.equal((await client.messages.batches.retrieve(id)).id, id)
  clock.turn(10)
  t.match(await rejection(client.messages.batches.retrieve(id)), { status: 404 })
  t.same((await client.messages.batches.list()).data, [])
  t.equal(emulator.ledger.batches()[0]?.id, id, 'the ledger knows it')
})

both(t, 'requests can expire, all of them or some', async (t, transport) => {
  const { client, clock, emulator } = await bench(t, transport, {
    faults: [
      { on: 'create', nth: 1, expire: true },
      { on: 'create', nth: 2, expire: [0, 2] },
    ],
  })
  const all = await client.messages.batches.create({ requests: asks(3) })
  const some = await client.messages.batches.create({ requests: asks(3) })
  clock.turn(1000)
  t.match((await client.messages.batches.retrieve(all.id)).request_counts, {
    expired: 3,
    succeeded: 0,
  })
  t.match((await client.messages.batches.retrieve(some.id)).request_counts, {
    expired: 2,
    succeeded: 1,
  })
  const expired = (await linesOf(client, some.id)).filter(line => line.result.type === 'expired')
  t.same(expired.map(line => line.custom_id).sort(), ['r-0', 'r-2'])
  t.same(expired[0]?.result, { type: 'expired' })
  t.match(await emulator.ledger.totals(), { accepted: 6, billed: 1 })
})

both(
  t,
  'rows can fail, by position or content, always or a number of times',
  async (t, transport) => {
    const { client, clock } = await bench(t, transport, {
      order: 'input',
      faults: [
        {
          on: 'create',
          errored: [
            { index: [0], error: { type: 'overloaded_error', message: 'Overloaded' }, times: 1 },
            { containing: 'poison', error: { type: 'invalid_request_error' } },
            { index: 3, times: 2 },
          ],
        },
      ],
    })
    const requests = [ask('a', 'one'), ask('b', 'with poison'), ask('c', 'three'), ask('d', 'four')]
    const round = async (): Promise<string[]> => {
      const { id } = await client.messages.batches.create({ requests })
      clock.turn(1000)
      const lines = await linesOf(client, id)
      return lines.map(({ result }) =>
        result.type === 'errored' ? result.error.error.type : result.type,
      )
    }
    t.same(await round(), ['overloaded_error', 'invalid_request_error', 'succeeded', 'api_error'])
    t.same(await round(), ['succeeded', 'invalid_request_error', 'succeeded', 'api_error'])
    t.same(await round(), ['succeeded', 'invalid_request_error', 'succeeded', 'succeeded'])
  },
)

both(t, 'a rule without place and text fails every row', async (t, transport) => {
  const { client, clock } = await bench(t, transport, { faults: [{ on: 'create', errored: [{}] }] })
  const { id } = await client.messages.batches.create({ requests: asks(2) })
  clock.turn(1000)
  t.match((await client.messages.batches.retrieve(id)).request_counts, { errored: 2 })
})

both(t, 'a create can be refused for one of its requests', async (t, transport) => {
  const { client, emulator } = await bench(t, transport, {
    faults: [{ on: 'create', rejectRequest: 'poison' }],
  })
  const requests = [...asks(7), ask('bad', 'some poison')]
  const error = await rejection(client.messages.batches.create({ requests }))
  t.match(error, { status: 400, apiMessage: /^requests\.7\.params\.messages: / })
  await client.messages.batches.create({ requests: requests.slice(0, 7) })
  t.equal(emulator.ledger.batches().length, 1)
})

both(t, 'results_url can point elsewhere, or nowhere', async (t, transport) => {
  const { client, clock } = await bench(t, transport, {
    faults: [
      { on: 'create', nth: 1, resultsUrl: 'https://evil.example:8443' },
      { on: 'create', nth: 2, resultsUrl: 'http://127.0.0.1:9/mirror/' },
      { on: 'create', nth: 3, resultsUrl: null },
    ],
  })
  const urls: unknown[] = []
  for (let i = 0; i < 3; i++) {
    const { id } = await client.messages.batches.create({ requests: asks(1) })
    clock.turn(1000)
    const url = (await client.messages.batches.retrieve(id)).results_url
    urls.push(url?.replace(id, 'ID') ?? url)
  }
  t.same(urls, [
    'https://evil.example:8443/v1/messages/batches/ID/results',
    'http://127.0.0.1:9/mirror/v1/messages/batches/ID/results',
    null,
  ])
})

both(t, 'counts can disagree with the lines', async (t, transport) => {
  const { client, clock } = await bench(t, transport, {
    faults: [{ on: 'create', counts: { succeeded: -1, errored: 2 } }],
  })
  const { id, request_counts } = await client.messages.batches.create({ requests: asks(3) })
  t.match(
    request_counts,
    { processing: 3, succeeded: 0, errored: 0 },
    'counts are right while it runs',
  )
  clock.turn(1000)
  t.match((await client.messages.batches.retrieve(id)).request_counts, { succeeded: 2, errored: 2 })
  t.equal((await linesOf(client, id)).length, 3)
})

both(t, 'results are gone after 29 days, or as soon as a script says so', async (t, transport) => {
  const { client, clock } = await bench(t, transport, {
    faults: [{ on: 'create', nth: 2, archived: true }],
  })
  const old = await client.messages.batches.create({ requests: asks(1) })
  const archived = await client.messages.batches.create({ requests: asks(1) })
  clock.turn(1000)
  t.equal((await client.messages.batches.retrieve(old.id)).archived_at, null)
  t.match((await client.messages.batches.retrieve(archived.id)).archived_at, /^2026-11-20T/)
  t.match(await rejection(linesOf(client, archived.id)), { status: 404 })
  clock.turn(RESULTS_KEPT_MS - 1001)
  t.equal((await linesOf(client, old.id)).length, 1)
  clock.turn(1)
  const gone = await client.messages.batches.retrieve(old.id)
  t.equal(gone.archived_at, '2026-12-19T12:00:00.000001Z')
  t.match(await rejection(linesOf(client, old.id)), { status: 404, type: 'not_found_error' })
})
