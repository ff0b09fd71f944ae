import { once } from 'node:events'
import { parse } from 'csv-parse/sync'
import t from 'tap'
import { Result } from '../../../lib/core/results/result.ts'
import {
  csvTable,
  writeCsv,
  writeTsv,
  type WriteCsvOptions,
} from '../../../lib/stages/write/csv.ts'
import { answered, batch, message, record, said, without } from './made.ts'

async function written(results: readonly Result[], stream = writeCsv()): Promise<string> {
  let text = ''
  stream.on('data', chunk => (text += String(chunk)))
  for (const result of results) stream.write(result)
  stream.end()
  await once(stream, 'end')
  return text
}
const csv = (results: readonly Result[], options?: WriteCsvOptions) =>
  written(results, writeCsv(options))
const unreadable = (line: number, input = 'a,b,"c') =>
  without('rejected', record(JSON.stringify({ input }), { line }), 'bad_record')

t.test('the input columns come first, then response, status and error', async t => {
  const rows = [
    said('good', '{"id":"1","text":"a"}'),
    answered({ type: 'expired' }, '{"id":"2","text":"b"}'),
  ]
  t.equal(
    await csv(rows),
    'id,text,response,status,error\n' +
      '1,a,good,succeeded,\n' +
      '2,b,,expired,expired: the batch expired before this request was answered\n',
  )
})

t.test('the header is emitted once, in the same chunk as the first row', async t => {
  const stream = writeCsv()
  const chunks: string[] = []
  stream.on('data', chunk => chunks.push(String(chunk)))
  for (const text of ['a', 'b', 'c']) stream.write(said(text, '{"id":1}'))
  stream.end()
  await once(stream, 'end')
  t.same(chunks, [
    'id,response,status,error\n1,a,succeeded,\n',
    '1,b,succeeded,\n',
    '1,c,succeeded,\n',
  ])
})

t.test('quotes, delimiters and line breaks survive a reader', async t => {
  const cells = ['a,b', 'say "x"', 'two\nlines', 'cr\rhere', '', ' blank ', '"']
  const fields = Object.fromEntries(cells.map((cell, n) => [`c${n}`, cell]))
  const read: string[][] = parse(await csv([said('re,"sp"\nonse', JSON.stringify(fields))]))
  t.same(read[1], [...cells, 're,"sp"\nonse', 'succeeded', ''])
})

t.test(
  'values that are not strings are written as JSON, with their digits; null is empty',
  async t => {
    const row = said('x', '{"n":12345678901234567890,"x":1.0,"b":true,"z":null,"o":{"a": [1.0]}}')
    const read: string[][] = parse(await csv([row]))
    t.same(read[1], [
      '12345678901234567890',
      '1.0',
      'true',
      '',
      '{"a": [1.0]}',
      'x',
      'succeeded',
      '',
    ])
  },
)

t.test('a missing column is an empty cell, also if the fields have another order', async t => {
  t.equal(
    await csv([said('x', '{"a":1,"b":2}'), said('y', '{"b":3}')]),
    'a,b,response,status,error\n1,2,x,succeeded,\n,3,y,succeeded,\n',
  )
})

t.test('a field without a column ends the pipeline instead of vanishing', async t => {
  const stream = writeCsv()
  const failed = once(stream, 'error')
  stream.resume().write(said('x', '{"a":1}'))
  stream.write(said('y', record('{"a":1,"note":"kept?"}', { line: 7, source: 'a.jsonl' })))
  t.match(await failed, [
    {
      code: 'CBS_OUTPUT',
      message:
        'the record on line 7 has a field "note" that is not a column ("a"): name the columns with `columns` of the writer, or write JSON lines (`writeJsonl`)',
      place: { line: 7, source: 'a.jsonl' },
    },
  ])
})

t.test('named columns are a selection: other fields are left out', async t => {
  t.equal(
    await csv([said('x', '{"a":1,"b":2,"c":3}')], { columns: ['c', 'a'] }),
    'c,a,response,status,error\n3,1,x,succeeded,\n',
  )
})

t.test('named columns make a header even without rows; unknown columns do not', async t => {
  t.equal(await csv([], { columns: ['a b', 'c'] }), 'a b,c,response,status,error\n')
  t.equal(await csv([]), '')
})

t.test('an unreadable record is described in the error cell, with its line and text', async t => {
  t.equal(
    await csv([said('x', '{"a":"1","b":"2"}'), unreadable(9)]),
    'a,b,response,status,error\n1,2,x,succeeded,\n,,,rejected,"bad_record: a reason (line 9: a,b,""c)"\n',
  )
})

t.test('leading unreadable records wait for a record that shows the columns', async t => {
  const read: string[][] = parse(await csv([unreadable(2), unreadable(3), said('x', '{"a":1}')]))
  t.same(
    read.map(row => row.slice(0, 3)),
    [
      ['a', 'response', 'status'],
      ['', '', 'rejected'],
      ['', '', 'rejected'],
      ['1', 'x', 'succeeded'],
    ],
  )
})

t.test('if all records are unreadable or text lines, the only column is input', async t => {
  t.equal(
    await csv([unreadable(2, 'junk')]),
    'input,response,status,error\njunk,,rejected,bad_record: a reason\n',
  )
  t.equal(
    await csv([said('x', '{"input":"a line"}')]),
    'input,response,status,error\na line,x,succeeded,\n',
  )
})

t.test('no more than a hundred unreadable records wait', async t => {
  const stream = writeCsv()
  let text = ''
  stream.on('data', chunk => (text += String(chunk)))
  for (let line = 1; line <= 101; line++) stream.write(unreadable(line, `junk ${line}`))
  await new Promise(setImmediate)
  t.equal(text.split('\n').length, 103, 'header, 101 rows and the end')
  stream.end()
  await once(stream, 'end')
  t.match(text, /junk 101,,rejected/)
})

t.test('a long unreadable record is shortened, with the line where the rest is', async t => {
  const [, row] = parse(
    await csv([said('x', '{"a":1}'), unreadable(9, 'y'.repeat(5000))], { columns: ['a'] }),
  ).slice(1)
  t.equal(row?.at(-1), `bad_record: a reason (line 9: ${'y'.repeat(1000)}...)`)
})

t.test('input columns keep their names, and added columns are renamed', async t => {
  const row = said('x', '{"status":"open","error":"E1","_status":"?"}')
  t.equal(
    await csv([row]),
    'status,error,_status,response,__status,_error\nopen,E1,?,x,succeeded,\n',
  )
})

t.test('the fields that an earlier run added are not input columns', async t => {
  t.equal(
    await csv([said('x', '{"id":1,"response":null,"_batch":{"status":"expired"}}')]),
    'id,response,status,error\n1,x,succeeded,\n',
  )
})

t.test('a rejected record keeps a response of its own', async t => {
  const rows = [
    said('x', '{"id":1}'),
    without('rejected', '{"id":2,"response":"mine"}', 'response_exists'),
  ]
  t.equal(
    await csv(rows),
    'id,response,status,error\n1,x,succeeded,\n2,mine,rejected,response_exists: a reason\n',
  )
})

t.test('fields can have other names', async t => {
  t.equal(
    await csv([said('x', '{"response":"a","m":1}')], { responseField: 'r2', metaField: 'm' }),
    'response,r2,status,error\na,x,succeeded,\n',
  )
})

t.test('rows of a batch of another tool have its custom_id', async t => {
  const of = (customId: string | null) => {
    const raw = Buffer.from(
      JSON.stringify({ custom_id: customId, result: message([{ type: 'text', text: 'hi' }]) }),
    )
    return new Result({ batch, customId, record: undefined, raw, last: true })
  }
  t.equal(
    await csv([of('theirs'), of(null)]),
    'custom_id,response,status,error\ntheirs,hi,succeeded,\n,hi,succeeded,\n',
  )
  t.equal(
    await csv([of('theirs')], { columns: ['id'] }),
    'id,response,status,error\n,hi,succeeded,\n',
  )
  const stream = writeCsv()
  const failed = once(stream, 'error')
  stream.resume().write(said('x', '{"a":1}'))
  stream.write(of('theirs'))
  t.match(await failed, [
    { code: 'CBS_OUTPUT', message: /^the result theirs has a field "custom_id"/ },
  ])
})

t.test('I11: __proto__ and constructor are plain columns', async t => {
  t.equal(
    await csv([said('x', '{"__proto__":"p","constructor":"c"}'), said('y', '{}')]),
    '__proto__,constructor,response,status,error\np,c,x,succeeded,\n,,y,succeeded,\n',
  )
})

t.test('O01: formulas are guarded only with `safe`, in the header too', async t => {
  const row = said('a\n=2', '{"=h":"=1+1","n":"-5"}')
  t.equal(
    await csv([row], { safe: true }),
    "'=h,n,response,status,error\n'=1+1,-5,\"'a\n=2\",succeeded,\n",
  )
  t.equal(await csv([row]), '=h,n,response,status,error\n=1+1,-5,"a\n=2",succeeded,\n')
})

t.test('tab-separated values', async t => {
  t.equal(
    await written([said('a\tb', '{"id":"1,2"}')], writeTsv()),
    'id\tresponse\tstatus\terror\n1,2\t"a\tb"\tsucceeded\t\n',
  )
  t.equal(
    await csv([said('x', '{"id":1}')], { delimiter: ';' }),
    'id;response;status;error\n1;x;succeeded;\n',
  )
})

t.test('a table without the stream gives header and rows', async t => {
  const { header, rowOf } = csvTable(['id'])
  t.equal(header.toString(), 'id,response,status,error\n')
  t.equal(rowOf(said('x', '{"id":1,"more":2}')).toString(), '1,x,succeeded,\n')
})

t.test('wrong options are refused at once', async t => {
  for (const delimiter of ['', ',,', '"', '\n', '\r', 5]) {
    // One of them is no string on purpose.
    t.throws(() => writeCsv({ delimiter: delimiter as string }), {
      code: 'CBS_OPTION',
      message: /`delimiter`/,
    })
  }
  // @ts-expect-error a list is wanted
  t.throws(() => writeCsv({ columns: 'a,b' }), {
    code: 'CBS_OPTION',
    message: /`columns` must be a list of names/,
  })
  // @ts-expect-error names are text
  t.throws(() => writeCsv({ columns: [1] }), { code: 'CBS_OPTION' })
  t.throws(() => writeCsv({ metaField: 'response' }), { code: 'CBS_OPTION' })
})
