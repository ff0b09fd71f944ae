// `retry` downloads result sets that ended early once more before it pays for their rows again.
import { readFileSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { journalOf } from '../support/world.ts'
import { lyingApi, NOT_FOUND } from '../support/lying-api.ts'
import { csv, FAST_CLOCK as clock, placeFor, rowsOf, until, type Place, type Ran } from './world.ts'

/** A place whose result sets have only these rows; `undefined` is the whole set, and `gone` a 404. */
interface Short {
  readonly place: Place
  readonly words: string[]
  rows: readonly number[] | 'gone' | 'invalid' | undefined
  downloads: number
  /** The same for the next download only. */
  next?: Short['rows']
  /** Whether the next download is a 503. */
  isBusy?: boolean
  /** How many of the next polls say that the batch has not ended. */
  inProgress?: number
  /** How many of the next replies do not know the batch: the list lacks it until then. */
  unknown?: number
  /** The status of these replies, 404 by default. */
  refusal?: number
}

async function shortPlace(t: Test, rows: Short['rows'], unknown = 0): Promise<Short> {
  const place = await placeFor(t)
  const short: Short = { place, rows, downloads: 0, words: [], unknown }
  const url = await lyingApi(t, place.emulator.url, {
    answer: ({ url = '' }, response) => {
      const { unknown = 0, refusal = 404 } = short
      if (unknown > 0 && /\/msgbatch_\w+$/.test(url)) {
        short.unknown = unknown - 1
        response.writeHead(refusal, { 'content-type': 'application/json' })
        response.end('{}')
        return true
      }
      if (!url.endsWith('/results')) return false
      short.downloads += 1
      const { isBusy, rows } = { ...short, ...('next' in short && { rows: short.next }) }
      short.isBusy = false
      if (!isBusy && rows !== 'gone') return false
      delete short.next
      response.writeHead(isBusy ? 503 : 404, { 'content-type': 'application/json' })
      response.end(NOT_FOUND)
      return true
    },
    change: (path, body) => {
      const { rows, inProgress = 0 } = short
      if (inProgress > 0 && /\/msgbatch_\w+$/.test(path)) {
        short.inProgress = inProgress - 1
        return body.replace('"ended"', '"in_progress"')
      }
      if (short.unknown && body.includes('"has_more"'))
        return JSON.stringify({ data: [], has_more: false, first_id: null, last_id: null })
      if (!path.endsWith('/results')) return body
      const now = 'next' in short ? short.next : rows
      delete short.next
      if (now === 'invalid') return `${body}no\n`
      if (!Array.isArray(now)) return body
      return body.replaceAll(/.*\n/g, line =>
        now.some(row => line.includes(`text ${row}`)) ? line : '',
      )
    },
  })
  short.words.push('--base-url', url, '--settle', '0s')
  const stdin = csv(4)
  const ran = await place.run(['-p', '{{text}}', '--job', 'j', ...short.words], {
    stdin,
    clock,
  })
  t.equal(ran.code, 3, ran.err)
  short.downloads = 0
  return short
}

const retry = async ({ place, words }: Short): Promise<Ran> =>
  await place.run(['retry', 'j', ...words], { clock })

const statuses = ({ rows }: Ran): unknown[] =>
  rows.map(({ id, _batch }) => `${String(id)} ${_batch?.status} ${_batch?.attempt}`).sort()

async function paid(t: Test, { place }: Short, accepted: number): Promise<void> {
  t.match(await place.emulator.ledger.totals(), { accepted })
}

/** The statuses of four rows that were answered at the first attempt. */
const ALL_ANSWERED = [0, 1, 2, 3].map(id => `${id} succeeded 1`)

void t.test('answers that the API has by now are printed and not paid for again', async t => {
  const short = await shortPlace(t, [0, 2])
  short.rows = undefined
  short.isBusy = true
  const ran = await retry(short)
  t.equal(ran.code, 0, ran.err)
  t.same(statuses(ran), ['1 succeeded 1', '3 succeeded 1'])
  t.match(ran.err, 'job j: 2 missing answers came with another download of the results')
  t.equal(short.downloads, 2)
  await paid(t, short, 4)
  const all = await short.place.run(['results', 'j', ...short.words])
  t.same(statuses(all), ALL_ANSWERED)
  const again = await retry(short)
  t.match(again.err, 'there is nothing to retry')
  t.equal(short.downloads, 2)
  t.notMatch(short.place.read('state/jobs/j/job.json'), '"retry"')
})

void t.test('only rows that are still missing are paid for', async t => {
  const short = await shortPlace(t, [0])
  // Shorter where the first set was not.
  short.rows = [1, 3]
  const first = short.place.emulator.ledger.batches()[0]?.id
  const ran = await retry(short)
  t.equal(ran.code, 3)
  t.same(statuses(ran), ['1 succeeded 1', '2 unanswered 2', '3 succeeded 1'])
  await paid(t, short, 5)
  const all = await short.place.run(['results', 'j', ...short.words])
  t.same(statuses(all), ['0 succeeded 1', '1 succeeded 1', '2 unanswered 2', '3 succeeded 1'])
  t.equal(all.rows[0]?._batch?.batch_id, first)
  // The second batch has it, and the row of the first one is not retried any more.
  short.rows = undefined
  short.downloads = 0
  t.same(statuses(await retry(short)), ['2 succeeded 2'])
  t.equal(short.downloads, 1)
  await paid(t, short, 5)
})

for (const rows of ['gone', []] as const) {
  void t.test(`results that are ${String(rows) || 'empty'} do not keep a retry`, async t => {
    const short = await shortPlace(t, [0, 2])
    short.rows = rows
    const { emulator } = short.place
    const before = emulator.ledger.batches().length
    const ended = retry(short)
    // The results of the retry itself are whole.
    while (emulator.ledger.batches().length === before)
      await new Promise(resolve => setTimeout(resolve, 5))
    short.rows = undefined
    const ran = await ended
    t.equal(ran.code, 0, ran.err)
    t.same(statuses(ran), ['1 succeeded 2', '3 succeeded 2'])
    await paid(t, short, 6)
  })
}

void t.test('an invalid set says nothing about the rows that are missing', async t => {
  const short = await shortPlace(t, [0, 2])
  short.rows = 'invalid'
  t.match(await retry(short), {
    code: 8,
    err: /the results of batch msgbatch_\w+ are invalid: .* none of its requests is sent again/,
  })
  await paid(t, short, 4)
  const [batch] = short.place.emulator.ledger.batches()
  short.words.push('--adopt', String(batch?.id))
  const ran = await retry(short)
  t.match(ran, { code: 0, err: /that is batch 1 of job j already; the valid lines of its results/ })
  t.same(statuses(ran), ['1 succeeded 1', '3 succeeded 1'], 'the valid lines count')
  await paid(t, short, 4)
})

void t.test('nor does it once there is a valid one', async t => {
  const short = await shortPlace(t, [0, 2])
  short.rows = 'invalid'
  t.equal((await retry(short)).code, 8)
  await paid(t, short, 4)
  short.rows = undefined
  t.same(statuses(await retry(short)), ['1 succeeded 1', '3 succeeded 1'])
  await paid(t, short, 4)
})

for (const rows of ['gone', 'invalid', [], [0, 2]] as const)
  void t.test(`one download that is ${String(rows) || 'empty'} costs nothing`, async t => {
    const short = await shortPlace(t, [0, 2])
    short.next = rows
    short.rows = undefined
    const ran = await retry(short)
    t.equal(ran.code, 0, ran.err)
    t.same(statuses(ran), ['1 succeeded 1', '3 succeeded 1'])
    t.match(ran.err, /the results of batch msgbatch_\w+ are not complete \(.+\); downloading them/)
    t.equal(short.downloads, 2)
    await paid(t, short, 4)
  })

void t.test('a download that was 404 for too long is tried again, too', async t => {
  const short = await shortPlace(t, 'gone')
  short.rows = undefined
  const ran = await retry(short)
  t.same(statuses(ran), ALL_ANSWERED)
  await paid(t, short, 4)
})

void t.test(
  'a batch that is in progress after all is waited for, and not paid for again',
  async t => {
    const short = await shortPlace(t, 'gone')
    short.rows = undefined
    short.inProgress = 3
    const ran = await retry(short)
    t.same(statuses(ran), ALL_ANSWERED)
    t.match(ran.err, 'the API says that it is in progress')
    t.equal(short.inProgress, 0)
    await paid(t, short, 4)
  },
)

for (const rows of ['gone', [0, 2]] as const)
  void t.test(`one 404 of a batch whose results were ${String(rows)} costs nothing`, async t => {
    const short = await shortPlace(t, rows)
    short.rows = undefined
    short.unknown = 1
    t.same((await retry(short)).code, 0)
    await paid(t, short, 4)
  })

void t.test('a batch that the API did not know is looked for again', async t => {
  const short = await shortPlace(t, undefined, Infinity)
  short.unknown = 3
  const ran = await retry(short)
  t.same(statuses(ran), ALL_ANSWERED)
  t.match(ran.err, /does not know batch msgbatch_\w+; looking again before its requests are sent/)
  await paid(t, short, 4)
})

void t.test('many sets are completed, ten at a time', async t => {
  const place = await placeFor(t)
  let isGone = true
  const url = await lyingApi(t, place.emulator.url, {
    answer: ({ url: path = '' }, response) => {
      if (!isGone || !path.endsWith('/results')) return false
      response.writeHead(404).end(NOT_FOUND)
      return true
    },
  })
  const words = ['--base-url', url, '--settle', '0s']
  const options = { stdin: csv(12), clock }
  await place.run(['-p', '{{text}}', '--job', 'j', '--batch-size', '1', ...words], options)
  isGone = false
  const ran = await place.run(['retry', 'j', ...words], { clock })
  t.equal(ran.code, 0, ran.err)
  t.equal(ran.rows.length, 12)
  t.match(await place.emulator.ledger.totals(), { accepted: 12, acceptedTwice: 0 })
})

for (const refusal of [404, 400, 403])
  void t.test(`a batch that is refused with ${refusal} is sent again`, async t => {
    const short = await shortPlace(t, undefined, Infinity)
    short.refusal = refusal
    t.match(await retry(short), { code: 5, err: /the API knows no batch of job j, so it may be/ })
    const words = ['retry', 'j', '--adopt', 'none', ...short.words]
    const ended = short.place.run(words, { clock })
    while (short.place.emulator.ledger.batches().length < 2)
      await new Promise(resolve => setTimeout(resolve, 5))
    short.unknown = 0
    t.same(statuses(await ended), [
      '0 succeeded 2',
      '1 succeeded 2',
      '2 succeeded 2',
      '3 succeeded 2',
    ])
    await paid(t, short, 8)
  })

void t.test('an interrupted retry prints what it has found again', async t => {
  const short = await shortPlace(t, [0, 2])
  short.rows = undefined
  const { world, ended } = short.place.start(['retry', 'j', ...short.words], { clock })
  world.stdout.destroy()
  t.not((await ended).code, 0)
  t.ok(journalOf(`${short.place.state}/jobs/j`).some(({ type }) => type === 'refetched'))
  t.same(statuses(await retry(short)), ['1 succeeded 1', '3 succeeded 1'])
  await paid(t, short, 4)
})

void t.test('a batch that was deleted is sent again while the API knows another one', async t => {
  const place = await placeFor(t, {
    faults: ({ op, batch }) =>
      batch === 1 && (op === 'retrieve' || op === 'results') ? { status: 404 } : undefined,
  })
  const url = await lyingApi(t, place.emulator.url, {
    change: (_, body) => {
      if (!body.includes('"has_more"')) return body
      const page = JSON.parse(body)
      const deleted = place.emulator.ledger.batches()[0]?.id
      const data = page.data.filter(({ id }: { id: string }) => id !== deleted)
      return JSON.stringify({ ...page, data })
    },
  })
  const words = ['--base-url', url, '--settle', '0s']
  const ask = ['-p', '{{text}}', '--job', 'j', '--batch-size', '2', ...words]
  const ran = await place.run(ask, { stdin: csv(4), clock })
  t.equal(ran.code, 3, ran.err)
  const again = await place.run(['retry', 'j', ...words], { clock })
  t.equal(again.code, 0, again.err)
  t.equal(again.rows.length, 2)
  t.match(await place.emulator.ledger.totals(), { accepted: 6 })
})

void t.test('a retry does not wait for a set that the user has given up', async t => {
  let isBlocked = true
  const place = await placeFor(t, {
    faults: ({ op, batch }) =>
      isBlocked && op === 'results' && batch === 1
        ? { status: 403, body: '<html>blocked</html>' }
        : undefined,
  })
  const job = ['-p', '{{text}}', '--job', 'j', '--batch-size', '2']
  const first = await place.run(job, { stdin: csv(4) })
  t.match(first, {
    code: 5,
    err: /If they can never be downloaded, resume the job with --adopt: msg/,
  })
  const adopt = ['--adopt', String(place.emulator.ledger.batches()[0]?.id)]
  t.equal((await place.run(['resume', 'j', ...adopt])).code, 3)
  t.equal((await place.run(['retry', 'j'])).code, 5)
  const again = await place.run(['retry', 'j', ...adopt])
  t.equal(again.code, 0, again.err)
  t.equal(again.rows.length, 2)
  isBlocked = false
  t.match(await place.emulator.ledger.totals(), { accepted: 6 })
})

void t.test('a killed retry does not refuse its own file, and deletes no bytes of it', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) =>
      attempt === 1 ? { error: { type: 'api_error', message: 'not yet' } } : 'yes',
    batchTimeMs: ({ number }) => (number === 2 ? 3_600_000 : 1),
  })
  const ran = await place.run(['-p', '{{text}}', '--job', 'j', '--retries', '0'], { stdin: csv(2) })
  t.equal(ran.code, 3, ran.err)
  const path = place.path('again.jsonl')
  const foreign = place.path('foreign.jsonl')
  writeFileSync(foreign, 'mine')
  const again = ['retry', 'j', '-o', path]
  const { world, ended } = place.start(again)
  await until(() => place.emulator.ledger.batches().length === 2)
  world.emit('SIGINT', 'SIGINT')
  world.emit('SIGINT', 'SIGINT')
  t.not((await ended).code, 0)
  // A process that is killed leaves what it has written.
  writeFileSync(path, 'partial')
  for (const file of [foreign, foreign])
    t.match(await place.run(['retry', 'j', '-o', file]), { code: 6, err: /already exists/ })
  t.equal(readFileSync(foreign, 'utf8'), 'mine')
  await place.run(['cancel', 'j', '-y'])
  const last = await place.run(again)
  t.match(
    last.err,
    `${path} is from an earlier try of this retry, whose rows are written again: it`,
  )
  t.equal(readFileSync(`${path}.cut-1`, 'utf8'), 'partial')
  t.equal(rowsOf(readFileSync(path, 'utf8')).length, 2)
  t.match(await place.run(again), { code: 6, err: /already exists/ })
})

void t.test('a retry knows its file from before the file is there', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) =>
      attempt === 1 ? { error: { type: 'api_error', message: 'not yet' } } : 'yes',
  })
  await place.run(['-p', '{{text}}', '--job', 'j', '--retries', '0'], { stdin: csv(2) })
  const path = place.path('again.jsonl')
  const foreign = place.path('foreign.jsonl')
  writeFileSync(foreign, 'mine')
  const again = ['retry', 'j', '-o', path]
  t.match(await place.run([...again, '--errors', foreign]), { code: 6, err: /already exists/ })
  // One that is killed at the next moment leaves it empty.
  writeFileSync(path, '')
  const last = await place.run(again)
  t.equal(last.code, 0, last.err)
  t.equal(rowsOf(readFileSync(path, 'utf8')).length, 2)
  t.equal(readFileSync(foreign, 'utf8'), 'mine')
})

void t.test('a row that repeats a record whose answer is found has it, too', async t => {
  const place = await placeFor(t)
  let isShort = true
  const url = await lyingApi(t, place.emulator.url, {
    change: (path, body) => (isShort && path.endsWith('/results') ? '' : body),
  })
  const words = ['--base-url', url, '--settle', '0s']
  const stdin = 'id,text\n0,a\n1,b\n2,a\n'
  await place.run(['-p', '{{text}}', '--job', 'j', '--dedupe', ...words], { stdin, clock })
  isShort = false
  const ran = await place.run(['retry', 'j', ...words], { clock })
  t.same(statuses(ran), ['0 succeeded 1', '1 succeeded 1', '2 succeeded 1'])
  t.match(await place.emulator.ledger.totals(), { accepted: 2 })
})
