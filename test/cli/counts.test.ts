import t from 'tap'
import { csv, placeFor } from './world.ts'

t.test('a full batch is one batch, and one more record makes two (I20)', async t => {
  for (const [records, requests] of [
    [1, [1]],
    [5, [5]],
    [6, [5, 1]],
  ] as const) {
    const place = await placeFor(t)
    const ran = await place.run(['-p', 'Say {{text}}', '--batch-size', '5'], {
      stdin: csv(records),
    })
    t.equal(ran.code, 0)
    t.equal(ran.rows.length, records)
    t.same(
      place.emulator.ledger.batches().map(batch => batch.requests),
      requests,
    )
  }
})

t.test(
  'twenty invalid records at the start stop the run before it spends anything (I23)',
  async t => {
    const place = await placeFor(t)
    const bad = Array.from({ length: 20 }, (_, n) => `{bad ${n}\n`).join('')
    const words = ['-p', 'Say {{n}}', '--from', 'jsonl']
    const ran = await place.run(words, { stdin: `${bad}{"n":1}\n` })
    t.match(ran, { code: 6, err: /the first 20 records are all invalid, so nothing was sent/ })
    t.same(place.emulator.ledger.batches(), [])
    const one = await place.run(words, { stdin: `{"n":1}\n${bad}` })
    t.equal(one.code, 3)
    t.equal(one.rows.length, 21)
  },
)
