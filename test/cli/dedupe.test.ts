import { readdirSync } from 'node:fs'
import t from 'tap'
import type { EmulatorOptions } from '../../lib/emulator/index.ts'
import { nextWords, placeFor, rowsOf, type Row } from './world.ts'

const ASK = ['-p', 'Say {{text}}', '--dedupe', '--job', 'j']

const csvOf = (texts: string): string =>
  `id,text\n${[...texts].map((text, id) => `${id},${text}\n`).join('')}`

const short = (rows: readonly Row[]): unknown[] =>
  rows.map(({ id, text, _batch }) => [id, text, _batch?.status, _batch?.repeat ?? false])

const ECHO: EmulatorOptions = {
  respond: params =>
    `to ${JSON.stringify((params['messages'] as { content: string }[])[0]?.content)}`,
}

t.test('identical requests are sent once, and every record gets the answer', async t => {
  const place = await placeFor(t, ECHO)
  const ran = await place.run([...ASK, '--batch-size', '2'], { stdin: csvOf('abacba') })
  t.equal(ran.code, 0)
  t.same(short(ran.rows), [
    ['0', 'a', 'succeeded', false],
    ['1', 'b', 'succeeded', false],
    ['2', 'a', 'succeeded', true],
    ['3', 'c', 'succeeded', false],
    ['4', 'b', 'succeeded', true],
    ['5', 'a', 'succeeded', true],
  ])
  for (const { text, response } of ran.rows) t.equal(response, `to "Say ${text}"`)
  t.match(await place.emulator.ledger.totals(), { accepted: 3, billed: 3 })
  t.match(ran.err, /6 rows: 6 succeeded; 3 repeat another and cost nothing/)
  const [first, , repeat] = ran.rows
  t.equal(repeat?._batch?.custom_id, first?._batch?.custom_id)
  t.equal(repeat?._batch?.batch_id, first?._batch?.batch_id)
  t.ok(first?._batch?.usage)
  t.equal(repeat?._batch?.usage, undefined, 'the usage of all rows is what was billed')
  t.equal((await place.run(['results', 'j'])).out, ran.out)
  const status = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.same(status.rows, { succeeded: 6 })
  t.notOk(readdirSync(`${place.state}/jobs/j/batches`).some(name => name.startsWith('seen')))
})

t.test('rows wait for the batch that sent the request first, whichever ends first', async t => {
  const place = await placeFor(t, { batchTimeMs: ({ number }) => (number === 1 ? 1000 : 20) })
  const ran = await place.run([...ASK, '--batch-size', '2'], { stdin: csvOf('abcadbcd') })
  t.equal(ran.code, 0)
  t.same(
    ran.rows.map(({ id }) => id),
    [...'01234567'],
  )
})

t.test('a batch that holds only repeats sends nothing', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--batch-size', '1'], { stdin: csvOf('aaaa') })
  t.equal(ran.code, 0)
  t.equal(ran.rows.length, 4)
  t.match(await place.emulator.ledger.totals(), { batches: 1, accepted: 1 })
})

t.test('a failed request is retried once for all records that share it', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) =>
      attempt === 1 ? { error: { type: 'api_error', message: 'try again' } } : 'fine',
  })
  const ran = await place.run([...ASK], { stdin: csvOf('abab') })
  t.equal(ran.code, 0)
  t.same(short(ran.rows), [
    ['0', 'a', 'succeeded', false],
    ['1', 'b', 'succeeded', false],
    ['2', 'a', 'succeeded', true],
    ['3', 'b', 'succeeded', true],
  ])
  t.ok(ran.rows.every(({ response, _batch }) => response === 'fine' && _batch?.attempt === 2))
  t.match(await place.emulator.ledger.totals(), { accepted: 4, billed: 2 })
  const status = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.same(status.rows, { succeeded: 4 })
  t.equal((await place.run(['results', 'j'])).out, ran.out)
})

t.test(
  'retry sends a failed request once, and every record that shares it gets the new row',
  async t => {
    const place = await placeFor(t, {
      respond: (_, { attempt }) => (attempt === 1 ? { stop_reason: 'refusal' } : 'fine'),
    })
    const ran = await place.run([...ASK], { stdin: csvOf('aba') })
    t.equal(ran.code, 3)
    t.same(
      ran.rows.map(({ _batch }) => _batch?.status),
      ['refused', 'refused', 'refused'],
    )
    const again = await place.again(ran)
    t.same(short(again.rows), [
      ['0', 'a', 'succeeded', false],
      ['1', 'b', 'succeeded', false],
      ['2', 'a', 'succeeded', true],
    ])
    t.match(await place.emulator.ledger.totals(), { accepted: 4 })
  },
)

t.test('a repeat uses the answer that `retry` brought later', async t => {
  const tries = new Map<string, number>()
  const place = await placeFor(t, {
    respond: params => {
      const said = String((params['messages'] as { content: string }[])[0]?.content)
      const nth = (tries.get(said) ?? 0) + 1
      tries.set(said, nth)
      if (nth === 1 && /[bf]$/.test(said)) return { expired: true }
      return nth === 1 && said.endsWith('d') ? { stop_reason: 'refusal' } : 'fine'
    },
  })
  const ran = await place.run([...ASK], { stdin: csvOf('abcdeff') })
  t.equal(ran.code, 3)
  t.equal((await place.again(ran)).code, 0)
  const results = await place.run(['results', 'j'])
  t.equal(results.code, 0)
  t.same(results.rows.map(({ id }) => id).sort(), [...'0123456'])
  t.same(results.rows.find(({ id }) => id === '6')?.response, 'fine')
  const status = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.same(status.rows, { succeeded: 7 })
})

t.test('a repeat of a request that the API rejects is rejected too', async t => {
  const place = await placeFor(t, {
    faults: [
      {
        on: 'create',
        times: 1,
        status: 400,
        error: { message: 'requests.0.params.max_tokens: too large' },
      },
    ],
  })
  const ran = await place.run([...ASK, '--batch-size', '3'], { stdin: csvOf('abacbad') })
  t.equal(ran.code, 3)
  t.same(
    ran.rows.map(({ text, _batch }) => `${text} ${_batch?.status}`),
    [
      'a rejected',
      'b succeeded',
      'a rejected',
      'c succeeded',
      'b succeeded',
      'a rejected',
      'd succeeded',
    ],
  )
  t.match(ran.rows[2]?._batch?.error?.message ?? '', /max_tokens/)
  const status = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.same(status.rows, { rejected: 3, succeeded: 4 })
})

t.test('a batch that is too large is split, and repeats stay with their half', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', times: 1, status: 413 }] })
  const ran = await place.run([...ASK], { stdin: csvOf('abcabcd') })
  t.equal(ran.code, 0)
  t.same(
    ran.rows.map(({ id }) => id),
    [...'0123456'],
  )
  t.match(await place.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

t.test('repeats of an unanswered request are unanswered too', async t => {
  const place = await placeFor(t, { faults: [{ on: 'create', nth: 1, archived: true }] })
  const ran = await place.run([...ASK], { stdin: csvOf('aa') })
  t.equal(ran.code, 3)
  for (const row of ran.rows)
    t.match(row, { _batch: { status: 'unanswered', error: { message: /\d{4}-\d\d-\d\d/ } } })
  const status = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.same(status.rows, { unanswered: 2 })
  const again = await place.again(ran)
  t.same(short(again.rows), [
    ['0', 'a', 'succeeded', false],
    ['1', 'a', 'succeeded', true],
  ])
})

t.test('where a cap stops the run, repeats of an unsent request wait for it', async t => {
  const place = await placeFor(t, { respond: (): string => 'x'.repeat(400) })
  const words = [...ASK, '-t', '100', '--batch-size', '2', '--max-cost', '0.00008']
  const ran = await place.run(words, { stdin: csvOf('abcdcdcdcd') })
  t.equal(ran.code, 4)
  const rest = await place.run([...nextWords(ran), '--max-cost', '1'], { env: place.env })
  t.equal(rest.code, 0)
  t.equal(rest.rows.length, 10)
  t.match(await place.emulator.ledger.totals(), { accepted: 4, acceptedTwice: 0 })
})

t.test('--dry-run counts what would be sent', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--dry-run'], { stdin: csvOf('abab') })
  t.match(ran.err, /4 records, 2 requests in 1 batch, .*, 2 repeat another and are not sent/)
})

t.test('a duplicate custom_id is rejected, also on a repeat', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--id', 'id-{{id}}'], {
    stdin: 'id,text\n1,a\n2,a\n2,a\n',
  })
  t.same(
    rowsOf(ran.out).map(({ _batch }) => [_batch?.status, _batch?.custom_id]),
    [
      ['succeeded', 'id-1'],
      ['succeeded', 'id-1'],
      ['rejected', 'id-2'],
    ],
  )
})
