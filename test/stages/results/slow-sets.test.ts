// Result sets that fail for long keep no other set at the API, and what arrives of them is kept.
import type Anthropic from '@anthropic-ai/sdk'
import t from 'tap'
import { completeResults } from '../../../lib/stages/results/fetch-results.ts'
import { OrdinalSet } from '../../../lib/store/ordinal-set.ts'
import { asks, clientOf, makeWorld, oneBill, run, said, type World } from '../../support/world.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

type Reply = (nth: number, send: () => Promise<Response>) => Promise<Response>

/** A client for which the downloads of one batch, by the order in which batches are first fetched, get these replies. */
function clientFor({ emulator }: World, batch: number, reply: Reply): Anthropic {
  const seen: string[] = []
  let nth = 0
  const fetch: typeof globalThis.fetch = async (input, init) => {
    const url = String(input)
    const send = async (): Promise<Response> => await emulator.fetch(input, init)
    if (!url.endsWith('/results')) return await send()
    if (!seen.includes(url)) seen.push(url)
    return seen.indexOf(url) + 1 === batch ? await reply(++nth, send) : await send()
  }
  return clientOf({ ...emulator, url: emulator.url, fetch })
}

/** The beginning of a set, after which the connection breaks. */
async function cutAfter(lines: number, from: number, whole: Response): Promise<Response> {
  const all = (await whole.text()).split('\n')
  const sent = [...all.slice(from), ...all.slice(0, from)]
    .filter(line => line !== '')
    .slice(0, lines)
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(Buffer.from(`${sent.join('\n')}\n{"custom_id":"half`))
    },
    pull(controller) {
      controller.error(new Error('ECONNRESET'))
    },
  })
  return new Response(body, { headers: { 'content-type': 'application/x-jsonl' } })
}

const FAILED = (): Response => new Response('{}', { status: 500 })

for (const emits of ['fetched', 'input'] as const)
  void t.test(`a set that fails for an hour does not delay the others (${emits})`, async t => {
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    let until = Infinity
    const client = clientFor(world, 2, async (_, send) =>
      world.clock.elapsed() < until ? FAILED() : await send(),
    )
    const job = await world.open()
    const fetched: { number: number; late: boolean }[] = []
    until = world.clock.elapsed() + HOUR
    job.on('event', event => {
      if (event.type === 'fetched')
        fetched.push({ number: event.number, late: world.clock.elapsed() >= until })
    })
    const options = { client, aggregate: { batchSize: 1 }, fetch: { emits } }
    const results = await run({ ...world, client }, job, asks(5), options)
    const rows = said(results).map(row => Number(row[0]))
    t.same(rows, emits === 'input' ? [0, 1, 2, 3, 4] : [0, 2, 3, 4, 1])
    t.same(
      fetched.filter(({ late }) => late).map(({ number }) => number),
      [2],
    )
    await oneBill(world, 5)
  })

void t.test('sets that all fail wait for each other, and are fetched in the end', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const until = world.clock.elapsed() + HOUR
  const fetch: typeof globalThis.fetch = async (input, init) =>
    String(input).endsWith('/results') && world.clock.elapsed() < until
      ? FAILED()
      : await world.emulator.fetch(input, init)
  const client = clientOf({ ...world.emulator, url: world.emulator.url, fetch })
  const options = { client, aggregate: { batchSize: 1 }, fetch: { emits: 'fetched' } } as const
  t.equal((await run(world, await world.open(), asks(20), options)).length, 20)
  await oneBill(world, 20)
})

void t.test('the lines of sets that are cut are joined', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const client = clientFor(world, 1, async (nth, send) => await cutAfter(2, 2 * nth, await send()))
  const results = await run(world, await world.open(), asks(6), { client })
  t.same(
    results.map(({ status }) => status),
    Array.from({ length: 6 }, () => 'succeeded'),
  )
})

void t.test(
  'a set that is always cut at the same place is left after a day, and can be adopted',
  async t => {
    const world = await makeWorld(t, { batchTimeMs: MINUTE })
    const client = clientFor(world, 1, async (_, send) => await cutAfter(2, 0, await send()))
    const job = await world.open()
    await t.rejects(run(world, job, asks(3), { client }), {
      code: 'CBS_API',
      option: 'adopt',
      message: /2 of its 3 results have arrived\. `adopt`: msgbatch_\w+ takes them and makes/,
    })
    const adopt = [String(job.batch(1).id)]
    await job.close()
    const began = world.clock.elapsed()
    const again = await run(world, await world.open(), asks(3), { client, fetch: { adopt } })
    t.same(again.map(({ status }) => status).toSorted(), ['succeeded', 'succeeded', 'unanswered'])
    const missing = again.find(({ status }) => status === 'unanswered')
    t.match(missing?.error?.message, /the results under this id cannot be downloaded/)
    t.ok(world.clock.elapsed() - began < HOUR)
  },
)

void t.test('a set that a filter blocks is left, and given up if the user says so', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  const page = async (): Promise<Response> => new Response('<html>blocked</html>', { status: 403 })
  const client = clientFor(world, 2, page)
  const options = { client, aggregate: { batchSize: 1 }, submit: { concurrency: 2 } }
  const job = await world.open()
  await t.rejects(run(world, job, asks(5), { ...options, fetch: { emits: 'fetched' } }), {
    code: 'CBS_ACCESS',
    option: 'adopt',
    message: /\. If they can never be downloaded, resume the job with `adopt`: msgbatch_/,
  })
  const adopt = [...job.state.batches.values()].flatMap(({ phase, id }) =>
    phase === 'ended' && id !== null ? [id] : [],
  )
  t.equal(adopt.length, 1)
  await job.close()
  const again = await world.open()
  const results = await run(world, again, asks(5), {
    ...options,
    fetch: { emits: 'fetched', adopt },
  })
  t.equal(results.filter(({ status }) => status === 'succeeded').length, 4)
  t.equal(results.filter(({ status }) => status === 'unanswered').length, 1)
  await oneBill(world, 5)
})

void t.test('before a retry, the lines of downloads that are cut are joined as well', async t => {
  const world = await makeWorld(t, { batchTimeMs: MINUTE })
  let isShort = true
  const client = clientFor(world, 1, async (nth, send) =>
    isShort
      ? new Response((await (await send()).text()).replace(/^.*\n/, ''))
      : await cutAfter(2, 2 * nth, await send()),
  )
  const job = await world.open()
  const results = await run(world, job, asks(6), { client })
  const missing = results.filter(({ status }) => status === 'unanswered')
  t.equal(missing.length, 1)
  isShort = false
  const unanswered = new OrdinalSet()
  for (const { record } of missing) unanswered.add(Number(record?.ordinal))
  const { signal } = new AbortController()
  t.equal(await completeResults(job, unanswered, { client, signal }), 1)
  await job.close()
})
