import t from 'tap'
import { textIn } from '../../lib/file/text.ts'

void t.test('UTF-8 is text, a byte order mark in front is not part of it', async t => {
  t.equal(textIn('a', Buffer.from('\ufeffGrüße \ufeff\ufffd\0')), 'Grüße \ufeff\ufffd\0')
  t.equal(textIn('a', Buffer.alloc(0)), '')
})

void t.test('UTF-16 is named', async t => {
  for (const bytes of [Buffer.from('\ufeffhello', 'utf16le'), Buffer.from('feff0068', 'hex')])
    t.match(textIn('a.txt', bytes), { type: 'invalid_utf8', message: /a\.txt is UTF-16/ })
})

void t.test('what is no text says from which byte on', async t => {
  t.match(textIn('a.txt', Buffer.from('caf\xe9 olé', 'latin1')), {
    type: 'invalid_utf8',
    message: /a\.txt .* byte 0xe9 at byte offset 3 is not valid UTF-8/,
  })
})
