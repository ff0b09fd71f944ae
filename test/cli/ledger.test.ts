// What is said to be spent, held against an independent sum over what the API billed.
import t from 'tap'
import { csv, placeFor, type Place, type Row } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--job', 'j', '--retries', '0']

/** Dollars of rows by their usages, at the batch prices of the default model. */
function costOf(rows: readonly Row[]): number {
  // Micro-dollars in hundredths are whole numbers here, so nothing is rounded.
  const sum = rows.reduce((all, { _batch }) => {
    const tokens = (name: string): number => Number(_batch?.usage?.[name] ?? 0)
    return all + tokens('input_tokens') * 5 + tokens('output_tokens') * 25
  }, 0)
  return sum / 1e8
}

async function statusOf(place: Place) {
  return JSON.parse((await place.run(['status', 'j', '--json'])).out)
}

t.test('answers of a canceled batch are counted, and nothing else of it', async t => {
  const place = await placeFor(t, { batchTimeMs: 3_600_000 })
  await place.run([...ASK, '--detach', '--batch-size', '10'], { stdin: csv(30) })
  await place.run(['cancel', 'j', '-y'])
  const ran = await place.run(['resume', 'j'])
  t.equal(ran.code, 3)
  const billed = (await place.emulator.ledger.totals()).billed
  const answered = ran.rows.filter(row => row._batch?.status === 'succeeded')
  t.equal(answered.length, billed)
  t.ok(billed > 0 && billed < 30)
  const shown = await statusOf(place)
  t.equal(shown.spent_usd, costOf(answered))
  t.match(ran.err, /^job j: spent \$/m)
})

t.test('a partly expired batch is counted as far as it was answered', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', nth: 1, expire: [0, 1, 2] }] })
  const ran = await place.run([...ASK, '--batch-size', '10'], { stdin: csv(15) })
  t.equal(ran.rows.filter(row => row._batch?.status === 'expired').length, 3)
  t.equal((await place.emulator.ledger.totals()).billed, 12)
  const before = await statusOf(place)
  t.equal(before.spent_usd, costOf(ran.rows))
  const again = await place.run(['retry', 'j'])
  t.equal(again.rows.length, 3)
  t.equal(
    (await statusOf(place)).spent_usd,
    costOf([...ran.rows, ...again.rows]),
    'every try counts',
  )
})

t.test('the worst case of a lost batch stays reserved below a cap', async t => {
  const place = await placeFor(t, {
    faults: [{ on: ['retrieve', 'results'], times: 9999, status: 404 }],
  })
  const words = [...ASK, '--batch-size', '5', '-c', '1', '-t', '100', '--max-cost', '0.0004']
  const ran = await place.run(words, { stdin: csv(30) })
  t.equal(ran.code, 4)
  const shown = await statusOf(place)
  t.equal(shown.rows.unanswered > 0, true)
  t.equal(shown.spent_usd, 0)
  t.ok(shown.reserved_usd > 0 && shown.reserved_usd <= 0.0004)
})
