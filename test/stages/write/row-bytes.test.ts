import t from 'tap'
import { RowBytes } from '../../../lib/stages/write/row-bytes.ts'

const SOME = Buffer.from('0123456789'.repeat(20_000))

void t.test('a row is its texts and bytes one after the other, of any length', async t => {
  const rows = new RowBytes()
  const given: [Buffer, string][] = []
  for (let length = 0; length < 150_000; length = length * 2 + 1) {
    rows
      .begin()
      .text('é😀')
      .bytes(SOME, 3, 3 + length)
      .text('\ud800"')
    given.push([rows.take(), `é😀${SOME.toString('latin1', 3, 3 + length)}\ufffd"`])
  }
  // All are compared at the end: a later row must not have changed an earlier one.
  for (const [row, expected] of given) t.equal(row.toString(), expected)
})

void t.test('the remains of an unfinished row are in no other row', async t => {
  const rows = new RowBytes()
  rows.begin().text('one')
  t.equal(String(rows.take()), 'one')
  rows.begin().text('broken ')
  rows.begin().text('two')
  t.equal(String(rows.take()), 'two')
})

void t.test('a long row is copied few times, whatever follows its longest part', async t => {
  const rows = new RowBytes()
  rows.begin().bytes(SOME)
  const { buffer } = rows.take()
  t.ok(buffer.byteLength < SOME.length * 1.3, `${buffer.byteLength} bytes`)
  rows.begin().bytes(SOME)
  for (let at = 0; at < 500; at++) rows.text('a few words more')
  t.equal(rows.take().length, SOME.length + 500 * 16)
})
