import t from 'tap'
import { bench, bodyOf, asks, HEADERS, streamed } from './transports.ts'

/** Megabytes in use after garbage collection; --expose-gc is set for all tests. */
async function used(): Promise<number> {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    // Buffers are freed a few turns after the objects that held them.
    await new Promise(resolve => setTimeout(resolve, 10))
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return (heapUsed + arrayBuffers) / 1e6
}

t.test('accepted and answered requests take no memory', async t => {
  const { emulator, clock } = await bench(t, 'in process', { queueLimit: Infinity })
  const body = bodyOf(asks(5000))
  const round = async (): Promise<void> => {
    const url = `${emulator.url}/v1/messages/batches`
    const chunks = (async function* () {
      for (let at = 0; at < body.length; at += 65_536) yield body.subarray(at, at + 65_536)
    })()
    const created = await (await emulator.fetch(url, streamed(chunks, body.length))).json()
    clock.turn(1000)
    await (await emulator.fetch(`${url}/${Object(created).id}`, { headers: HEADERS })).text()
    const results = await emulator.fetch(`${url}/${Object(created).id}/results`, {
      headers: HEADERS,
    })
    let lines = 0
    // A fetch body is iterable, but its type does not say so.
    for await (const chunk of results.body as unknown as AsyncIterable<Uint8Array>) {
      lines += chunk.filter(byte => byte === 0x0a).length
    }
    t.equal(lines, 5000)
  }
  for (let i = 0; i < 3; i++) await round()
  const before = await used()
  for (let i = 0; i < 12; i++) await round()
  const grownMaxTokens = (await used()) - before
  t.ok(
    grownMaxTokens < 2,
    `60,000 more requests took ${grownMaxTokens.toFixed(1)} MB; at most a byte per request is expected`,
  )
  t.match(await emulator.ledger.totals(), { accepted: 75_000, billed: 75_000, distinct: 5000 })
})
