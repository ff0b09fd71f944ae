import { writeFileSync } from 'node:fs'
import t from 'tap'
import { placeFor } from './world.ts'

const ASK = ['-p', 'Say {{text}}']
const COMMENT = ['--comment', '#']

t.test('a job whose input broke off behind comments is gone on with as it began', async t => {
  // More rows than are looked at before a job is made.
  const rows = Array.from({ length: 50 }, (_, at) => `# ${at}, "\n${at},"text\n# ${at}"\n`)
  const whole = '# of "today\nid,text\n# c\n50,last\n'
  const place = await placeFor(
    t,
    {},
    {
      'a.csv': `# of "yesterday\n\nid,text\n${rows.join('')}`,
      'b.csv': whole.replace('id,text', 'id,"text'),
    },
  )
  const files = ['-i', place.path('a.csv'), '-i', place.path('b.csv')]
  const broken = await place.run([...ASK, ...files, ...COMMENT, '--job', 'j'])
  t.equal(broken.code, 6)
  t.match(broken.err, `the CSV header of ${place.path('b.csv')} cannot be read: line 2`)
  const unfinished = JSON.parse((await place.run(['status', 'j', '--json'])).out)
  t.match(unfinished, { state: 'unfinished' })
  writeFileSync(place.path('b.csv'), whole)
  const rest = await place.run(['resume', 'j', '--order', 'input'])
  t.equal(rest.code, 0)
  t.same(
    rest.rows.map(row => [row['id'], row['text'], row._batch?.line]),
    [...rows.map((_, at) => [String(at), `text\n# ${at}`, 5 + 3 * at]), ['50', 'last', 4]],
  )
  t.match(await place.emulator.ledger.totals(), { accepted: 51, acceptedTwice: 0 })
})

t.test('R12: a job resumes with the delimiters that its first run detected', async t => {
  const rows = Array.from({ length: 50 }, (_, at) => `${at};text, ${at}\n`)
  const whole = 'sep=|\nid|text\n50|last; one\n'
  const files = { 'a.csv': `id;text\n${rows.join('')}`, 'b.csv': whole.replace('|text', '|"text') }
  const place = await placeFor(t, {}, files)
  const names = ['-i', place.path('a.csv'), '-i', place.path('b.csv')]
  const broken = await place.run([...ASK, ...names, '--job', 'j'])
  t.equal(broken.code, 6)
  t.match(broken.err, `${place.path('a.csv')} has semicolons between its fields`)
  writeFileSync(place.path('b.csv'), whole)
  const rest = await place.run(['resume', 'j', '--order', 'input'])
  t.equal(rest.code, 0)
  t.same(
    rest.rows.map(row => [row['id'], row['text']]),
    [...rows.map((_, at) => [String(at), `text, ${at}`]), ['50', 'last; one']],
  )
  t.match(await place.emulator.ledger.totals(), { accepted: 51, acceptedTwice: 0 })
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

t.test('retry asks again for the row of a file with comments, and knows its line', async t => {
  const place = await placeFor(t, {}, { 'a.csv': '#\nid,text\n# a\n1,one\n# b\n2,two\n' })
  place.emulator.addFault({ on: 'create', errored: [{ index: 1, times: 1 }] })
  const words = [...ASK, '-i', place.path('a.csv'), ...COMMENT, '--job', 'j', '--retries', '0']
  t.equal((await place.run(words)).code, 3)
  const retried = await place.run(['retry', 'j'])
  t.match(retried.rows, [{ id: '2', text: 'two', _batch: { status: 'succeeded', line: 6 } }])
  t.equal(retried.rows.length, 1)
})

t.test('an estimate, a dry run and a config file pass over comments, too', async t => {
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

t.test('comments do not go with what is no table', async t => {
  const place = await placeFor(t, {}, { 'a.dat': '# x\ntext;y\n1;2\n' })
  const words = ['-n', ...ASK, '-i', place.path('a.dat'), ...COMMENT]
  for (const from of ['jsonl', 'json', 'text', 'files', 'requests']) {
    const told = await place.run([...words, '--from', from])
    t.equal(told.code, 2)
    t.match(told.err, `--comment is for CSV and TSV; it does not go with --from ${from}`)
  }
  t.match(await place.run([...words, '--json-path', 'a']), { code: 2, err: /with --json-path$/m })
  const semicolons = ['--delimiter', ';', '--json-path', 'a']
  t.equal((await place.run([...words, ...semicolons])).code, 0, 'a delimiter says that it is CSV')
  t.equal((await place.run([...words, ...semicolons, '--comment', ';'])).code, 2)
})
