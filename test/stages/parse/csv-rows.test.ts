import t from 'tap'
import { CsvRows } from '../../../lib/stages/parse/csv-rows.ts'

t.test('rows are emitted at once, with the byte at which each ended', async t => {
  const seen: [readonly string[], number][] = []
  const rows: CsvRows = new CsvRows(',', row => seen.push([row, rows.rowsEnd]))
  rows.parse(Buffer.from('a,b\n"1\n",2\r\n3'))
  t.equal(rows.finish(), true)
  t.same(seen, [
    [['a', 'b'], 4],
    [['1\n', '2'], 12],
    [['3'], 13],
  ])
})

t.test('an unclosed quote at the end is reported', async t => {
  const rows = new CsvRows(',', () => t.fail('there is no row'))
  rows.parse(Buffer.from('"a\n'))
  t.equal(rows.finish(), false)
})

t.test('an error of csv-parse becomes a BatchStreamError', async t => {
  const rows = new CsvRows(',', () => {})
  rows.options.max_record_size = 1
  t.throws(() => rows.parse(Buffer.from('abcdefghij\n')), {
    code: 'CBS_INPUT',
    message: /^the CSV cannot be read: Max Record Size/,
  })
})
