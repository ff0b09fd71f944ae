import t from 'tap'
import { guardFormula } from '../../../lib/stages/write/csv.ts'

t.test('O01: what a spreadsheet takes for a formula gets an apostrophe', async t => {
  const cells = [
    '=1+1',
    ' =1',
    'a\n=2',
    '-abc',
    '+SUM(A1)',
    '@cmd',
    '\t=1',
    '\tx',
    '\rx',
    'a\r\n  @x',
    '\u00a0=1',
    '＝1+1',
    '--5',
    '-5-5',
    '=5',
  ]
  for (const cell of cells) t.equal(guardFormula(cell), `'${cell}`, JSON.stringify(cell))
})

t.test('O01: a plain number is left alone', async t => {
  for (const cell of ['-5', '+5', ' -5.25 ', '-.5', '1e-7', '-1.5E+3', '-5.'])
    t.equal(guardFormula(cell), cell)
})

t.test('other text is left alone', async t => {
  for (const cell of ['', 'a=b', 'a - b', 'x@y.z', "'=1", 'one\ntwo', '"-"'])
    t.equal(guardFormula(cell), cell)
})

t.test('cells of hundreds of thousands of spaces, line breaks or digits take no time', async t => {
  const began = performance.now()
  const many = 400_000
  for (const cell of [
    ' '.repeat(many),
    '\n'.repeat(many),
    ' \n'.repeat(many),
    `${'1'.repeat(many)}x`,
  ])
    t.equal(guardFormula(cell), cell)
  t.equal(guardFormula(`-${'1'.repeat(many)}x`).length, many + 3)
  t.ok(performance.now() - began < 5000)
})
