// A run that does not wait to the end: it leaves its batches to the API and says how to continue.
import { appendFileSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { csv, nextWords, placeFor, rowsOf, run } from './world.ts'

const HOUR = 3_600_000
const NO_BATCHES = JSON.stringify({ data: [], has_more: false, first_id: null, last_id: null })
const ASK = ['-p', 'Say {{text}}', '--job', 'j', '--batch-size', '2', '-c', '2']

void t.test(
  'one step per invocation: --max-wait 0s collects, submits what fits and exits 11',
  async t => {
    let turned = 0
    const clock = { now: (): number => Date.now() + turned }
    const place = await placeFor(t, { batchTimeMs: HOUR, clock })
    const first = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(6) })
    t.equal(first.code, 11, first.err)
    t.equal(first.out, '')
    t.match(first.err, /^2 batches in flight; the API continues with them$/m)
    t.match(first.err, /j: 0 rows, of 6 records|j: 0 rows/)
    t.same(nextWords(first).slice(0, 2), ['resume', 'j'])
    t.equal(place.emulator.ledger.batches().length, 2, 'no more than fit')

    const idle = await place.run(['resume', 'j', '--max-wait', '0s'])
    t.equal(idle.code, 11, idle.err)
    t.equal(place.emulator.ledger.batches().length, 2, 'the job remembers its -c')

    turned += 2 * HOUR
    const second = await place.run(['resume', 'j', '--max-wait', '0s', '-c', '2'])
    t.equal(second.code, 11, second.err)
    t.equal(second.rows.length, 4, 'what has ended is written')
    t.match(second.err, /^1 batch in flight/m)
    t.equal(place.emulator.ledger.batches().length, 3, 'the rest fits now')

    turned += 2 * HOUR
    const last = await place.run(['resume', 'j', '--max-wait', '0s'])
    t.equal(last.code, 0, last.err)
    t.equal(last.rows.length, 6)
    t.match(await place.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
  },
)

void t.test('--max-wait does not shorten a run that finishes in time', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--max-wait', '1h'], { stdin: csv(5) })
  t.equal(ran.code, 0, ran.err)
  t.equal(ran.rows.length, 5)
})

void t.test('a create without a reply is not searched for while the API fails', async t => {
  const lost = { on: 'create', nth: 1, when: 'after', reset: true } as const
  const place = await placeFor(t, { faults: [lost, { on: 'list', status: 503 }] })
  const ran = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(2) })
  t.match(ran, { code: 11, out: '', err: /^1 batch in flight/m })
  t.equal(place.emulator.ledger.batches().length, 1)
})

void t.test('nor does it wait for a batch that may be the one and still runs', async t => {
  let turned = 0
  let isHidden = false
  const clock = { now: (): number => Date.now() + turned }
  const place = await placeFor(t, {
    batchTimeMs: HOUR,
    clock,
    faults: ({ op }) => {
      if (op === 'create' && place.emulator.ledger.batches().length === 0)
        return { when: 'after', reset: true }
      if (isHidden && op === 'list') return { body: NO_BATCHES }
      return isHidden && op === 'retrieve' ? { status: 404 } : undefined
    },
  })
  const none = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(6) })
  t.match(none, { code: 11, out: '' })
  const step = ['resume', 'j', '--max-wait', '0s']
  for (isHidden of [false, true])
    t.match(await place.run(step), { code: 11, out: '', err: /^1 batch in flight/m })
  isHidden = false
  t.equal(place.emulator.ledger.batches().length, 1)
  let last = none
  for (let steps = 0; steps < 5 && last.code === 11; steps++) {
    turned += 2 * HOUR
    last = await place.run(step)
  }
  t.equal(last.code, 0, last.err)
  t.equal(last.rows.length, 6)
  t.match(await place.emulator.ledger.totals(), { accepted: 6, acceptedTwice: 0 })
})

void t.test('a full queue does not delay a run that is about to leave', async t => {
  const place = await placeFor(t, { batchTimeMs: HOUR, queueLimit: 4 })
  const ran = await place.run([...ASK.slice(0, -2), '-c', 'auto', '--max-wait', '0s'], {
    stdin: csv(6),
  })
  t.equal(ran.code, 11, ran.err)
  t.match(ran.err, /^2 batches in flight/m)
})

void t.test('nor does a queue that others fill', async t => {
  const place = await placeFor(t, { batchTimeMs: HOUR, queueLimit: 4 })
  const other = ['-p', 'Say {{text}}', '--job', 'other', '--detach']
  await place.run(other, { stdin: csv(4) })
  const ran = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(6) })
  t.equal(ran.code, 11, ran.err)
  t.match(ran.err, /^no batch is in flight, and the API takes none for now$/m)
})

void t.test('nor does an API that fails: the next step continues', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const later = { 'retry-after': '3600' }
  const place = await placeFor(t, {
    batchTimeMs: HOUR,
    clock,
    faults: [
      { on: 'create', nth: [1, 3], when: 'early', bytes: 10, status: 529, headers: later },
      { on: 'results', times: 1, status: 503, headers: later },
    ],
  })
  const step = ['resume', 'j', '--max-wait', '0s']
  const none = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(4) })
  t.equal(none.code, 11, none.err)
  t.match(none.err, /^no batch is in flight, and the API takes none for now$/m)
  const one = await place.run(step)
  t.equal(one.code, 11, one.err)
  t.match(one.err, /^1 batch in flight/m)
  const both = await place.run(step)
  t.equal(both.code, 11, both.err)
  t.match(both.err, /^2 batches in flight/m)

  turned += 2 * HOUR
  const failed = await place.run(step)
  t.equal(failed.code, 11, failed.err)
  t.match(failed.err, /^the results of 1 batch cannot be fetched for now$/m)
  t.equal(failed.rows.length, 2)
  const last = await place.run(step)
  t.equal(last.code, 0, last.err)
  t.equal(last.rows.length, 4)
  t.match(await place.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

void t.test(
  'a command that takes the base URL from its job says where it sends the key',
  async t => {
    const place = await placeFor(t, { batchTimeMs: HOUR })
    t.equal((await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(2) })).code, 11)
    const words = ['--state-dir', place.state, '--max-wait', '0s']
    const { code, err } = await run(['resume', 'j', ...words], { env: { ANTHROPIC_API_KEY: 'x' } })
    t.equal(code, 11)
    t.match(err, `requests go to ${new URL(place.emulator.url).origin}, the base URL of the job`)
  },
)

void t.test('a result set that fails keeps no other at the API', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const place = await placeFor(t, {
    batchTimeMs: HOUR,
    clock,
    faults: ({ op, batch }) =>
      op === 'results' && (batch === 2 || batch === 8)
        ? { status: 503, headers: { 'retry-after': '3600' } }
        : undefined,
  })
  for (const order of ['any', 'input']) {
    const job = ['--job', order, ...(order === 'input' ? ['--order', order] : [])]
    const ask = ['-p', `Say ${order} {{text}}`, ...job, '--batch-size', '1', '--max-wait', '0s']
    const first = await place.run(ask, { stdin: csv(6) })
    t.equal(first.code, 11, first.err)
    turned += 2 * HOUR
    const step = await place.run(['resume', order, '--max-wait', '0s'])
    t.match(step, { code: 11, err: /^the results of 1 batch cannot be fetched for now$/m })
    t.equal(step.rows.length, order === 'any' ? 5 : 1)
  }
})

void t.test('nor do many sets that all fail', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const failing = { status: 503, headers: { 'retry-after': '3600' } }
  const place = await placeFor(t, {
    batchTimeMs: HOUR,
    clock,
    faults: [{ on: 'results', ...failing }],
  })
  const ask = [
    '-p',
    'Say {{text}}',
    '--job',
    'j',
    '--batch-size',
    '1',
    '-c',
    '20',
    '--max-wait',
    '0s',
  ]
  t.equal((await place.run(ask, { stdin: csv(12) })).code, 11)
  turned += 2 * HOUR
  const step = await place.run(['resume', 'j', '--max-wait', '0s'])
  t.match(step, { code: 11, err: /^the results of 12 batches cannot be fetched for now$/m })
})

void t.test('nor do polls that fail', async t => {
  let status: number | undefined
  const place = await placeFor(t, {
    batchTimeMs: HOUR,
    faults: ({ op }) =>
      status !== undefined && (op === 'list' || op === 'retrieve')
        ? { status, headers: { 'retry-after': '3600' } }
        : undefined,
  })
  t.equal((await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(4) })).code, 11)
  for (status of [429, 500]) {
    const step = await place.run(['resume', 'j', '--max-wait', '0s'])
    t.match(step, { code: 11, err: /^2 batches in flight/m })
  }
})

void t.test('--max-wait leaves an endless input as well', async t => {
  const place = await placeFor(t, { batchTimeMs: HOUR })
  const { PassThrough } = await import('node:stream')
  const stdin = new PassThrough()
  stdin.write(csv(2))
  const ran = await place.run([...ASK, '--batch-wait', '20ms', '--max-wait', '100ms'], { stdin })
  t.equal(ran.code, 11, ran.err)
  t.match(ran.err, /^1 batch in flight/m)
})

void t.test('nor does a set that cannot be fetched keep an endless run', async t => {
  const { PassThrough } = await import('node:stream')
  for (const order of [[], ['--order', 'input']]) {
    const place = await placeFor(t, {
      faults: [{ on: 'results', batch: 1, status: 403, body: '<html>blocked</html>' }],
    })
    const stdin = new PassThrough()
    stdin.write(csv(4))
    const ran = await place.run([...ASK, ...order, '--batch-wait', '20ms'], { stdin })
    t.equal(ran.code, 5, ran.err)
    t.equal(ran.rows.length, order.length === 0 ? 2 : 0)
  }
})

void t.test('a run that stops for another reason exits with that reason', async t => {
  const place = await placeFor(t, {
    batchTimeMs: HOUR,
    faults: [{ on: 'create', nth: 2, times: 9, status: 403 }],
  })
  const ran = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(6) })
  t.equal(ran.code, 5, ran.err)
})

void t.test(
  '--max-wait is refused for runs that never wait or that delete their batches',
  async t => {
    const place = await placeFor(t)
    for (const flag of ['--emulate', '--detach'])
      t.match(await place.run(['-p', 'x', '--max-wait', '0s', flag], { stdin: csv(1) }), {
        code: 2,
        err: /--max-wait cannot be combined with/,
      })
  },
)

void t.test('bytes of an unknown program in the output are kept, with a warning', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const place = await placeFor(t, { batchTimeMs: HOUR, clock })
  const out = place.path('out.jsonl')
  const step = ['--max-wait', '0s', '-o', out]
  await place.run([...ASK, ...step], { stdin: csv(6) })
  turned += 2 * HOUR
  t.equal((await place.run(['resume', 'j', ...step])).code, 11)
  appendFileSync(out, 'MY OWN NOTES\n')
  rmSync(join(place.state, 'jobs/j/output.end'))
  turned += 2 * HOUR
  const last = await place.run(['resume', 'j', ...step])
  t.equal(last.code, 0, last.err)
  t.match(
    last.err,
    `${out} had 13 bytes after the last committed row, and it is unknown which program wrote them: they are now in ${out}.cut-1.`,
  )
  t.equal(readFileSync(`${out}.cut-1`, 'utf8'), 'MY OWN NOTES\n')
  t.equal(rowsOf(readFileSync(out, 'utf8')).length, 6)
})
