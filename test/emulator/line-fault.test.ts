import t, { type Test } from 'tap'
import type { LineFault } from '../../lib/emulator/index.ts'
import {
  ask,
  asks,
  bench,
  both,
  HEADERS,
  linesOf,
  rejection,
  type Bench,
  type Transport,
} from './transports.ts'

interface Spoiled extends Bench {
  readonly id: string
  readonly text: () => Promise<string>
}

/** A batch of five requests, r-0 to r-4, whose results come in order with this fault. */
async function spoiled(t: Test, transport: Transport, lines: LineFault): Promise<Spoiled> {
  const at = await bench(t, transport, { order: 'input', faults: [{ on: 'results', lines }] })
  const { id } = await at.client.messages.batches.create({ requests: asks(5) })
  at.clock.turn(1000)
  const url = `${at.emulator.url}/v1/messages/batches/${id}/results`
  return { ...at, id, text: async () => (await at.fetch(url, { headers: HEADERS })).text() }
}

/** The custom_ids of the lines; a line that is not JSON is returned as it is. */
function idsOf(text: string): string[] {
  return text.split('\n').map(line => {
    try {
      return JSON.parse(line).custom_id
    } catch {
      return line
    }
  })
}

both(t, 'a download can end early as if that were all', async (t, transport) => {
  t.same(idsOf(await (await spoiled(t, transport, { cutAfter: 2 })).text()), ['r-0', 'r-1', ''])
  t.equal(await (await spoiled(t, transport, { cutAfter: 0 })).text(), '')
  const inside = await spoiled(t, transport, { cutInside: 2 })
  const [whole, half] = (await inside.text()).split('\n')
  t.match(JSON.parse(whole ?? ''), { custom_id: 'r-0' })
  t.match(half, /^\{"custom_id":"r-1","result":\{"type":"succeeded"/)
  t.match(await rejection(linesOf(inside.client, inside.id)), { name: 'SyntaxError' })
})

both(t, 'lines can be missing, double, blank or garbage', async (t, transport) => {
  const ids = async (fault: LineFault): Promise<string[]> =>
    idsOf(await (await spoiled(t, transport, fault)).text())
  t.same(await ids({ drop: [1, 4] }), ['r-1', 'r-2', 'r-4', ''])
  t.same(await ids({ double: 5 }), ['r-0', 'r-1', 'r-2', 'r-3', 'r-4', 'r-4', ''])
  t.same(await ids({ blank: [1, 3] }), ['', 'r-0', 'r-1', '', 'r-2', 'r-3', 'r-4', ''])
  t.same(await ids({ garbage: 2 }), ['r-0', '<<< upstream hiccup >>>', 'r-2', 'r-3', 'r-4', ''])
  t.same(await ids({ unknownId: 3 }), ['r-0', 'r-1', 'nobody-sent-3', 'r-3', 'r-4', ''])
  t.same(await ids({ reversed: true }), ['r-4', 'r-3', 'r-2', 'r-1', 'r-0', ''])
  t.same(await ids({ reversed: true, drop: 1 }), ['r-3', 'r-2', 'r-1', 'r-0', ''])
})

both(t, 'a line can have a result of an unknown type, or a second answer', async (t, transport) => {
  const odd = await spoiled(t, transport, { unknownType: 2 })
  t.same((await linesOf(odd.client, odd.id))[1], {
    custom_id: 'r-1',
    result: { type: 'postponed' },
  })
  const two = await spoiled(t, transport, { conflict: 1 })
  const [first, second] = await linesOf(two.client, two.id)
  t.equal(first?.custom_id, second?.custom_id)
  t.match(second?.result, {
    type: 'succeeded',
    message: { content: [{ text: 'a different answer' }] },
  })
})

t.test('the conflicting answer to a failed request is that it was canceled', async t => {
  const { client, clock } = await bench(t, 'in process', {
    faults: [{ on: 'results', lines: { conflict: 1 } }],
  })
  const { id } = await client.messages.batches.create({
    requests: [ask('a', 'x', { stream: true })],
  })
  clock.turn(1000)
  t.same(
    (await linesOf(client, id)).map(line => line.result.type),
    ['errored', 'canceled'],
  )
})

both(t, 'a download can be gzipped, whole or cut', async (t, transport) => {
  const whole = await spoiled(t, transport, { gzipCut: 0 })
  t.same(idsOf(await whole.text()), ['r-0', 'r-1', 'r-2', 'r-3', 'r-4', ''])
  const cut = await (await spoiled(t, transport, { gzipCut: 40 })).text()
  t.match(cut, /^\{"custom_id":"r-0"/)
  t.notOk(cut.endsWith('\n'), 'fetch sees no error in a cut stream: it gives less')
  t.equal(await (await spoiled(t, transport, { gzipCut: 1_000_000 })).text(), '')
})

both(t, 'a download can be shorter than its content-length', async (t, transport) => {
  const whole = await (await spoiled(t, transport, {})).text()
  const short = await spoiled(t, transport, { shortBy: 10 })
  const url = `${short.emulator.url}/v1/messages/batches/${short.id}/results`
  const response = await short.fetch(url, { headers: HEADERS })
  t.equal(response.headers.get('content-length'), String(whole.length))
  t.match(await rejection(response.text()), { name: 'TypeError', message: 'terminated' })
})

both(t, 'leaving a spoiled download early has no other effect', async (t, transport) => {
  const { fetch, emulator, id } = await spoiled(t, transport, { gzipCut: 0 })
  const url = `${emulator.url}/v1/messages/batches/${id}/results`
  const response = await fetch(url, { headers: HEADERS })
  await response.body?.cancel()
  t.equal((await fetch(url, { headers: HEADERS })).status, 200)
})
