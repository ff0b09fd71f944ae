import t from 'tap'
import { csv, nextWords, placeFor } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--batch-size', '20', '--job', 'j', '--canary', '3']
const FAILING = {
  respond: () => ({ error: { type: 'invalid_request_error', message: 'no such' } }),
}

t.test('the first records are sent as a batch of their own', async t => {
  const place = await placeFor(t)
  const ran = await place.run(ASK, { stdin: csv(40) })
  t.equal(ran.code, 0)
  t.equal(ran.rows.length, 40)
  t.equal(place.emulator.ledger.batches()[0]?.requests, 3)
})

t.test('a failed canary ends the run, and continuing takes a decision', async t => {
  const place = await placeFor(t, FAILING)
  const ran = await place.run(ASK, { stdin: csv(40) })
  t.equal(ran.code, 4)
  t.equal(ran.rows.length, 3, 'what it was told is in the output')
  t.match(ran.err, /^canary: none of the first 3 records was answered \(errored: no such\)$/m)
  t.match(ran.err, /the canary failed, so nothing more is sent; to send the rest anyway, resume$/m)
  t.match(nextWords(ran).slice(0, 2), ['resume', 'j'])
  t.match(await place.emulator.ledger.totals(), { accepted: 3 })
  const rest = await place.again(ran)
  t.equal(rest.code, 3)
  t.equal(rest.rows.length, 40)
  t.match(await place.emulator.ledger.totals(), { accepted: 40, acceptedTwice: 0 })
})

t.test('an input that fits into the canary has nothing to hold back', async t => {
  const place = await placeFor(t, FAILING)
  const ran = await place.run(ASK, { stdin: csv(3) })
  t.equal(ran.code, 3)
})

t.test('with --detach the canary is sent; resume waits for it and sends the rest', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--detach'], { stdin: csv(40) })
  t.equal(ran.code, 0)
  t.match(ran.err, 'the rest waits for the canary: `resume` sends it')
  t.match(await place.emulator.ledger.totals(), { accepted: 3 })
  const rest = await place.run(['resume', 'j'])
  t.equal(rest.code, 0)
  t.equal(rest.rows.length, 40)
  t.match(await place.emulator.ledger.totals(), { accepted: 40, acceptedTwice: 0 })
})

t.test('--max-wait does not wait for a canary in flight', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  const ran = await place.run([...ASK, '--max-wait', '0s'], { stdin: csv(40) })
  t.match(ran, { code: 11, err: /1 batch in flight/ })
  t.match(await place.emulator.ledger.totals(), { accepted: 3 })
})

t.test('--canary works with a spending cap', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--max-cost', '1'], { stdin: csv(40) })
  t.equal(ran.rows.length, 40)
  const none = await place.run([...ASK, '--canary', '0'], { stdin: csv(1) })
  t.equal(none.code, 2)
  t.match(none.err, /--canary must be a whole number of at least 1/)
})

t.test('a canary that does not fit below the cap ends the run', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--max-cost', '0.00001'], { stdin: csv(40) })
  t.match(ran, { code: 4, err: /--max-cost \$0\.0000100 is reached/ })
  t.match(await place.emulator.ledger.totals(), { accepted: 0 })
  const rest = await place.run([...nextWords(ran), '--max-cost', '1'], { env: place.env })
  t.same([rest.code, rest.rows.length], [0, 40])
})

t.test('an answer that violates the schema does not count as a success', async t => {
  const schema = JSON.stringify({ type: 'object', required: ['mood'] })
  const place = await placeFor(t, { respond: () => '{}' }, { 'schema.json': schema })
  const words = [...ASK, '--schema', place.path('schema.json')]
  const ran = await place.run(words, { stdin: csv(40) })
  t.equal(ran.code, 4)
  t.match(ran.err, /none of the first 3 records was answered \(invalid: /)
})

for (const check of ['canary', 'first batch'])
  for (const shape of ['stdout', '-o'])
    t.test(`the same command after a ${check} that failed decides nothing (${shape})`, async t => {
      const place = await placeFor(t, FAILING)
      const words = check === 'canary' ? ASK : ASK.slice(0, -2)
      const out = shape === '-o' ? ['-o', place.path('out.jsonl')] : []
      const own = [...words, '-c', '1', ...out]
      const ran = await place.run(own, { stdin: csv(200) })
      t.equal(ran.code, 4)
      const { accepted } = await place.emulator.ledger.totals()
      t.ok(accepted < 200, `${accepted}`)
      const again = await place.run(own, { stdin: csv(200) })
      t.equal(again.code, 4, again.err)
      t.match(nextWords(again).slice(0, 2), ['resume', 'j'])
      t.match(await place.emulator.ledger.totals(), { accepted })
      t.equal((await place.again(again)).code, 3)
      t.match(await place.emulator.ledger.totals(), { accepted: 200, acceptedTwice: 0 })
    })
