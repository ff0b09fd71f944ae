import { readFileSync } from 'node:fs'
import t from 'tap'
import type { EmulatorOptions } from '../../lib/emulator/index.ts'
import { csv, placeFor, rowsOf, until, type Place, type Row } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--retry-incomplete', '--job', 'j']

/** Answers of so many tokens to the records 0, 1, 2 and 3. */
const LENGTHS = [2, 12, 30, 200]
const ANSWERS: EmulatorOptions = {
  respond: ({ messages, max_tokens }) => {
    const [, which] = /text (\d)/.exec(JSON.stringify(messages)) ?? []
    const tokens = LENGTHS[Number(which)] ?? 1
    const text = 'word'.repeat(Math.min(tokens, max_tokens))
    return {
      content: [{ type: 'text', text, citations: null }],
      stop_reason: tokens > max_tokens ? 'max_tokens' : 'end_turn',
    }
  },
}

const short = (rows: readonly Row[]): unknown[] =>
  rows
    .map(({ id, _batch }) => [id, _batch?.status, _batch?.attempt])
    .sort((a, b) => String(a[0]).localeCompare(String(b[0])))

const asked = async (place: Place): Promise<number> =>
  (await place.emulator.ledger.totals()).accepted

t.test('a truncated answer is retried with twice the tokens until it is complete', async t => {
  const place = await placeFor(t, ANSWERS)
  const ran = await place.run([...ASK, '-t', '10'], { stdin: csv(4) })
  t.equal(ran.code, 3)
  t.same(short(ran.rows), [
    ['0', 'succeeded', 1],
    ['1', 'succeeded', 2],
    ['2', 'succeeded', 3],
    ['3', 'incomplete', 3],
  ])
  t.equal(await asked(place), 4 + 3 + 2)
  const usage = (id: string): unknown =>
    ran.rows.find(row => row['id'] === id)?._batch?.usage?.['output_tokens']
  t.equal(usage('3'), 40, 'twice doubled')
  t.equal((await place.run(['results', 'j'])).rows.length, 4)
})

t.test('without the flag a truncated answer is a row', async t => {
  const place = await placeFor(t, ANSWERS)
  const ran = await place.run(['-p', 'Say {{text}}', '-t', '10'], { stdin: csv(4) })
  t.equal(await asked(place), 4)
  t.equal(ran.rows.filter(({ _batch }) => _batch?.status === 'incomplete').length, 3)
})

t.test('max_tokens never exceeds the limit of the model', async t => {
  const place = await placeFor(t, {
    respond: () => ({ stop_reason: 'max_tokens' }),
  })
  const ran = await place.run([...ASK, '-t', '80000', '--retries', '9'], { stdin: csv(1) })
  t.same(short(ran.rows), [['0', 'incomplete', 2]])
  t.equal(await asked(place), 2, '80,000, then the 128,000 that are the most')
})

t.test('other truncated answers and refusals are not retried', async t => {
  const place = await placeFor(t, {
    respond: ({ messages }) => ({
      stop_reason: JSON.stringify(messages).includes('text 0')
        ? 'refusal'
        : 'model_context_window_exceeded',
    }),
  })
  await place.run(ASK, { stdin: csv(2) })
  t.equal(await asked(place), 2)
})

t.test('a run that is stopped in between resumes with the doubled limit', async t => {
  const place = await placeFor(t, {
    ...ANSWERS,
    batchTimeMs: ({ number }) => (number === 2 ? 2000 : 20),
  })
  const { world, ended } = place.start([...ASK, '-t', '10'], { stdin: csv(4) })
  await until(() => place.emulator.ledger.batches().length === 2)
  await until(() => place.read('state/jobs/j/journal.jsonl').split('"submitted"').length === 3)
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  const rest = await place.run(['resume', 'j'])
  t.same(short(rest.rows), [
    ['0', 'succeeded', 1],
    ['1', 'succeeded', 2],
    ['2', 'succeeded', 3],
    ['3', 'incomplete', 3],
  ])
  t.equal(await asked(place), 9)
  t.equal((await place.run(['resume', 'j'])).out, rest.out, 'a finished job needs no API')
})

t.test(
  '`retry --retry-incomplete` sends the truncated rows of a job with twice the tokens',
  async t => {
    const place = await placeFor(t, ANSWERS)
    await place.run(['-p', 'Say {{text}}', '-t', '10', '--job', 'j'], { stdin: csv(3) })
    const again = await place.run(['retry', 'j', '--retry-incomplete'])
    t.same(short(again.rows), [
      ['1', 'succeeded', 2],
      ['2', 'incomplete', 2],
    ])
  },
)

t.test('repeats share the longer answer too', async t => {
  const place = await placeFor(t, ANSWERS)
  const stdin = 'id,text\n0,text 1\n1,text 1\n'
  const ran = await place.run([...ASK, '-t', '10', '--dedupe'], { stdin })
  t.same(short(ran.rows), [
    ['0', 'succeeded', 2],
    ['1', 'succeeded', 2],
  ])
  t.equal(await asked(place), 2)
})

t.test(
  'a model alias has the limit of its model, and a model without a limit stays unchanged',
  async t => {
    const place = await placeFor(t, ANSWERS)
    const ran = await place.run([...ASK, '-t', '10', '-m', 'claude-haiku-4-5'], { stdin: csv(2) })
    t.equal(ran.code, 0)
    const body = { data: [{ id: 'claude-haiku-5-5', max_tokens: null }], has_more: false }
    for (const model of [{ id: 'claude-haiku-5-5', max_tokens: null }]) {
      const unknown = await placeFor(t, {
        ...ANSWERS,
        faults: [
          { on: 'models', nth: 1, body: JSON.stringify(body), contentType: 'application/json' },
          { on: 'models', nth: 2, body: JSON.stringify(model), contentType: 'application/json' },
        ],
      })
      await unknown.run([...ASK, '-t', '10'], { stdin: csv(2) })
      t.equal(await asked(unknown), 2)
    }
  },
)

t.test('an API without model limits is an error before anything is sent', async t => {
  const place = await placeFor(t, { faults: [{ on: 'models', status: 404 }] })
  const ran = await place.run(ASK, { stdin: csv(2) })
  t.match(ran, { code: 2, err: /--retry-incomplete needs the maximum tokens of the model/ })
  t.equal(await asked(place), 0)
})

for (const order of [[], ['--order', 'input']])
  t.test(
    `an answer stays the row if the next attempt brings none (${order.join(' ')})`,
    async t => {
      const failed = { error: { type: 'invalid_request_error', message: 'no' } } as const
      const place = await placeFor(t, {
        respond: params =>
          /text (?:0|1)/.test(JSON.stringify(params)) && params.max_tokens > 10
            ? failed
            : {
                content: [{ type: 'text', text: 'cut', citations: null }],
                stop_reason: 'max_tokens',
              },
      })
      const words = [...ASK, '-t', '10', '--retries', '1', ...order]
      const expected = [
        ['0', 'incomplete', 1],
        ['1', 'incomplete', 1],
        ['2', 'incomplete', 2],
      ]
      const texts = (rows: readonly Row[]): unknown[] => rows.map(({ response }) => response)
      const out = place.path('out.jsonl')
      const ran = await place.run([...words, '-o', out], { stdin: csv(3) })
      t.equal(ran.code, 3, ran.err)
      const written = rowsOf(readFileSync(out, 'utf8'))
      t.same(short(written), expected)
      t.same(texts(written), ['cut', 'cut', 'cut'])
      t.match(ran.err, /3 rows: 3 incomplete;/)
      for (const flags of [order, ['--to', 'csv']]) {
        const results = await place.run(['results', 'j', ...flags])
        if (flags === order) t.same(short(results.rows), expected)
        else t.equal(results.out.match(/,cut,incomplete,/g)?.length, 3)
      }
      const retried = await place.run(['retry', 'j'])
      t.same(texts(retried.rows), ['cut', 'cut', 'cut'])
      const again = await place.run([...words, '-o', out], { stdin: csv(3) })
      t.equal(again.code, 3, again.err)
      t.same(texts(rowsOf(readFileSync(out, 'utf8'))), ['cut', 'cut', 'cut'])
      const { rows, usage } = JSON.parse((await place.run(['status', 'j', '--json'])).out)
      t.same(rows, { incomplete: 3 })
      t.equal((await place.emulator.ledger.totals()).billed, 5, JSON.stringify(usage))
    },
  )

t.test('answers of many earlier batches stay the rows', async t => {
  const failed = { error: { type: 'invalid_request_error', message: 'no' } } as const
  const place = await placeFor(t, {
    respond: params => (params.max_tokens > 10 ? failed : { stop_reason: 'max_tokens' }),
  })
  const words = [...ASK, '-t', '10', '--retries', '1', '--batch-size', '1', '-c', '8']
  const ran = await place.run(words, { stdin: csv(8) })
  t.equal(ran.rows.length, 8)
  t.ok(ran.rows.every(({ _batch }) => _batch?.status === 'incomplete' && _batch.attempt === 1))
})

t.test('a repeat without an answer in any attempt is the row of the last one', async t => {
  const place = await placeFor(t, {
    respond: () => ({ error: { type: 'api_error', message: 'not yet' } }),
  })
  const words = ['-p', 'Say {{text}}', '--job', 'j', '--retries', '1', '--dedupe']
  const ran = await place.run(words, { stdin: 'id,text\n0,same\n1,other\n2,same\n' })
  t.equal(ran.code, 3, ran.err)
  t.same(short(ran.rows), [
    ['0', 'errored', 2],
    ['1', 'errored', 2],
    ['2', 'errored', 2],
  ])
})
