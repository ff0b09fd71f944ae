// A job that is finished without sending anything more.
import t from 'tap'
import { csv, nextWords, placeFor } from './world.ts'

const HOUR = 3_600_000
const ASK = ['-p', 'Say {{text}}', '--job', 'j', '--batch-size', '2', '-c', '1', '--order', 'input']

void t.test(
  'resume --abandon collects what is in flight and rejects what was not sent',
  async t => {
    let turned = 0
    const clock = { now: (): number => Date.now() + turned }
    const place = await placeFor(t, { batchTimeMs: HOUR, clock }, { 'in.csv': csv(7) })
    const first = await place.run([...ASK, '-i', place.path('in.csv'), '--max-wait', '0s'])
    t.equal(first.code, 11, first.err)
    const early = await place.run(['resume', 'j', '--abandon', '--max-wait', '0s'])
    t.equal(early.code, 11, early.err)
    t.same(nextWords(early).slice(0, 3), ['resume', 'j', '--abandon'], 'it sends nothing either')
    turned += 2 * HOUR
    const ran = await place.run(['resume', 'j', '--abandon', '--max-invalid', '1'])
    t.equal(ran.code, 3, ran.err)
    t.same(
      ran.rows.map(({ id, _batch }) => [id, _batch?.status, _batch?.error?.type]),
      Array.from({ length: 7 }, (_, id) =>
        id < 2 ? [String(id), 'succeeded', undefined] : [String(id), 'rejected', 'abandoned'],
      ),
    )
    t.match(ran.err, /5 rejected/)
    t.equal(place.emulator.ledger.batches().length, 1, 'nothing more is sent')
    t.match(await place.run(['status', 'j']), { out: /^j {2}finished/ })
    t.same((await place.run(['results', 'j'])).rows.length, 7)
  },
)

void t.test('retries of an abandoned job are not sent either', async t => {
  const error = { type: 'api_error', message: 'no' }
  const errored = { on: 'create', nth: 1, errored: [{ index: [0], error }] } as const
  const place = await placeFor(t, { faults: [errored] })
  const ran = await place.run([...ASK, '--max-cost', '0.0000001'], { stdin: csv(3) })
  t.equal(ran.code, 4, ran.err)
  const abandoned = await place.run(['resume', 'j', '--abandon'])
  t.equal(abandoned.code, 3, abandoned.err)
  t.ok(abandoned.rows.every(({ _batch }) => _batch?.error?.type === 'abandoned'))
  t.equal(abandoned.rows.length, 3)
  t.equal(place.emulator.ledger.batches().length, 0)
})
