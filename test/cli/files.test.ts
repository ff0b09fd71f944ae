import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { Collected, placeFor } from './world.ts'

const PDF = '%PDF-1.7 some pages'

void t.test('--from files: each file is a record, and a PDF is attached to its prompt', async t => {
  const place = await placeFor(t, {}, { 'a.txt': 'first', 'b.pdf': PDF, 'c.txt': 'third' })
  const ran = await place.run([
    ...['-i', place.path('*.txt'), place.path('b.pdf')],
    ...['--from', 'files', '-p', 'Say {{name}}: {{text?}}'],
  ])
  t.equal(ran.code, 0)
  t.same(
    ran.rows.map(({ name, ext, text }) => [name, ext, text]),
    [
      ['a.txt', 'txt', 'first'],
      ['c.txt', 'txt', 'third'],
      ['b.pdf', 'pdf', undefined],
    ],
  )
  t.same(
    ran.rows.map(({ _batch }) => [_batch?.status, _batch?.source, _batch?.line]),
    ['a.txt', 'c.txt', 'b.pdf'].map(name => ['succeeded', place.path(name), 1]),
  )
})

void t.test('--show prints a request exactly as it would be sent, with its file', async t => {
  const place = await placeFor(t, {}, { 'b.pdf': PDF })
  const ran = await place.run(
    ['-i', place.path('b.pdf'), '--from', 'files', '-p', 'Sum it up', '--show', '1'],
    {},
  )
  t.equal(ran.code, 0)
  t.match(JSON.parse(ran.out), {
    params: {
      messages: [
        {
          content: [
            { type: 'document', source: { data: Buffer.from(PDF).toString('base64') } },
            { type: 'text', text: 'Sum it up' },
          ],
        },
      ],
    },
  })
})

void t.test('--skip and --limit count files', async t => {
  const place = await placeFor(t, {}, { 'a.txt': '1', 'b.txt': '2', 'c.txt': '3', 'd.txt': '4' })
  const ran = await place.run([
    ...['-i', place.path('*.txt'), '--from', 'files', '-p', '{{text}}'],
    ...['--skip', '1', '--limit', '2'],
  ])
  t.same(
    ran.rows.map(({ name }) => name),
    ['b.txt', 'c.txt'],
  )
})

void t.test('a table has a text column even if the first file has no text', async t => {
  const place = await placeFor(t, {}, { 'a.pdf': PDF, 'b.txt': 'text' })
  const ran = await place.run([
    ...['-i', place.path('*.*'), '--from', 'files', '-p', '{{name}}', '--to', 'csv'],
  ])
  t.equal(ran.code, 0)
  t.match(
    ran.out,
    /^path,name,ext,text,response,status,error\n.*a\.pdf,pdf,,.*\n.*,b\.txt,txt,text,/,
  )
})

void t.test('--from files needs file names', async t => {
  const place = await placeFor(t)
  const ran = await place.run(['--from', 'files', '-p', 'x'], { stdin: 'x' })
  t.equal(ran.code, 2)
  t.match(ran.err, /--from files makes a record of each file, so it needs their names/)
})

void t.test(
  '--attach names a file per record; a missing one rejects the record in its place',
  async t => {
    const files = { 'a.pdf': PDF, 'b.txt': 'a text' }
    const place = await placeFor(t, {}, files)
    const paths = ['a.pdf', 'gone.pdf', 'b.txt'].map(name => place.path(name))
    const stdin = ['path', ...paths, ''].join('\n')
    const ran = await place.run(['-p', 'Sum it up', '--attach', '{{path}}', '--job', 'one'], {
      stdin,
    })
    t.equal(ran.code, 3)
    t.same(
      ran.rows.map(({ _batch }) => _batch?.error?.type ?? _batch?.status),
      ['succeeded', 'missing_file', 'succeeded'],
    )
    t.same(
      ran.rows.map(({ path }) => path),
      paths,
    )
  },
)

void t.test('missing files count as invalid records before anything is sent', async t => {
  const place = await placeFor(t, {}, { 'a.txt': 'x' })
  const rows = Array.from({ length: 30 }, (_, i) => `gone-${i}`)
  const stdin = ['path', ...rows, ''].join('\n')
  const words = ['-p', 'x', '--attach', '{{path}}']
  const all = await place.run(words, { stdin })
  t.equal(all.code, 6, 'the first 20 are all bad')
  const one = await place.run(['-p', 'x', '--attach', '{{pth}}'], { stdin: 'path\na.txt\n' })
  t.match(one, { code: 6, err: /attach template.* no column "pth" \(did you mean "path"\?\)/ })
  const good = Array.from({ length: 30 }, () => place.path('a.txt'))
  const mixed = ['path', ...good, ...rows, ''].join('\n')
  const few = await place.run([...words, '--max-invalid', '2'], { stdin: mixed })
  t.equal(few.code, 4)
  t.match(few.err, /3 of 33 records are invalid/)
  t.same(place.emulator.ledger.batches(), [])
})

void t.test(
  'R13: a file whose content does not match its type is rejected, and nothing is billed',
  async t => {
    const files = {
      'a.png': '<html>Not found</html>',
      'b.pdf': '<!doctype html><p>Sign in',
      'c.tif': 'II*\0\x08\0\0\0',
      'd.bmp': 'BM6\x0c\0\0\0\0\0\0',
      'e.txt': 'text\0',
    }
    const place = await placeFor(t, {}, { ...files, 'f.txt': 'text' })
    const paths = [...Object.keys(files), 'f.txt'].map(name => place.path(name))
    for (const words of [
      ['--from', 'files', ...paths.flatMap(path => ['-i', path])],
      ['--attach', '{{path}}'],
    ]) {
      const stdin = ['path', ...paths, ''].join('\n')
      const ran = await place.run(['-p', 'Sum it up', ...words, '--fresh'], { stdin })
      t.equal(ran.code, 3)
      t.same(
        ran.rows.map(({ _batch }) => _batch?.error?.type ?? _batch?.status),
        [...Object.keys(files).map(() => 'wrong_file_type'), 'succeeded'],
      )
      t.match(ran.rows[0]?._batch?.error?.message, `${paths[0]} ends in .png but holds HTML`)
    }
    t.match(await place.emulator.ledger.totals(), { accepted: 2 })
  },
)

void t.test('-i FOLDER reads all files below it except hidden ones', async t => {
  const place = await placeFor(t, {}, {})
  mkdirSync(place.path('in/sub/deep'), { recursive: true })
  mkdirSync(place.path('in/.git'))
  mkdirSync(place.path('empty'))
  writeFileSync(place.path('in/b.csv'), 'text\nb\n')
  writeFileSync(place.path('in/a.jsonl'), '{"text":"a"}\n')
  writeFileSync(place.path('in/sub/deep/c.csv'), 'text\nc\n')
  writeFileSync(place.path('in/.hidden.csv'), 'text\nno\n')
  writeFileSync(place.path('in/.git/config.csv'), 'text\nno\n')
  symlinkSync(place.path('in'), place.path('in/sub/loop'))
  symlinkSync(place.path('in/b.csv'), place.path('in/sub/link.csv'))
  symlinkSync(place.path('gone'), place.path('in/sub/broken.csv'))
  const words = ['-i', place.path('in'), '-p', '{{text}}', '--order', 'input']
  const ran = await place.run(words)
  t.equal(ran.code, 0, ran.err)
  t.same(
    ran.rows.map(({ text }) => text),
    ['a', 'b', 'c', 'b'],
  )
  const files = await place.run(['--from', 'files', '--fresh', ...words])
  t.same(
    files.rows.map(({ name }) => name),
    ['a.jsonl', 'b.csv', 'c.csv', 'link.csv'],
  )
  t.match(await place.run(['-i', place.path('empty'), '-p', 'x']), {
    code: 6,
    err: /has no files \(hidden ones are skipped\)/,
  })
})

void t.test('the error for an Excel workbook explains how to export it', async t => {
  const place = await placeFor(t, {}, { 'a.xlsx': 'PK\x03\x04 a workbook' })
  const ran = await place.run(['-i', place.path('a.xlsx'), '-p', 'x'])
  t.match(ran, {
    code: 6,
    err: /a\.xlsx is a ZIP file, such as an Excel workbook: export the sheet/,
  })
  const old = await place.run(['-p', 'x'], { stdin: Buffer.from('d0cf11e0a1b11ae1', 'hex') })
  t.match(old, { code: 6, err: /the input is an Office file/ })
})

void t.test('what a run writes is no input of the folder that it reads', async t => {
  const place = await placeFor(t)
  mkdirSync(place.path('in/sub'), { recursive: true })
  for (const name of ['b', 'c', 'sub/d']) writeFileSync(place.path(`in/${name}.txt`), name)
  const at = (name: string): string => place.path(`in/${name}`)
  const log = openSync(at('a.log'), 'w')
  t.teardown(() => closeSync(log))
  const own = ['--state-dir', at('state'), '--events', at('a.events'), '--errors', at('a.errors')]
  const words = ['-i', place.path('in'), '--from', 'files', '-p', 'Say {{text}}', ...own]
  const stdout = Object.assign(new Collected(), { fd: log })
  t.equal((await place.run([...words, '--detach'], { stdout })).code, 0)
  for (const shape of [[], ['-o', at('a.jsonl')]]) {
    const again = await place.run([...words, ...shape], { stdout })
    t.match(again, { code: 0, err: /^(?:resuming job|job \S+ already has the answers)/m })
  }
  t.match(await place.emulator.ledger.totals(), { accepted: 3, acceptedTwice: 0 })
  const matches = await place.run(
    [...words.with(1, at('*')), '-o', at('a.jsonl'), '--fresh', '--limit', '9', '-n'],
    { stdout: Object.assign(new Collected(), { fd: log }) },
  )
  t.match(matches.err, /^dry run, nothing was sent: 3 records/m)
})
