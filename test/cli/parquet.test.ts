import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet'
import t from 'tap'
import { parquetOutput } from '../../lib/cli/parquet-output.ts'
import type { RowOptions } from '../../lib/cli/row-options.ts'
import { Talk } from '../../lib/cli/talk.ts'
import { openFor, watched } from '../support/jobs.ts'
import { bytesOf, column, parquetFile, text, type Column } from '../support/parquet.ts'
import { Collected, placeFor, until, type Place } from './world.ts'

const ROOT = join(import.meta.dirname, '../..')

type ParquetRow = Readonly<Record<string, unknown>>

function bufferOf(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
}

async function rowsIn(bytes: Buffer): Promise<ParquetRow[]> {
  return await parquetReadObjects({ file: bufferOf(bytes) })
}

/** The types of a file's columns. */
async function typesIn(bytes: Buffer): Promise<Record<string, string | undefined>> {
  const { children } = parquetSchema(await parquetMetadataAsync(bufferOf(bytes)))
  return Object.fromEntries(
    children.map(({ element }) => [element.name, element.converted_type ?? element.type]),
  )
}

/** Two rows: numbers that a double cannot hold, a null, and a nested column. */
const COLUMNS: readonly Column[] = [
  column('n', [2n ** 63n - 1n, 2n ** 53n + 1n], 'INT64'),
  text('review', ['Broke "after"\na day', null]),
  column('price', [1250n, -5n], 'INT64', { converted_type: 'DECIMAL', precision: 18, scale: 2 }),
  {
    data: [['a', null], []],
    schema: [
      { name: 'tags', converted_type: 'LIST', repetition_type: 'OPTIONAL', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
    ],
  },
]

const RECORDS = [
  '{"n":9223372036854775807,"review":"Broke \\"after\\"\\na day","price":12.50,"tags":["a",null]}',
  '{"n":9007199254740993,"review":null,"price":-0.05,"tags":[]}',
]

/** The records in front of the answers of JSON rows. */
function recordsIn(out: string): string[] {
  return out
    .split('\n')
    .slice(0, -1)
    .map(line => `${line.slice(0, line.indexOf(',"response":'))}}`)
}

void t.test('a Parquet file is detected, and its records are kept byte for byte', async t => {
  const place = await placeFor(t)
  parquetFile(place.path('in.parquet'), COLUMNS, { rowGroupSize: 1 })
  parquetFile(place.path('in.data'), COLUMNS)
  for (const name of ['in.parquet', 'in.data']) {
    const ran = await place.run([
      '-i',
      place.path(name),
      '-p',
      '{{n}}: {{review?}} {{tags.0?}} {{price}}',
    ])
    t.equal(ran.code, 0, ran.err)
    t.same(recordsIn(ran.out), RECORDS)
    t.match(String(ran.rows[0]?.['response']), /9223372036854775807: Broke "after"\na/)
    t.match(ran.rows[1]?._batch, { line: 2, source: place.path(name) })
  }
})

void t.test('Parquet from a pipe is copied to a temporary file', async t => {
  const place = await placeFor(t)
  const bytes = bytesOf(COLUMNS)
  const stdin = Readable.from([bytes.subarray(0, 2), bytes.subarray(2, 90), bytes.subarray(90)])
  const piped = await place.run(['-p', '{{n}}'], { stdin })
  t.same(recordsIn(piped.out), RECORDS)
  t.notOk(piped.rows[0]?._batch?.source)
  const said = await place.run(['--from', 'parquet', '-p', '{{n}}', '--fresh'], { stdin: bytes })
  t.same(recordsIn(said.out), RECORDS)
  execFileSync('mkfifo', [place.path('pipe')])
  const feeding = writeFile(place.path('pipe'), bytes)
  const named = await place.run(['--from', 'parquet', '-i', place.path('pipe'), '-p', '{{n}}'])
  t.same(recordsIn(named.out), RECORDS)
  await feeding
})

void t.test(
  'the error for Parquet in another format, or for a file that only looks like it, has advice',
  async t => {
    const place = await placeFor(t, {}, { 'empty.parquet': '', 'text.csv': 'a\n1\n' })
    parquetFile(place.path('in.parquet'), COLUMNS)
    const wrong = await place.run(['--from', 'csv', '-i', place.path('in.parquet'), '-p', 'x'])
    t.equal(wrong.code, 6)
    t.match(wrong.err, 'in.parquet is a Parquet file: read it with --from parquet')
    const empty = await place.run(['-i', place.path('empty.parquet'), '-p', 'x'])
    t.equal(empty.code, 6)
    t.match(empty.err, 'empty.parquet cannot be read as Parquet')
    const csv = await place.run(['--from', 'parquet', '-i', place.path('text.csv'), '-p', 'x'])
    t.match(csv.err, 'text.csv cannot be read as Parquet')
    const absent = await place.run(['--from', 'parquet', '-i', place.path('absent'), '-p', 'x'])
    t.match([absent.code, absent.err], [6, /absent/])
    const table = await place.run(['--delimiter', ';', '-i', place.path('in.parquet'), '-p', 'x'])
    t.match([table.code, table.err], [6, /is a Parquet file/])
  },
)

void t.test('a short, an empty and an interrupted pipe are not Parquet', async t => {
  const place = await placeFor(t)
  const short = await place.run(['--from', 'auto', '-p', '{{a}}'], { stdin: 'a\n1' })
  t.match(short.rows, [{ a: '1' }])
  const none = await place.run(['-p', '{{a}}'], { stdin: Readable.from([]) })
  t.match(none.err, 'no input')
  const stdin = new PassThrough()
  const { world, ended } = place.start(['-p', 'x'], { stdin })
  await until(() => stdin.listenerCount('readable') > 0)
  world.emit('SIGINT', 'SIGINT')
  t.equal((await ended).code, 130)
  stdin.destroy()
})

void t.test('a truncated file is answered as far as it can be read', async t => {
  const place = await placeFor(t)
  const rows = Array.from({ length: 4 }, (_, at) => `row ${at + 1}`)
  const bytes = bytesOf([text('s', rows)], { rowGroupSize: 2, codec: 'UNCOMPRESSED' })
  bytes.writeUInt32LE(0x7f_ff_ff_ff, bytes.indexOf('row 3') - 4)
  writeFileSync(place.path('in.parquet'), bytes)
  const ran = await place.run(['-i', place.path('in.parquet'), '-p', '{{s}}'])
  t.equal(ran.code, 6)
  t.match(ran.rows, [{ s: 'row 1' }, { s: 'row 2' }])
  t.match(ran.err, 'in.parquet cannot be read as Parquet after row 2')
})

const INPUT = [
  '{"n":9223372036854775807,"x":0.5,"big":1e400,"ok":true,"any":"text","nest":{"a":[1]},"none":null}',
  '{"n":-9223372036854775808,"x":2,"big":12345678901234567890,"ok":false,"any":17,"nest":[]}',
  '{"n":null,"x":-0,"big":0.12345678901234567890,"any":true,"later":"ü\\n\\"😀\\""}',
  '',
].join('\n')

const TYPES = {
  n: 'INT64',
  x: 'DOUBLE',
  big: 'UTF8',
  ok: 'BOOLEAN',
  any: 'UTF8',
  nest: 'UTF8',
  none: 'UTF8',
  later: 'UTF8',
  response: 'UTF8',
  status: 'UTF8',
  error: 'UTF8',
}

const ROWS = [
  {
    n: 2n ** 63n - 1n,
    x: 0.5,
    big: '1e400',
    ok: true,
    any: 'text',
    nest: '{"a":[1]}',
    later: null,
  },
  {
    n: -(2n ** 63n),
    x: 2,
    big: '12345678901234567890',
    ok: false,
    any: '17',
    nest: '[]',
    later: null,
  },
  {
    n: null,
    x: -0,
    big: '0.12345678901234567890',
    ok: null,
    any: 'true',
    nest: null,
    later: 'ü\n"😀"',
  },
]

void t.test('--to parquet writes columns whose types hold all values exactly', async t => {
  const place = await placeFor(t)
  const path = place.path('out.parquet')
  const ran = await place.run(['-p', '{{any}}', '--job', 'j', '-o', path], { stdin: INPUT })
  t.equal(ran.code, 0, ran.err)
  const bytes = readFileSync(path)
  t.same(await typesIn(bytes), TYPES)
  const rows = await rowsIn(bytes)
  t.match(rows, ROWS)
  t.match(rows, [{ status: 'succeeded', none: null, error: null, response: /text$/ }])
  t.same(hidden(place.dir), [], 'no temporary file is left')

  const again = await place.run(['results', 'j', '-o', place.path('again.parquet')])
  t.equal(again.code, 0, again.err)
  t.same(await rowsIn(readFileSync(place.path('again.parquet'))), rows)
  const stdout = new Collected()
  await place.run(['results', 'j', '--to', 'parquet'], { stdout })
  t.same(await rowsIn(Buffer.concat(stdout.chunks)), rows)
  const chosen = place.path('chosen.parquet')
  await place.run(['results', 'j', '-o', chosen, '--output-columns', 'later,n'])
  t.same(Object.keys((await rowsIn(readFileSync(chosen)))[0] ?? {}), [
    ...['later', 'n', 'response', 'status', 'error'],
  ])
  const exists = await place.run(['results', 'j', '-o', chosen])
  t.match([exists.code, exists.err], [6, /chosen\.parquet already exists/])
  stdout.isTTY = true
  const terminal = await place.run(['results', 'j', '--to', 'parquet'], { stdout })
  t.match(
    [terminal.code, terminal.err],
    [2, /--to parquet writes binary data: name a file with -o/],
  )
  const jsonl = await place.run(['results', 'j', '--to', 'jsonl'])
  t.equal(jsonl.rows.length, 3)
})

function hidden(dir: string): string[] {
  return readdirSync(dir).filter(name => name.startsWith('.'))
}

const SCHEMA =
  '{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"],"additionalProperties":false}'

void t.test(
  'numbers of answers keep their digits, and one that no type holds spoils its cell',
  async t => {
    const answers = [
      '{"n": 9007199254740993, "x": 0.5, "b": true}',
      '{"n": -9223372036854775808, "x": 1e3}',
      '{"n": 123456789012345678901, "x": 9007199254740993}',
      '{"n": 5.0, "x": 0.12345678901234567890}',
    ]
    const place = await placeFor(t, {
      respond: params => answers[Number(/Say (\d)/.exec(JSON.stringify(params))?.[1])] ?? '',
    })
    const schema = JSON.stringify({
      type: 'object',
      properties: { n: { type: 'integer' }, x: { type: 'number' }, b: { type: 'boolean' } },
      required: ['n', 'x'],
      additionalProperties: false,
    })
    const path = place.path('out.parquet')
    const words = ['-p', 'Say {{a}}', '--schema', schema, '-o', path]
    const ran = await place.run(words, { stdin: 'a\n0\n1\n2\n3\n' })
    t.equal(ran.code, 0, ran.err)
    const large =
      'number_too_large: the answer has "n": 123456789012345678901, which INT64 cannot hold; "x": 9007199254740993, which DOUBLE cannot hold'
    t.same(
      (await rowsIn(readFileSync(path))).map(({ n, x, b, status, error }) => [
        n,
        x,
        b,
        status,
        error,
      ]),
      [
        [2n ** 53n + 1n, 0.5, true, 'succeeded', null],
        [-(2n ** 63n), 1000, null, 'succeeded', null],
        [null, null, null, 'succeeded', large],
        [5n, 0.12345678901234568, null, 'succeeded', null],
      ],
    )
  },
)

void t.test('a write that fails after the first row group leaves no file', async t => {
  const place = await placeFor(t, { respond: () => '{"n":1}' })
  const long = 'x'.repeat(9_000_000)
  const stdin = [1, 2, 3].map(a => `${JSON.stringify({ a, long })}\n`).join('')
  const words = ['-p', 'Say {{a}}', '--job', 'j', '--batch-size', '1', '--schema', SCHEMA]
  await place.run(words, { stdin })
  writeFileSync(join(place.state, 'jobs/j/batches/3.results'), 'damaged')
  const ran = await place.run(['results', 'j', '-o', place.path('out.parquet')])
  t.equal(ran.code, 10, ran.err)
  t.same(
    readdirSync(place.dir).filter(name => name.includes('parquet')),
    [],
  )
})

void t.test('a file that appears during a run is not replaced', async t => {
  let turned = 0
  const clock = { now: (): number => Date.now() + turned }
  const place = await placeFor(t, { batchTimeMs: 3_600_000, clock })
  const path = place.path('out.parquet')
  const words = ['-p', '{{a}}', '--job', 'j', '-o', path, '--max-wait', '0s']
  t.equal((await place.run(words, { stdin: 'a\n1\n' })).code, 11)
  turned += 7_200_000
  writeFileSync(path, "another program's")
  const resumed = await place.run(['resume', 'j'])
  t.match([resumed.code, resumed.err], [6, /out\.parquet already exists/])
  t.equal(readFileSync(path, 'utf8'), "another program's")
})

void t.test('a job replaces its own file, and no bytes of another program', async t => {
  const place = await placeFor(t, {
    respond: (_, { attempt }) =>
      attempt === 1 ? { error: { type: 'api_error', message: 'not yet' } } : 'yes',
  })
  const path = place.path('out.parquet')
  const words = ['-p', '{{a}}', '--job', 'j', '--retries', '0', '-o', path]
  const again = async (): Promise<string> => {
    const { code, err } = await place.run(words, { stdin: 'a\n1\n' })
    return `${code} ${/already exists/.exec(err)?.[0] ?? ''}`
  }
  t.equal(await again(), '3 ')
  const first = readFileSync(path)
  t.equal((await place.run(['retry', 'j'])).code, 0)
  t.equal(await again(), '0 ')
  const [row] = await rowsIn(readFileSync(path))
  t.match(row, { response: 'yes' })
  writeFileSync(path, first)
  t.equal(await again(), '0 ', 'a crash may have come before the new file had its name')
  t.same(await rowsIn(readFileSync(path)), [row])
  for (const others of ["another program's", Buffer.concat([first.subarray(1), first])]) {
    writeFileSync(path, others)
    t.equal(await again(), '6 already exists')
    t.same(readFileSync(path), Buffer.from(others))
  }
})

void t.test('the command of a job whose file `resume` has written prints it again', async t => {
  const place = await placeFor(t)
  const path = place.path('out.parquet')
  const words = ['-p', 'Say {{text}}', '--job', 'j', '--to', 'parquet', '-o', path]
  const stdin = 'text\na\nb\n'
  t.equal((await place.run([...words, '--detach'], { stdin })).code, 0)
  t.equal((await place.run(['resume', 'j'])).code, 0)
  const again = await place.run(words, { stdin })
  t.equal(again.code, 0, again.err)
  t.equal((await rowsIn(readFileSync(path))).length, 2)
  const other = await place.run([...words, '--to', 'jsonl'], { stdin })
  t.match(other, { code: 6, err: /already exists/ }, 'but no other format replaces it')
  t.equal((await place.run(words, { stdin })).code, 0)
})

void t.test('a file that appears in the last moment is not replaced', async t => {
  const dir = t.testdir()
  const output = join(dir, 'out.parquet')
  const disk = watched((what, path) => {
    if (what === 'open' && path === output) writeFileSync(output, "another program's")
  })
  const options: RowOptions = {
    ...{ output, to: 'parquet', order: 'input', emit: 'merged', responseField: 'response' },
    ...{ metaField: '_batch', csvSafe: false, rowCost: false },
  }
  const target = await parquetOutput(
    {
      ...{ job: await openFor(t, dir, { disk }), options, columns: [], schema: undefined },
      ...{ detached: true, records: undefined, signal: new AbortController().signal },
    },
    undefined,
    new Talk(new Collected(), true, 0),
  )
  await t.rejects(target.end(), { code: 'CBS_OUTPUT', message: /out\.parquet already exists/ })
  await target.close()
  t.equal(readFileSync(output, 'utf8'), "another program's")
  t.same(hidden(dir), [], 'no temporary file is left')
})

void t.test('a shard without records writes a file without rows', async t => {
  const place = await placeFor(t)
  const words = ['-p', '{{a}}', '--job', 'j', '--shard', '1/2', '-o', place.path('{shard}.parquet')]
  const ran = await place.run(words, { stdin: '{"a":1}\n' })
  t.equal(ran.code, 0, ran.err)
  t.same(await rowsIn(readFileSync(place.path('00001.parquet'))), [])
})

void t.test('the name of the output file decides the format, unless --to does', async t => {
  const place = await placeFor(t)
  const stdin = 'a\n1\n'
  await place.run(['-p', '{{a}}', '-o', place.path('out.csv')], { stdin })
  t.match(place.read('out.csv'), /^a,response,status,error\n/)
  await place.run(['-p', '{{a}}', '--fresh', '-o', place.path('out.TSV')], { stdin })
  t.match(place.read('out.TSV'), /^a\tresponse/)
  await place.run(['-p', '{{a}}', '--fresh', '--to', 'jsonl', '-o', place.path('b.csv')], { stdin })
  t.match(place.read('b.csv'), /^\{"a":"1"/)
})

void t.test(
  'schema properties become typed columns, and failed rows may go to another file',
  async t => {
    const schema = {
      type: 'object',
      properties: {
        score: { type: 'integer' },
        share: { type: ['number', 'null'] },
        sure: { type: 'boolean' },
        words: { type: 'array', items: { type: 'string' } },
        any: { type: 'string' },
      },
      required: ['score', 'share', 'sure', 'words', 'any'],
    }
    const place = await placeFor(t, {
      respond: params =>
        JSON.stringify(params.messages).includes('bad')
          ? 'no JSON'
          : '{"score":-3,"share":null,"sure":true,"words":["a"],"any":"b"}',
    })
    const path = place.path('out.parquet')
    const ran = await place.run(
      [
        '-p',
        '{{a}}',
        '--schema',
        JSON.stringify(schema),
        '--errors',
        place.path('bad.jsonl'),
        '-o',
        path,
      ],
      { stdin: 'a\ngood\nbad\n' },
    )
    t.equal(ran.code, 3, ran.err)
    const bytes = readFileSync(path)
    t.match(await typesIn(bytes), {
      score: 'INT64',
      share: 'DOUBLE',
      sure: 'BOOLEAN',
      words: 'UTF8',
    })
    t.same(await rowsIn(bytes), [
      {
        a: 'good',
        score: -3n,
        share: null,
        sure: true,
        words: '["a"]',
        any: 'b',
        status: 'succeeded',
        error: null,
      },
    ])
    t.match(place.read('bad.jsonl'), /"a":"bad".*"status":"invalid"/)
  },
)

void t.test('input without records produces a file with columns and without rows', async t => {
  const place = await placeFor(t)
  const path = place.path('out.parquet')
  parquetFile(place.path('in.parquet'), [column('a', [], 'INT64'), text('b', [])])
  const ran = await place.run(['-i', place.path('in.parquet'), '-p', '{{a}}', '-o', path])
  t.equal(ran.code, 0, ran.err)
  t.same(Object.keys(await typesIn(readFileSync(path))), ['a', 'b', 'response', 'status', 'error'])
  t.same(await rowsIn(readFileSync(path)), [])
  const stdout = new Collected()
  await place.run(['-p', '{{a}}', '--to', 'parquet'], { stdout, stdin: '' })
  t.same(await rowsIn(Buffer.concat(stdout.chunks)), [])
  stdout.isTTY = true
  const terminal = await place.run(['-p', '{{a}}', '--to', 'parquet'], { stdout, stdin: '' })
  t.equal(terminal.code, 2)
})

void t.test('a record that cannot be read has a row with the reason', async t => {
  const place = await placeFor(t)
  const path = place.path('out.parquet')
  const ran = await place.run(['-p', '{{a}}', '-o', path], { stdin: '{"a":1}\n{"a":\n' })
  t.equal(ran.code, 3, ran.err)
  t.match(await rowsIn(readFileSync(path)), [
    { a: 1n, status: 'succeeded' },
    { a: null, response: null, status: 'rejected', error: /invalid_json.*\(line 2: \{"a":\)/ },
  ])
})

void t.test('a run that stops early writes no file; the run that finishes does', async t => {
  const place = await placeFor(t)
  const path = place.path('out.parquet')
  const words = ['-p', '{{a}}', '--job', 'j', '-o', path, '--batch-size', '1']
  const stdin = 'a\n1\n2\n3\n'
  const stopped = await place.run([...words, '--max-cost', '0.000001'], { stdin })
  t.equal(stopped.code, 4, stopped.err)
  t.match(stopped.err, /the Parquet file is written when the job is finished/)
  t.notOk(existsSync(path))
  const resumed = await place.run(['resume', 'j', '--max-cost', '1'])
  t.equal(resumed.code, 0, resumed.err)
  t.match(await rowsIn(readFileSync(path)), [{ a: '1' }, { a: '2' }, { a: '3' }])
})

void t.test(
  'the same command keeps its finished file, rewrites a missing one and touches no other',
  async t => {
    const place = await placeFor(t)
    const path = place.path('out.parquet')
    const ask = (): ReturnType<Place['run']> =>
      place.run(['-p', '{{a}}', '-o', path], { stdin: 'a\n1\n2\n' })
    t.equal((await ask()).code, 0)
    const first = await rowsIn(readFileSync(path))
    const again = await ask()
    t.equal(again.code, 0, again.err)
    t.same(await rowsIn(readFileSync(path)), first)
    execFileSync('rm', [path])
    // What a crash left of an attempt.
    const [job = ''] = readdirSync(join(place.state, 'jobs')).filter(name => !name.startsWith('.'))
    writeFileSync(place.path(`.out.parquet.${job}.part`), 'half')
    t.equal((await ask()).code, 0)
    t.same(await rowsIn(readFileSync(path)), first)
    t.same(hidden(place.dir), [])
    execFileSync('rm', [path])
    writeFileSync(path, "another program's")
    const other = await ask()
    t.match([other.code, other.err], [6, /out\.parquet already exists/])
    t.equal(readFileSync(path, 'utf8'), "another program's")
    t.equal(place.emulator.ledger.batches().length, 1, 'nothing was asked twice')
  },
)

void t.test('retry and merge also write Parquet', async t => {
  const place = await placeFor(t, {
    respond: (params, { attempt }) =>
      attempt === 1 && JSON.stringify(params.messages).includes('2') ? { expired: true } : 'fine',
  })
  for (const index of [0, 1]) {
    const words = ['-p', '{{a}}', '--job', 'j', '--shard', `${index}/2`, '--shard-block', '1']
    const path = place.path('part-{shard}.parquet')
    const ran = await place.run([...words, '--retries', '0', '-o', path], {
      stdin: '{"a":1}\n{"a":2}\n{"b":3,"a":4}\n',
    })
    t.equal(ran.code, index === 0 ? 0 : 3, ran.err)
  }
  const merged = await place.run(['merge', 'j', '-o', place.path('all.parquet')])
  const all = await rowsIn(readFileSync(place.path('all.parquet')))
  const wanted = [
    { a: 1n, b: null },
    { a: 2n, status: 'expired' },
    { a: 4n, b: 3n },
  ]
  t.match(all, wanted, merged.err)
  const [shard] = await rowsIn(readFileSync(place.path('part-00001.parquet')))
  t.match(shard, { a: 2n, status: 'expired' })
  const path = place.path('retried.parquet')
  const retried = await place.run(['retry', 'j.00001', '-o', path])
  t.equal(retried.code, 0, retried.err)
  t.match(await rowsIn(readFileSync(path)), [{ a: 2n, response: 'fine', status: 'succeeded' }])
})

void t.test('a batch of another tool becomes a table of custom_ids', async t => {
  const place = await placeFor(t)
  await place.run(['-p', '{{a}}', '--id', 'row-{{a}}'], { stdin: 'a\n1\n' })
  const [batch] = place.emulator.ledger.batches()
  const path = place.path('batch.parquet')
  const ran = await place.run(['results', String(batch?.id), '-o', path])
  t.equal(ran.code, 0, ran.err)
  t.match(await rowsIn(readFileSync(path)), [{ custom_id: 'row-1', status: 'succeeded' }])
})

void t.test('without its packages the error says what to install', t => {
  const path = parquetFile(join(t.testdir(), 'in.parquet'), COLUMNS)
  const hook = `export async function resolve(name, context, next) {
    if (name.startsWith('hyparquet')) throw Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' })
    return next(name, context)
  }`
  const dataUrl = (code: string): string => `data:text/javascript,${encodeURIComponent(code)}`
  const register = `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hook))})`
  const without = (words: readonly string[]) =>
    spawnSync(
      process.execPath,
      [
        ...['--import', dataUrl(register)],
        ...[join(ROOT, 'dist/bin/claude-batch-stream.js'), '--emulate', ...words],
      ],
      { encoding: 'utf8', input: 'a\n1\n' },
    )
  const input = without(['-i', path, '-p', 'x'])
  t.match([input.status, input.stderr], [2, /npm install hyparquet hyparquet-compressors \(/])
  const output = without(['-p', '{{a}}', '--to', 'parquet'])
  t.match([output.status, output.stderr], [2, /npm install hyparquet-writer \(/])
  t.end()
})
