import t from 'tap'
import { csv, placeFor } from './world.ts'

const rows = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))
const ask = ['-p', '{{text}}', '--batch-size', '2']

void t.test(
  '--order input gives rows as the input has them, in a first run and in `results`',
  async t => {
    const place = await placeFor(t, { batchTimeMs: ({ number }) => (number === 1 ? 3000 : 20) })
    const ran = await place.run([...ask, '--order', 'input', '--job', 'one'], { stdin: csv(10) })
    t.equal(ran.code, 0)
    t.same(
      ran.rows.map(row => row['id']),
      rows(10),
    )
    const again = await place.run(['results', 'one'])
    t.equal(again.out, ran.out)
  },
)

void t.test('`results --order input` puts rows in order that came as batches ended', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number === 1 ? 3000 : 20) })
  const ran = await place.run([...ask, '--job', 'one'], { stdin: csv(10) })
  t.not(ran.rows[0]?.['id'], '0')
  const again = await place.run(['results', 'one'])
  t.equal(again.out, ran.out)
  const ordered = await place.run(['results', 'one', '--order', 'input'])
  t.same(
    ordered.rows.map(row => row['id']),
    rows(10),
  )
})

void t.test('an order that does not exist is named, and nothing is sent', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ask, '--order', 'random'], { stdin: csv(1) })
  t.equal(ran.code, 2)
  t.match(ran.err, /--order must be one of completion, input, got "random"/)
  t.same(place.emulator.ledger.batches(), [])
})
