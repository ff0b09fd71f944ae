import t from 'tap'
import { lastUserText, type EmulatorOptions } from '../../lib/emulator/index.ts'
import { csv, placeFor, rowsOf, type Ran } from './world.ts'

const rows = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))
const ask = ['-p', '{{text}}', '--batch-size', '2']

void t.test(
  '--order input writes rows in input order, in a first run and in `results`',
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

void t.test('`results --order input` sorts rows that arrived as batches ended', async t => {
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

/** Server errors on the first tries of some records; the others are answered. */
const failing = (tries: Readonly<Record<string, number>>): EmulatorOptions => ({
  batchTimeMs: ({ number }) => (number === 1 ? 500 : 20),
  respond: (params, { attempt }) => {
    const most = tries[lastUserText(params).replace('text ', '')] ?? 0
    if (attempt > most) return undefined
    return { error: { type: 'api_error', message: 'it broke' } }
  },
})

const ids = ({ rows }: Pick<Ran, 'rows'>): unknown[] => rows.map(row => row['id'])

const attempts = ({ rows }: Pick<Ran, 'rows'>): unknown =>
  Object.fromEntries(
    rows.filter(row => row._batch?.attempt !== 1).map(row => [row['id'], row._batch?.attempt]),
  )

for (const to of ['stdout', 'a file']) {
  void t.test(`R09: --order input includes retried rows: to ${to}`, async t => {
    const place = await placeFor(t, failing({ 1: 1, 4: 2, 9: 1 }))
    const out = to === 'stdout' ? [] : ['-o', place.path('out.jsonl')]
    const ran = await place.run([...ask, '--order', 'input', '--job', 'one', ...out], {
      stdin: csv(12),
    })
    t.equal(ran.code, 0)
    const rowsThere = to === 'stdout' ? ran : { rows: rowsOf(place.read('out.jsonl')) }
    t.same(ids(rowsThere), rows(12))
    t.same(attempts(rowsThere), { 1: 2, 4: 3, 9: 2 })
    const again = await place.run(['results', 'one'])
    t.same(again.rows, rowsThere.rows)
    const resumed = await place.run(['resume', 'one', ...out])
    t.equal(resumed.code, 0)
    if (to !== 'stdout') t.same(rowsOf(place.read('out.jsonl')), rowsThere.rows)
    t.match(await place.emulator.ledger.totals(), { accepted: 12 + 3 + 1 })
  })
}

void t.test('R09: `results --order input` after `retry` gives rows in input order', async t => {
  const place = await placeFor(t, failing({ 1: 2, 6: 2, 3: 3 }))
  const command = [...ask, '--retries', '1', '--order', 'input', '--job', 'one']
  const ran = await place.run(command, { stdin: csv(10) })
  t.same(ids(ran), rows(10))
  const retried = await place.run(['retry', 'one'])
  t.same(ids(retried), ['1', '3', '6'], 'only the new rows, in input order')
  const again = await place.run(['results', 'one'])
  t.same(ids(again), rows(10))
  t.same(attempts(again), { 1: 3, 3: 3, 6: 3 })
  t.equal(again.rows.filter(row => row._batch?.status === 'errored').length, 1)
  const last = await place.run(['retry', 'one'])
  t.same(ids(last), ['3'])
  const answered = await place.run(['results', 'one'])
  t.same([answered.code, ids(answered)], [0, rows(10)])
  const unordered = await place.run(['results', 'one', '--order', 'completion'])
  t.same(ids(unordered).slice(-3), ['1', '6', '3'])
})

void t.test('R09: delayed rows are checked against the schema like others', async t => {
  const schema = JSON.stringify({
    ...{ type: 'object', additionalProperties: false, required: ['mood'] },
    properties: { mood: { type: 'string' } },
  })
  const options: EmulatorOptions = {
    respond: (params, { attempt }) =>
      attempt === 1 && lastUserText(params) === 'text 1'
        ? { error: { type: 'api_error', message: 'it broke' } }
        : { content: [{ type: 'text', text: '{"mood":"good"}', citations: null }] },
  }
  const place = await placeFor(t, options, { 'mood.json': schema })
  const words = [...ask, '--schema', place.path('mood.json'), '--order', 'input', '--job', 'one']
  const ran = await place.run(words, { stdin: csv(4) })
  t.same(ids(ran), rows(4))
  t.same(
    ran.rows.map(({ response }) => response),
    rows(4).map(() => ({ mood: 'good' })),
  )
  t.equal((await place.run(['results', 'one'])).out, ran.out)
})

void t.test('a file with rows in another order is not continued in input order', async t => {
  const place = await placeFor(t)
  const words = ['-p', 'Say {{text}}', '-o', place.path('rows.jsonl')]
  const stdin = csv(3)
  const inOrder = ['--order', 'input']
  t.equal((await place.run(words, { stdin })).code, 0)
  t.match(await place.run([...words, ...inOrder], { stdin }), {
    code: 2,
    err: /holds rows already, and not in the order of the input: name another file/,
  })
  const other = [...words.slice(0, -1), place.path('other.jsonl')]
  t.equal((await place.run([...other, ...inOrder], { stdin })).code, 0)
  t.equal(
    (await place.run(other, { stdin })).code,
    0,
    'the order of the input is one of completion',
  )
})

void t.test('an unknown order is named in the error, and nothing is sent', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ask, '--order', 'random'], { stdin: csv(1) })
  t.equal(ran.code, 2)
  t.match(ran.err, /--order must be one of completion, input, got "random"/)
  t.same(place.emulator.ledger.batches(), [])
})
