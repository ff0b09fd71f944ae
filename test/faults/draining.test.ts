// What a run collects after submission has stopped.
import { readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import t from 'tap'
import type { FaultRule } from '../../lib/emulator/index.ts'
import { csv, journaled, placeFor, rowsOf, type Ran } from '../cli/world.ts'
import { until } from '../support/waiting.ts'

const ASK = ['--job', 'j', '-p', 'Say {{text}}', '--batch-size', '4']

const CREDIT = {
  status: 400,
  error: { type: 'invalid_request_error', message: 'Your credit balance is too low' },
}

const REFUSALS: readonly (readonly [string, number, Omit<FaultRule, 'on'>])[] = [
  ['a 403', 5, { status: 403 }],
  ['a credit balance that is too low', 5, CREDIT],
  ['a spend limit', 5, { status: 429, error: { error_code: 'enforced_spend_limit_reached' } }],
]

function answered(ran: Ran, text: string): number {
  t.notMatch(ran.err, /this is a bug/)
  return rowsOf(text).filter(({ _batch }) => _batch?.status === 'succeeded').length
}

for (const [name, code, fault] of REFUSALS) {
  for (const output of ['a file', 'stdout']) {
    t.test(`R01: after ${name}, rows of earlier batches are written to ${output}`, async t => {
      const place = await placeFor(t, {
        faults: [{ on: 'create', nth: [2, 3, 4, 5, 6, 7, 8], ...fault }],
      })
      const out = place.path('out.jsonl')
      const words = output === 'a file' ? [...ASK, '-o', out] : ASK
      const textOf = (ran: Ran): string =>
        output === 'a file' ? readFileSync(out, 'utf8') : ran.out
      const ran = await place.run(words, { stdin: csv(12) })
      t.equal(ran.code, code)
      t.equal(answered(ran, textOf(ran)), 4)
      t.match(ran.err, /^job j: 4 rows: 4 succeeded.*, of 12 records$/m)
      const again = await place.again(ran)
      t.equal(again.code, code, 'the next run stops for the same reason')
      t.equal(answered(again, textOf(again)), 4, 'and has the same rows')
      for (let runs = 0; runs < 9; runs++) {
        const next = await place.run(['resume', 'j'])
        if (next.code === code) continue
        t.equal(next.code, 0)
        t.equal(answered(next, textOf(next)), 12)
        break
      }
      t.match(await place.emulator.ledger.totals(), { accepted: 12, acceptedTwice: 0 })
    })
  }
}

t.test('R01: an endless input ends with the drain', async t => {
  const place = await placeFor(t, {
    batchTimeMs: 1500,
    faults: [{ on: 'create', nth: [2, 3, 4], status: 403 }],
  })
  const stdin = new PassThrough()
  const { ended, world } = place.start([...ASK, '--batch-wait', '1s'], { stdin })
  stdin.write(csv(4))
  await until(() => journaled(place, 'submitted'))
  for (let id = 4; id < 8; id++) stdin.write(`${id},text ${id}\n`)
  const ran = await ended
  t.equal(ran.code, 5)
  // The last of the first four records is complete only when the next one begins.
  t.ok(ran.rows.length >= 3, `${ran.rows.length} rows`)
  t.match(world.stderr.text, /403.*; waiting for 1 batch in flight/)
  t.match(ran.err, /to continue, with the same input again: /)
})

t.test('R01: --events reports at once that submission has stopped', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', nth: 2, status: 403 }] })
  const events = place.path('events.jsonl')
  const ran = await place.run([...ASK, '--events', events], { stdin: csv(8) })
  t.equal(ran.code, 5)
  const types = readFileSync(events, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
  t.match(
    types.find(({ type }) => type === 'stopped'),
    { code: 'CBS_ACCESS', why: /403/ },
  )
})

t.test('R01: the rows of a first batch that failed in the same way are still written', async t => {
  const place = await placeFor(t, {
    respond: () => ({ error: { type: 'invalid_request_error', message: 'no' } }),
  })
  const ran = await place.run([...ASK, '-c', '1'], { stdin: csv(400) })
  t.equal(ran.code, 4)
  t.ok(ran.rows.length >= 4 && ran.rows.length < 400, `${ran.rows.length} rows`)
  t.match(ran.err, /all 4 requests of the first batch are errored \(no\)/)
})

t.test('R01: too many invalid records stop submission, but not batches in flight', async t => {
  const place = await placeFor(t, { batchTimeMs: 300 })
  const stdin = new PassThrough()
  const words = ['--job', 'j', '-p', 'Say {{text}}', '--batch-size', '2', '--max-invalid', '1']
  const { ended } = place.start([...words, '--from', 'jsonl'], { stdin })
  for (let n = 0; n < 24; n++) stdin.write(`{"text":"${n}"}\n`)
  await until(() => journaled(place, 'submitted'))
  for (let n = 0; n < 3; n++) stdin.write('{"other":1}\n')
  stdin.end()
  const ran = await ended
  t.equal(ran.code, 4)
  t.ok(ran.rows.length >= 2, `${ran.rows.length} rows`)
})

t.test('R01: batches of a pipe that broke off are collected without the pipe', async t => {
  const place = await placeFor(t, { batchTimeMs: 200 })
  const stdin = new PassThrough()
  const { ended, world } = place.start(ASK, { stdin })
  stdin.write(csv(30))
  await until(() => journaled(place, 'submitted'))
  world.emit('SIGTERM', 'SIGTERM')
  t.equal((await ended).code, 143)
  const ran = await place.run(['resume', 'j'])
  t.equal(ran.code, 6)
  t.ok(ran.rows.length >= 4 && ran.rows.length < 30, `${ran.rows.length} rows`)
  t.match(ran.err, /run the same command with the same input again to continue/)
  const whole = await place.run(ASK, { stdin: csv(30) })
  t.equal(whole.code, 0)
  t.equal(whole.rows.length, 30)
  t.match(await place.emulator.ledger.totals(), { accepted: 30, acceptedTwice: 0 })
})
