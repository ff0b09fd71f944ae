import { readFileSync } from 'node:fs'
import t from 'tap'
import { echo, lastUserText } from '../../lib/emulator/index.ts'
import { nextWords, placeFor, rowsOf } from './world.ts'

/** Fails whatever asks about a bad thing. */
const respond = (params: object) => {
  const text = lastUserText(params)
  return text.includes('bad')
    ? ({ error: { type: 'invalid_request_error', message: 'no bad things' } } as const)
    : echo(text)
}

const REVIEWS = 'review\ngood\nbad\nfine\n'

t.test(
  "R06: a failure in the first step of the README's chain is a failure in the second",
  async t => {
    const place = await placeFor(t, { respond })
    const topics = await place.run(['-p', 'Topic of: {{review}}', '--response-field', 'topic'], {
      stdin: REVIEWS,
    })
    t.equal(topics.code, 3)
    const asked = ['-p', 'A title for a review about {{topic}}', '--response-field', 'title']
    const titles = await place.run([...asked, '--job', 'titles'], { stdin: topics.out })
    t.equal(titles.code, 3, titles.err)
    t.equal(titles.rows.length, 3)
    const failed = topics.out.split('\n').find(line => line.includes('no bad things'))
    t.ok(titles.out.split('\n').includes(String(failed)), 'the row is byte for byte what it was')
    t.match(titles.err, /3 rows: 2 succeeded, 1 skipped/)
    t.match(
      titles.err,
      '1 record failed in an earlier run and is skipped (--ask-failed sends such records)',
    )
    t.notMatch(titles.err, / retry titles/, 'a retry cannot help')
    t.equal((await place.run(['results', 'titles'])).out, titles.out)
    const retried = await place.run(['retry', 'titles'])
    t.match(retried, { code: 0, out: '' })
    const third = await place.run(['-p', '{{title}}', '--response-field', 'x'], {
      stdin: titles.out,
    })
    t.match(third, { code: 3, err: /2 succeeded, 1 skipped/ })
    t.ok(third.out.split('\n').includes(String(failed)))
  },
)

t.test(
  'R06: --ask-failed sends failed rows, and their new answers replace the old ones',
  async t => {
    const place = await placeFor(t, { respond })
    const stdin =
      '{"r":"a","response":"cut","_batch":{"status":"incomplete"}}\n{"r":"bad","response":null,"_batch":{"status":"errored"}}\n'
    const ran = await place.run(['-p', 'Say {{r}}', '--ask-failed'], { stdin })
    t.match(ran.rows, [
      { r: 'a', response: echo('Say a'), _batch: { status: 'succeeded' } },
      { r: 'bad', response: null, _batch: { status: 'errored' } },
    ])
    t.notMatch(ran.err, / retry /, 'the API refuses the request as it is')
    const shown = await place.run(['--show', '1', '-p', 'T {{topic}}'], {
      stdin: '{"topic":null,"_batch":{"status":"errored"}}\n',
    })
    t.match(shown, { code: 3, out: '' })
  },
)

t.test(
  'R06: skipped rows are not bad records, and are written to --errors, tables and texts',
  async t => {
    const place = await placeFor(t, { respond })
    const line = (n: number): string =>
      `{"n": ${n}, "response": null, "_batch":{"status":"errored","error":{"type":"api_error","message":"no luck"}}}`
    const stdin = [...Array.from({ length: 25 }, (_, n) => line(n)), '{"n":25}', ''].join('\n')
    const words = ['-p', '{{n}}', '--max-invalid', '0']
    const errors = place.path('failed.jsonl')
    const apart = await place.run([...words, '--errors', errors, '--batch-size', '5'], { stdin })
    t.match(apart, { code: 3, err: /26 rows: 1 succeeded, 25 skipped/ })
    t.match(apart.rows, [{ n: 25, response: echo('25') }])
    t.equal(readFileSync(errors, 'utf8'), stdin.split('\n').slice(0, 25).join('\n') + '\n')
    const table = await place.run([...words, '--to', 'csv'], { stdin })
    t.match(
      table.out,
      /^n,response,status,error\r?\n0,,skipped,"?skipped: errored in an earlier run, and not sent in this one: no luck/,
    )
    const text = await place.run([...words, '--to', 'text'], { stdin })
    t.equal(text.out, `${'\n'.repeat(25)}${echo('25')}\n`)
    const only = await place.run(words, { stdin: `${line(1)}\n` })
    t.match(only, { code: 3, out: `${line(1)}\n`, err: /1 row: 1 skipped/ })
    const estimate = await place.run(['estimate', '-p', '{{n}}', '--json'], { stdin })
    t.match(JSON.parse(estimate.out), { records: 26, rejected: 0, skipped: 25 })
    t.match(
      (await place.run(['-n', ...words], { stdin })).err,
      /25 records failed in an earlier run and are skipped/,
    )
  },
)

t.test('R06: a resumed job passes skipped rows through again', async t => {
  const place = await placeFor(t, {
    respond,
    faults: [
      { on: 'retrieve', nth: [1], status: 403 },
      { on: 'list', nth: [1], status: 403 },
    ],
  })
  const failed = '{"r":"b","_batch":{"status":"expired"}}'
  const ran = await place.run(['-p', '{{r}}', '--job', 'j'], { stdin: `{"r":"a"}\n${failed}\n` })
  t.equal(ran.code, 5, ran.err)
  const resumed = await place.again(ran)
  t.match(resumed, { code: 3, err: /2 rows: 1 succeeded, 1 skipped/ })
  t.equal(resumed.out.split('\n')[1], failed)
  t.equal(rowsOf(resumed.out).length, 2)
  t.ok(nextWords(ran).includes('resume'))
})
