import t from 'tap'
import { guess } from '../../../lib/stages/parse/guess.ts'

const format = (head: string, name?: string): string | undefined =>
  guess({ name, head, enough: true })?.format

t.test('a file name decides, compressed or not, in any case', async t => {
  const names: [string, string][] = [
    ['a.csv', 'csv'],
    ['dir.json/a.TSV', 'tsv'],
    ['a.tab', 'tsv'],
    ['a.jsonl', 'jsonl'],
    ['a.b.ndjson', 'jsonl'],
    ['a.json', 'json'],
    ['a.txt', 'text'],
    ['a.csv.gz', 'csv'],
    ['a.jsonl.zst', 'jsonl'],
  ]
  for (const [name, expected] of names) t.equal(format('x\n', name), expected, name)
  t.same(guess({ name: 'a.csv.gz', head: '', enough: false }), {
    format: 'csv',
    why: 'its name ends in .csv',
    by: 'name',
  })
  t.equal(format('a,b\n', 'a.dat'), 'csv', 'another name leaves it to the content')
  t.equal(format('{"a":1}\n', '.gz'), 'jsonl')
})

t.test('an array file and JSON lines are distinguished (I15)', async t => {
  const contents: [string, string][] = [
    ['[{},{}]', 'json'],
    ['[{},{}]\n\n', 'json'],
    ['[\n{},\n{}]', 'json'],
    ['  [ ', 'json'],
    ['[1]\n[2]\n', 'jsonl'],
    ['{"a":1}\n{"a":2}\n', 'jsonl'],
    ['{"a":1}', 'jsonl'],
    ['\n {"a":1}\r\n', 'jsonl'],
    ['{\n  "a": 1\n}\n', 'json'],
    ['{"a": [1,\n2]}\n', 'json'],
    ['{bad}\n{"a":2}\n', 'jsonl'],
    ['{"a', 'jsonl'],
    ['{"a', 'jsonl'],
  ]
  for (const [head, expected] of contents) {
    t.equal(format(head), expected, JSON.stringify(head))
    t.equal(format(head, 'a.json'), expected, 'also in a file named .json')
  }
})

t.test('comments have no influence', async t => {
  const comment = '//'
  const seen = (head: string, enough = false): string | undefined =>
    guess({ head, comment, enough })?.why
  t.equal(seen('// a,b\n\n//\nid\tx\n'), 'its first line has tabs')
  t.equal(seen('// a,b\n/,\n'), 'its first line has commas')
  t.equal(seen('//\n{"a":1}\n'), 'its first line is a JSON object')
  for (const head of ['/', '// a', '// a\n', '// a\n/', '// a\nid,x']) {
    t.equal(seen(head), undefined, JSON.stringify(head))
    t.ok(seen(head, true), JSON.stringify(head))
  }
})

t.test('anything else is a table', async t => {
  t.same(guess({ head: 'id,text\n1,a\tb\n', enough: false }), {
    format: 'csv',
    why: 'its first line has commas',
    by: 'bytes',
  })
  t.same(guess({ head: 'id\ttext, long\n', enough: false }), {
    format: 'tsv',
    why: 'its first line has tabs',
    by: 'bytes',
  })
  t.equal(guess({ head: 'prompt\nhello, you\n', enough: false })?.format, 'csv')
  for (const [head, why] of [
    ['a;b\tc;d\n', 'its first line has semicolons'],
    ['a|b\n', 'its first line has vertical bars'],
  ] as const)
    t.same(guess({ head, enough: false }), { format: 'csv', why, by: 'bytes' })
  t.equal(format(''), 'csv')
  t.equal(format('', 'a.json'), 'json')
})

t.test('detection waits for a line, and for the line after a whole array', async t => {
  for (const head of ['', ' \n', 'id,te', '{"a":', '[1,2', '[1,2]\n', '[1,2]\n ']) {
    t.equal(guess({ head, enough: false }), undefined, JSON.stringify(head))
  }
  t.equal(guess({ name: 'a.json', head: ' ', enough: false }), undefined)
  t.equal(guess({ head: '{"a":1}\n', enough: false })?.format, 'jsonl')
  t.equal(guess({ head: '[\n', enough: false })?.format, 'json')
})
