import t from 'tap'
import { placeFor } from './world.ts'

const schema = JSON.stringify({
  type: 'object',
  properties: { mood: { enum: ['good', 'bad'] }, score: { type: 'integer' } },
  required: ['mood', 'score'],
})
const stdin = '{"text":"a"}\n{"text":"b"}\n'

void t.test(
  '--schema: responses are JSON that matches it, and a table has a column for each property',
  async t => {
    const place = await placeFor(t, {}, { 'mood.json': schema })
    const words = ['-p', '{{text}}', '--schema', place.path('mood.json')]
    const ran = await place.run(words, { stdin })
    t.equal(ran.code, 0)
    for (const { response } of ran.rows) t.match(response, { mood: /good|bad/, score: Number })
    const table = await place.run([...words, '--to', 'csv'], { stdin })
    t.match(table.out, /^text,mood,score,status,error\na,(good|bad),-?\d+,succeeded,\n/)
  },
)

void t.test(
  'an answer that violates the schema is an invalid row that keeps its text, also in status, results and resume (O04)',
  async t => {
    const respond = (): string => '{"mood":"so so","score":1}'
    const place = await placeFor(t, { respond }, { 'mood.json': schema })
    const words = ['-p', '{{text}}', '--schema', place.path('mood.json'), '--job', 'one']
    const ran = await place.run(words, { stdin })
    t.equal(ran.code, 3)
    t.match(ran.rows, [
      { response: null, _batch: { status: 'invalid', text: respond() } },
      { response: null, _batch: { status: 'invalid', text: respond() } },
    ])
    t.equal((await place.run(['results', 'one'])).out, ran.out)
    t.equal((await place.run(['resume', 'one'])).out, ran.out)
    t.match(JSON.parse((await place.run(['status', 'one', '--json'])).out).rows, { invalid: 2 })
  },
)

void t.test('an unusable schema is named in the error, and nothing is sent', async t => {
  const files = {
    'no.json': '{',
    'list.json': '[]',
    'wrong.json': '{"type":"x"}',
    'open.json': '{}',
  }
  const place = await placeFor(t, {}, files)
  for (const [name, code] of [
    ...Object.keys(files).map(name => [name, 2] as const),
    ['gone.json', 6] as const,
  ]) {
    const ran = await place.run(['-p', 'x', '--schema', place.path(name)], { stdin })
    t.equal(ran.code, code, name)
    t.match(ran.err, /schema/)
  }
  t.same(place.emulator.ledger.batches(), [])
})

void t.test(
  'an answer nested thousands of levels deep spoils only its own row, in every format and command',
  async t => {
    const list = JSON.stringify({ type: 'array' })
    const deep = '['.repeat(4500) + ']'.repeat(4500)
    const respond = (params: object): string =>
      JSON.stringify(params).includes('deep') ? deep : '[1]'
    const place = await placeFor(t, { respond }, { 'list.json': list })
    const input = { stdin: '{"text":"deep"}\n{"text":"flat"}\n' }
    const words = ['-p', '{{text}}', '--schema', place.path('list.json')]
    const ran = await place.run([...words, '--job', 'one'], input)
    t.equal(ran.code, 3, ran.err)
    t.match(ran.rows, [
      {
        response: null,
        _batch: {
          status: 'invalid',
          error: { message: /nests deeper than 999 levels/ },
          text: deep,
        },
      },
      { response: [1], _batch: { status: 'succeeded' } },
    ])
    t.equal((await place.run(['resume', 'one'])).out, ran.out)
    const text = await place.run([...words, '--to', 'text', '--job', 'two'], input)
    t.equal(text.code, 3, text.err)
    t.equal(text.out, '\n[1]\n')
    const table = await place.run([...words, '--to', 'csv', '--job', 'three'], input)
    t.equal(table.code, 3, table.err)
    t.match(table.out, /deep,,invalid,.*nests deeper.*\nflat,\[1\],succeeded,/)
    for (const command of ['report', 'results', 'status'])
      t.ok([0, 3].includes((await place.run([command, 'one'])).code), command)
    t.equal((await place.run(['retry', 'one'])).code, 3)
  },
)

void t.test('a schema with a pattern checks the same in a run, status and report', async t => {
  const slow = '{"type":"object","properties":{"mood":{"type":"string","pattern":"^g"}}}'
  const respond = (): string => '{"mood":"bad"}'
  const place = await placeFor(t, { respond }, { 'mood.json': slow })
  const words = ['-p', 'Say', '--schema', place.path('mood.json'), '--job', 'one', '--dedupe']
  t.match(await place.run(words, { stdin }), { code: 3, err: /2 rows: 2 invalid/ })
  t.match(JSON.parse((await place.run(['status', 'one', '--json'])).out).rows, { invalid: 2 })
  const report = await place.run(['report', 'one', '-o', place.path('report.html')])
  t.equal(report.code, 0)
  t.match(place.read('report.html'), /must match pattern/)
})
