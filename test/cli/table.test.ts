import { readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { cardText } from '../../lib/store/inspect.ts'
import { journalOf } from '../support/world.ts'
import { type Collected, journaled, placeFor, tap, until } from './world.ts'
import { needs } from '../support/needs.ts'

const ASK = ['-p', 'Say {{n}}', '--order', 'input']

/** JSON lines with a field that most records lack. */
function jsonl(count: number, more: Readonly<Record<number, object>>): string {
  return Array.from({ length: count }, (_, n) => `${JSON.stringify({ n, ...more[n] })}\n`).join('')
}

/** The input cells of each row: the last three are the answer's. */
function cells(table: string): string[] {
  return table
    .split('\n')
    .slice(0, -1)
    .map(line => line.split(',').slice(0, -3).join(','))
}

t.test('R10: fields that first appear in later records become columns', async t => {
  const place = await placeFor(t)
  const stdin = jsonl(30, { 24: { b: 'late' }, 29: { a: 'last', 7: 'seven' } })
  const dry = await place.run([...ASK, '--to', 'csv', '--dry-run'], { stdin })
  t.match(dry, { code: 0, err: /0 invalid records/ })
  t.match(dry.err, 'table: 4 input columns; the header is n,b,7,a,response,status,error')
  const ran = await place.run([...ASK, '--to', 'csv', '--batch-size', '10', '--job', 'j'], {
    stdin,
  })
  t.equal(ran.code, 0)
  const all = cells(ran.out)
  t.equal(all[0], 'n,b,7,a', 'in the order in which they appear')
  t.same([all[1], all[25], all[30]], ['0,,,', '24,late,,', '29,,seven,last'])
  const again = await place.run(['results', 'j', '--order', 'input'])
  t.equal(again.out, ran.out)
  const events = journalOf(`${place.state}/jobs/j`).filter(({ type }) => type === 'columns')
  t.same(events, [{ type: 'columns', names: ['n', 'b', '7', 'a'] }])
})

t.test('R10: a finished job of JSON lines is printed as a table with all fields', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--job', 'j'], { stdin: jsonl(30, { 25: { late: 1 } }) })
  const table = await place.run(['results', 'j', '--to', 'csv', '--order', 'input'])
  t.equal(table.code, 0)
  t.same([cells(table.out)[0], cells(table.out)[26]], ['n,late', '25,1'])
  const chosen = await place.run(['results', 'j', '--to', 'tsv', '--output-columns', 'late'])
  t.equal(chosen.out.split('\n')[0], 'late\tresponse\tstatus\terror')
})

t.test('R10: CSV files with different headers become one table', async t => {
  const place = await placeFor(t, {}, { 'a.csv': 'n,a\n1,x\n', 'b.csv': 'n,b\n2,y\n' })
  const files = ['-i', place.path('a.csv'), '-i', place.path('b.csv')]
  const ran = await place.run([...ASK, ...files, '--to', 'csv'])
  t.match(ran, { code: 0 })
  t.same(cells(ran.out), ['n,a,b', '1,x,', '2,,y'])
})

t.test('rows wait for the end of the input, and the input does not wait for rows', async t => {
  const place = await placeFor(t)
  const stdin = tap()
  const { world, ended } = place.start([...ASK, '--to', 'csv', '--batch-size', '2', '--job', 'j'], {
    stdin,
  })
  stdin.write(jsonl(20, {}))
  await until(() => journaled(place, 'fetched'))
  t.equal((world.stdout as Collected).text, '')
  stdin.end(jsonl(2, { 1: { b: 'late' } }))
  const ran = await ended
  const rows = cells(ran.out)
  t.same([rows.length, rows[0], rows.at(-1)], [23, 'n,b', '1,late'])
})

t.test('endless input: the first full batch decides the columns', async t => {
  const place = await placeFor(t)
  const stdin = tap()
  const words = [...ASK, '--to', 'csv', '--batch-size', '2', '--batch-wait', '1h', '--job', 'j']
  const { world, ended } = place.start(words, { stdin })
  stdin.write('{"n":0}\n{"n":1,"a":"x"}\n')
  await until(() => (world.stdout as Collected).text.split('\n').length === 4)
  stdin.end('{"n":2}\n{"n":3,"b":"y"}\n')
  const ran = await ended
  t.equal(ran.code, 3)
  t.same(cells(ran.out).slice(0, 4), ['n,a', '0,', '1,x', '2,'])
  t.match(
    ran.out,
    /3,,,rejected,"no_column: the record has a field ""b"" that is not a column of the table; name the columns with --output-columns/,
  )
  const all = await place.run(['results', 'j', '--order', 'input'])
  t.same(cells(all.out)[0], 'n,a,b', 'whoever prints the rows later has all columns')
})

t.test('endless input: a dry run rejects fields that the first batch does not have', async t => {
  const place = await placeFor(t)
  const words = [
    ...ASK,
    '--to',
    'csv',
    '--batch-size',
    '2',
    '--batch-wait',
    '1h',
    '--dry-run',
    '-v',
  ]
  const ran = await place.run(words, { stdin: '{"n":0}\n{"n":1}\n{"n":2}\n{"n":3,"b":1}\n' })
  t.match(ran, { code: 3, err: /1 invalid record/ })
  t.match(ran.err, /line 4: the record has a field "b" .* --output-columns/)
})

t.test('endless input: a resumed job keeps its columns', async t => {
  const place = await placeFor(t)
  const out = place.path('out.csv')
  const words = [...ASK, '--to', 'csv', '--batch-size', '2', '--batch-wait', '1h', '-o', out]
  const stdin = tap()
  const { world, ended } = place.start([...words, '--job', 'j'], { stdin })
  stdin.write('{"n":0}\n{"n":1,"a":"x"}\n')
  await until(() => journaled(place, 'writtenBelow'))
  world.emit('SIGTERM', 'SIGTERM')
  t.equal((await ended).code, 143)
  const again = await place.run([...words, '--job', 'j'], {
    stdin: '{"n":0}\n{"n":1,"a":"x"}\n{"n":2,"b":"y"}\n{"n":3,"a":"z"}\n',
  })
  t.equal(again.code, 3)
  const rows = cells(place.read('out.csv'))
  t.same([...rows.slice(0, 3), rows.at(-1)], ['n,a', '0,', '1,x', '3,z'])
  t.match(place.read('out.csv'), /2,,,rejected,/)
})

t.test('a run that died before its first row resumes with the columns of all records', async t => {
  const place = await placeFor(t, { batchTimeMs: 500 })
  const out = place.path('out.csv')
  const words = [...ASK, '--to', 'csv', '-o', out, '--job', 'j']
  const { world, ended } = place.start(words, { stdin: jsonl(25, { 24: { b: 'late' } }) })
  await until(() => journaled(place, 'submitted'))
  world.emit('SIGTERM', 'SIGTERM')
  await ended
  t.equal((await place.run(['resume', 'j'])).code, 0)
  const rows = cells(place.read('out.csv'))
  t.same([rows.length, rows[0], rows[25]], [26, 'n,b', '24,late'])
})

t.test(
  'more fields than a table can have end the run, and the rows are available in another format',
  async t => {
    const place = await placeFor(t)
    const wide = (n: number): object =>
      Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`f${n}-${i}`, i]))
    const stdin = jsonl(2, { 0: wide(0), 1: wide(1) })
    const dry = await place.run([...ASK, '--to', 'csv', '--dry-run'], { stdin })
    t.match(dry, { code: 6, err: /more than 1000 different fields.*--output-columns/ })
    const refused = await place.run([...ASK, '--to', 'csv', '--job', 'j'], { stdin })
    t.match(refused, { code: 6, out: '', err: /more than 1000 different fields.*--output-columns/ })
    const later = tap()
    const words = [...ASK, '--to', 'csv', '--batch-size', '20', '--job', 'k']
    const { ended } = place.start(words, { stdin: later })
    later.write(jsonl(20, {}))
    await until(() => journaled(place, 'submitted', 'k'))
    later.end(stdin.replaceAll('"n":', '"n":10'))
    t.match(await ended, { code: 6, out: '', err: /more than 1000 different fields/ })
    const chosen = await place.run(['resume', 'k', '--output-columns', 'n,f1-0'])
    t.match(chosen, { code: 0 })
    const rows = cells(chosen.out)
    t.same([rows.length, rows[0], rows.at(-1)], [23, 'n,f1-0', '101,0'])
    t.match(await place.emulator.ledger.totals(), { acceptedTwice: 0 })
  },
)

t.test('a table without rows has a header', async t => {
  const place = await placeFor(t)
  const errors = place.path('failed.jsonl')
  const ran = await place.run(['-p', 'Say {{x}}', '--to', 'csv', '--errors', errors], {
    stdin: '{"n":0}\n',
  })
  t.match(ran, { code: 3, out: 'n,response,status,error\n' })
  t.equal(place.read('failed.jsonl').split('\n').length, 2)
})

t.test('--output-columns chooses the columns of a table', async t => {
  const place = await placeFor(t)
  const stdin = 'n,"a,b",c\n1,2,3\n'
  const ran = await place.run([...ASK, '--to', 'csv', '--output-columns', '"a,b", n'], { stdin })
  t.match(ran, { code: 0 })
  t.match(ran.out, /^"a,b",n,response,status,error\n2,1,/)
  const dry = await place.run([...ASK, '--to', 'csv', '--output-columns', 'c', '--dry-run'], {
    stdin,
  })
  t.match(dry.err, 'table: 1 input columns; the header is c,response,status,error')
  const slip = await place.run([...ASK, '--to', 'csv', '--output-columns', 'n,cc'], { stdin })
  t.match(slip, {
    code: 2,
    err: /--output-columns: the input has no column "cc" \(did you mean "c"\?\)/,
  })
  const rows = await place.run([...ASK, '--output-columns', 'n'], { stdin })
  t.match(rows, { code: 2, err: /--output-columns .* cannot be combined with --to jsonl/ })
  for (const wrong of ['', 'n,,c', 'n,n', 'n\nc', '"n']) {
    const refused = await place.run([...ASK, '--to', 'csv', '--output-columns', wrong], { stdin })
    t.match(refused, { code: 2, err: /--output-columns must be different names/ }, wrong)
  }
  t.same(await place.emulator.ledger.totals().then(({ accepted }) => accepted), 1)
})

t.test('a job remembers its chosen columns', async t => {
  const place = await placeFor(t)
  const words = [...ASK, '--to', 'csv', '--output-columns', 'b', '--job', 'j']
  const ran = await place.run(words, { stdin: '{"n":1,"a":2,"b":3}\n' })
  t.same(cells(ran.out), ['b', '3'])
  t.equal((await place.run(['results', 'j'])).out, ran.out)
  t.match((await place.run(['results', 'j', '--to', 'jsonl'])).rows, [{ n: 1, a: 2, b: 3 }])
})

t.test('a dry run shows the start of a long header', async t => {
  const place = await placeFor(t)
  const wide = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`column${i}`, i]))
  const dry = await place.run([...ASK, '--to', 'csv', '--dry-run'], {
    stdin: `${JSON.stringify({ n: 1, ...wide })}\n`,
  })
  t.match(dry.err, /table: 301 input columns; the header is n,column0,.*\.\.\.\n/)
})

t.test('a table of unreadable records has the column `input`', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--to', 'csv', '--from', 'jsonl'], { stdin: 'junk\n' })
  t.match(ran, { code: 3, out: /^input,response,status,error\njunk,,rejected/ })
  const dry = await place.run([...ASK, '--to', 'csv', '--from', 'jsonl', '--dry-run'], {
    stdin: 'junk\n',
  })
  t.match(dry.err, 'table: 1 input columns; the header is input,response,status,error')
})

t.test('a job keeps the columns that were known when it was created', async t => {
  const place = await placeFor(t)
  const out = place.path('out.csv')
  await place.run([...ASK, '--to', 'csv', '-o', out, '--job', 'j', '--detach'], {
    stdin: '{"n":0}\n{"n":1}\n',
  })
  const path = `${place.state}/jobs/j/job.json`
  const { sum: _, ...card } = JSON.parse(readFileSync(path, 'utf8'))
  card.settings.columns = ['n', 'more']
  writeFileSync(path, cardText(card))
  t.equal((await place.run(['resume', 'j'])).code, 0)
  t.same(cells(place.read('out.csv')), ['n,more', '0,', '1,'])
})

t.test('events report the number of columns, not their names', async t => {
  const place = await placeFor(t)
  await place.run([...ASK, '--to', 'csv', '--events', place.path('e.jsonl')], {
    stdin: '{"n":1,"secret":2}\n',
  })
  t.match(place.read('e.jsonl'), '"type":"columns","count":2')
  t.notMatch(place.read('e.jsonl'), 'secret')
})

t.test('the table of an input without records has a header', async t => {
  const place = await placeFor(t)
  const words = [...ASK, '--to', 'csv']
  const ran = await place.run(words, { stdin: 'n,text\n' })
  t.match(ran, { code: 0, out: 'n,text,response,status,error\n', err: /no input/ })
  t.equal((await place.run(words, { stdin: '' })).out, 'response,status,error\n')
  const named = await place.run([...words, '--from', 'csv', '--columns', 'a,b'], { stdin: '' })
  t.equal(named.out, 'a,b,response,status,error\n')
  const chosen = await place.run([...words, '--output-columns', 'x'], { stdin: '' })
  t.equal(chosen.out, 'x,response,status,error\n')
  const out = place.path('out.csv')
  await place.run([...words, '-o', out], { stdin: 'n,text\n' })
  await place.run([...words, '-o', out], { stdin: 'n,text\n' })
  t.equal(place.read('out.csv'), 'n,text,response,status,error\n', 'once')
})

t.test('a CSV file whose rows are all unreadable has the columns of its header', async t => {
  const place = await placeFor(t)
  const ran = await place.run([...ASK, '--to', 'csv'], { stdin: 'n,text\n1,2,3\n' })
  t.match(ran, { code: 3, out: /^n,text,response,status,error\n,,,rejected,/ })
})

t.test(
  'F04 a table on a full device exits with 9, and resume prints its rows',
  needs('/dev/full'),
  async t => {
    const place = await placeFor(t)
    const words = [...ASK, '--to', 'csv', '-o', '/dev/full']
    const ran = await place.run([...words, '--job', 'j'], { stdin: '{"n":1}\n{"n":2,"b":3}\n' })
    t.match(ran, { code: 9, err: /cannot write a row: .*ENOSPC/ })
    const resumed = await place.run(['resume', 'j', '-o', '-'])
    t.same([resumed.code, ...cells(resumed.out)], [0, 'n,b', '1,', '2,3'])
    t.match(await place.emulator.ledger.totals(), { accepted: 2, acceptedTwice: 0 })
    const empty = await place.run(words, { stdin: '' })
    t.match(empty, { code: 9, err: /\/dev\/full cannot be written/ })
  },
)
