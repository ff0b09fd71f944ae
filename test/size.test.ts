// The whole journey at a size where what does not scale shows.
import Anthropic from '@anthropic-ai/sdk'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t, { type Test } from 'tap'
import { createEmulator, echo } from '../lib/emulator/index.ts'
import {
  aggregate,
  awaitEnd,
  chain,
  fetchResults,
  spool,
  openJob,
  parseCsv,
  parseJsonl,
  submit,
  template,
  writeJsonl,
  type EndedBatch,
  type Result,
} from '../lib/index.ts'

const ROWS = 10_000
const CONCURRENCY = 3

/** A text with everything that CSV and JSON have to escape, different in each row. */
function textOf(n: number): string {
  const parts = [
    `row ${n}`,
    '"quoted, twice"',
    'a\nnew line',
    'Ça va? 日本語 👩‍🚀',
    '{{no}} \\ \t',
    ',,',
  ]
  return `${parts.slice(n % parts.length).join(' ')} / ${parts.slice(0, n % parts.length).join(' ')}`
}

/** CSV bytes, cut where it hurts: chunks of a prime length split quotes, line breaks and characters. */
function* csv(): Generator<Buffer> {
  let text = 'id,text\n'
  for (let n = 0; n < ROWS; n++) text += `${n},"${textOf(n).replaceAll('"', '""')}"\n`
  const bytes = Buffer.from(text)
  for (let at = 0; at < bytes.length; at += 4999) yield bytes.subarray(at, at + 4999)
}

void t.test('10,000 rows get their own answers, with three batches in flight at most', async t => {
  let most = 0
  const emulator = await createEmulator({
    batchTimeMs: 150,
    // It is asked at each call, before anything is done: a create adds one to those that are open.
    faults: ({ op }) => {
      const open = emulator.ledger.batches().filter(({ state }) => state !== 'ended').length
      most = Math.max(most, open + (op === 'create' ? 1 : 0))
      return undefined
    },
  })
  t.teardown(() => emulator.close())
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url, maxRetries: 0 })
  const seen = new Set<string>()
  let wrong = 0
  await pipeline(
    Readable.from(csv()),
    chain(
      parseCsv(),
      spool(),
      template({ prompt: 'About {{id}}: {{text}}' }),
      aggregate({ batchSize: 900 }),
      submit({ client, concurrency: CONCURRENCY }),
      awaitEnd({ client, poll: 5 }),
      fetchResults({ client }),
    ),
    async (results: AsyncIterable<Result>) => {
      for await (const { status, response, record } of results) {
        const id = String(record?.fields['id'])
        const text = textOf(Number(id))
        const isOwn = record?.fields['text'] === text && response === echo(`About ${id}: ${text}`)
        if (status !== 'succeeded' || !isOwn) wrong++
        seen.add(id)
      }
    },
  )
  t.equal(wrong, 0)
  t.equal(seen.size, ROWS)
  t.ok(most > 1 && most <= CONCURRENCY, `${most} in flight at most`)
  const totals = await emulator.ledger.totals()
  t.match(totals, { accepted: ROWS, billed: ROWS, billedTwice: 0 })
  t.ok(totals.batches > 10)
})

/** CPU that fetching and writing answers of one length costs, in microseconds a byte. */
async function costOfLines(t: Test, count: number, length: number): Promise<number> {
  const emulator = await createEmulator({ batchTimeMs: 0, respond: () => 'a'.repeat(length) })
  t.teardown(() => emulator.close())
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url, maxRetries: 0 })
  const ended: EndedBatch[] = []
  await using job = await openJob({ name: 'lines', dir: t.testdir({}) })
  const lines = Array.from({ length: count }, (_, n) => `{"n":${n}}\n`).join('')
  await pipeline(
    Readable.from([Buffer.from(lines)]),
    chain(parseJsonl(), template({ prompt: '{{n}}' }), aggregate({ job })),
    chain(submit({ client }), awaitEnd({ client, poll: 1 })),
    async (batches: AsyncIterable<EndedBatch>) => {
      for await (const batch of batches) ended.push(batch)
    },
  )
  let bytes = 0
  const began = process.cpuUsage()
  await pipeline(
    Readable.from(ended),
    chain(fetchResults({ client }), writeJsonl()),
    async (rows: AsyncIterable<Buffer>) => {
      for await (const row of rows) bytes += row.length
    },
  )
  const { user, system } = process.cpuUsage(began)
  t.ok(bytes > count * length, 'every row is there')
  return (user + system) / bytes
}

void t.test('a byte of a 2 MB line costs no more than a byte of a 1 KB line', async t => {
  // Once for nothing, so that neither pays for what is compiled on the way.
  await costOfLines(t, 500, 1000)
  const short = await costOfLines(t, 8000, 1000)
  const long = await costOfLines(t, 8, 2_000_000)
  // A decoder that goes over what it has again with each chunk is 30 times dearer here.
  t.ok(long <= 4 * short, `${long.toFixed(4)} us a byte against ${short.toFixed(4)}`)
})
