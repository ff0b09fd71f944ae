import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import t, { type Test } from 'tap'
import { placeFor, until, type Place, type Ran } from './world.ts'

const ASK = ['-p', 'Say {{text}}']
const COMMENT = ['--comment', '#']

/** A job that sends the 50 records of a.csv and then cannot read b.csv, which is a whole file when it resumes. */
async function brokenThenResumed(
  t: Test,
  files: { readonly a: string; readonly broken: string; readonly whole: string },
  words: readonly string[],
): Promise<{ place: Place; broken: Ran; rest: Ran }> {
  const place = await placeFor(t, {}, { 'a.csv': files.a })
  const [a, b] = [place.path('a.csv'), place.path('b.csv')]
  execFileSync('mkfifo', [b])
  const run = place.start([...ASK, '-i', a, '-i', b, ...words, '--batch-size', '10', '--job', 'j'])
  await until(() => place.emulator.ledger.batches().length === 5)
  writeFileSync(b, files.broken)
  const broken = await run.ended
  t.equal(broken.code, 6)
  t.match(JSON.parse((await place.run(['status', 'j', '--json'])).out), { state: 'unfinished' })
  rmSync(b)
  writeFileSync(b, files.whole)
  const rest = await place.run(['resume', 'j', '--order', 'input'])
  t.equal(rest.code, 0)
  t.match(await place.emulator.ledger.totals(), { accepted: 51, acceptedTwice: 0 })
  return { place, broken, rest }
}

t.test('a job whose input broke off after comments resumes unchanged', async t => {
  const rows = Array.from({ length: 50 }, (_, at) => `# ${at}, "\n${at},"text\n# ${at}"\n`)
  const whole = '# of "today\nid,text\n# c\n50,last\n'
  const { place, broken, rest } = await brokenThenResumed(
    t,
    {
      a: `# of "yesterday\n\nid,text\n${rows.join('')}`,
      broken: whole.replace('id,text', 'id,"text'),
      whole,
    },
    COMMENT,
  )
  t.match(broken.err, `the CSV header of ${place.path('b.csv')} cannot be read: line 2`)
  t.same(
    rest.rows.map(row => [row['id'], row['text'], row._batch?.line]),
    [...rows.map((_, at) => [String(at), `text\n# ${at}`, 5 + 3 * at]), ['50', 'last', 4]],
  )
})

t.test('R12: a job resumes with the delimiters that its first run detected', async t => {
  const rows = Array.from({ length: 50 }, (_, at) => `${at};text, ${at}\n`)
  const whole = 'sep=|\nid|text\n50|last; one\n'
  const { place, broken, rest } = await brokenThenResumed(
    t,
    { a: `id;text\n${rows.join('')}`, broken: whole.replace('|text', '|"text'), whole },
    [],
  )
  t.match(broken.err, `${place.path('a.csv')} has semicolons between its fields`)
  t.same(
    rest.rows.map(row => [row['id'], row['text']]),
    [...rows.map((_, at) => [String(at), `text, ${at}`]), ['50', 'last; one']],
  )
})

t.test('R12: --delimiter overrides what is detected', async t => {
  const place = await placeFor(t, {}, { 'a.csv': 'a;b\n1;2\n' })
  const words = ['-i', place.path('a.csv'), '-p', '{{a;b}}', '--show', '1']
  const plain = await place.run([...words, '--delimiter', ','])
  t.same([plain.code, plain.err], [0, ''])
  t.match(plain.rows, [{ params: { messages: [{ content: '1;2' }] } }])
  t.match(await place.run(words), {
    code: 6,
    err: /no column "a;b"; .* name it with --delimiter$/m,
  })
})

t.test('retry finds the row of a record after comments, and knows its line', async t => {
  const place = await placeFor(t, {}, { 'a.csv': '#\nid,text\n# a\n1,one\n# b\n2,two\n' })
  place.emulator.addFault({ on: 'create', errored: [{ index: 1, times: 1 }] })
  const words = [...ASK, '-i', place.path('a.csv'), ...COMMENT, '--job', 'j', '--retries', '0']
  t.equal((await place.run(words)).code, 3)
  const retried = await place.run(['retry', 'j'])
  t.match(retried.rows, [{ id: '2', text: 'two', _batch: { status: 'succeeded', line: 6 } }])
  t.equal(retried.rows.length, 1)
})

t.test('estimate, --dry-run and config files skip comments too', async t => {
  const place = await placeFor(
    t,
    {},
    { 'a.tsv': '# a, b\n\nid\ttext\n# 1\n1\tone\n', 'c.json': '{"comment":"#"}' },
  )
  const words = [...ASK, '-i', place.path('a.tsv'), '--config', place.path('c.json')]
  const estimate = await place.run(['estimate', ...words, '--json'])
  t.match(JSON.parse(estimate.out), { records: 1, rejected: 0 })
  const dry = await place.run([...words, '-n', '--show', '5'])
  t.match(dry.rows, [{ params: { messages: [{ content: 'Say one' }] } }])
  t.equal(dry.rows.length, 1)
})

t.test('table flags are refused for other formats', async t => {
  const place = await placeFor(t, {}, { 'a.dat': '# x\ntext;y\n1;2\n' })
  const words = ['-n', ...ASK, '-i', place.path('a.dat'), ...COMMENT]
  const flags = [['--delimiter', ';'], ['--columns', 'text'], ['--no-header'], COMMENT]
  for (const from of ['jsonl', 'json', 'text', 'files', 'requests']) {
    for (const flag of flags) {
      const told = await place.run(['-n', ...ASK, '-i', 'a.dat', ...flag, '--from', from])
      t.equal(told.code, 2)
      t.match(told.err, `${flag[0]} is for CSV and TSV; it cannot be combined with --from ${from}`)
    }
  }
  t.match(await place.run([...words, '--json-path', 'a']), { code: 2, err: /with --json-path$/m })
  const semicolons = ['--delimiter', ';']
  t.equal((await place.run([...words, ...semicolons])).code, 0)
  t.match(await place.run([...words, ...semicolons, '--json-path', 'a']), { code: 2 })
  t.equal((await place.run([...words, ...semicolons, '--comment', ';'])).code, 2)
})

t.test('table flags end the run if the detected format is not a table', async t => {
  const place = await placeFor(t)
  const lines = '{"text":"a"}\n{"text":"b"}\n'
  for (const [flag, option] of [
    [['--delimiter', ';'], 'delimiter'],
    [['--columns', 'text'], 'columns'],
    [['--no-header'], 'header'],
  ] as const) {
    const ran = await place.run(['-p', 'Say {{text}}', ...flag], { stdin: lines })
    t.equal(ran.code, 6, option)
    t.match(ran.err, `is taken for jsonl (its first line is a JSON object)`)
    t.match(ran.err, `leave ${flag[0]} out, or say that it is csv or tsv`)
  }
  t.same(place.emulator.ledger.batches(), [])
})
