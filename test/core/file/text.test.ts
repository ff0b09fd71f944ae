import t from 'tap'
import { textIn } from '../../../lib/core/file/text.ts'

void t.test('UTF-8 is text, and its byte order mark is removed', async t => {
  t.equal(textIn('a', Buffer.from('\ufeffGrüße \ufeff\ufffd\x01')), 'Grüße \ufeff\ufffd\x01')
  t.equal(textIn('a', Buffer.alloc(0)), '')
})

void t.test('UTF-16 is named', async t => {
  for (const bytes of [
    Buffer.from('\ufeffhello', 'utf16le'),
    Buffer.from('hello', 'utf16le'),
    Buffer.from('feff0068', 'hex'),
  ])
    t.match(textIn('a.txt', bytes), { type: 'invalid_utf8', message: /a\.txt is UTF-16/ })
})

void t.test(
  'R13: a file with the name of an image or a PDF but other content is described',
  async t => {
    const cases: [string, string | Buffer, RegExp][] = [
      [
        'a.png',
        '\n<!DOCTYPE html><p>Not found',
        /^the file a\.png ends in \.png but holds HTML, such/,
      ],
      ['a.PDF', '<html><body>', /^the file a\.PDF ends in \.pdf but holds HTML/],
      ['b/a.jpg', '<?xml version="1.0"?><Error/>', /holds XML$/],
      ['a.gif', '<svg xmlns=""/>', /holds XML$/],
      ['a.webp', 'version https://git-lfs.github.com/spec/v1', /holds text$/],
      ['a.jpeg', '', /holds nothing$/],
      ['a.pdf', Buffer.from('00ff00', 'hex'), /holds neither a supported image nor a PDF$/],
      ['a.tiff', 'x\0', /holds neither/],
    ]
    for (const [path, bytes, message] of cases)
      t.match(textIn(path, Buffer.from(bytes)), { type: 'wrong_file_type', message }, path)
    t.equal(textIn('a.html', Buffer.from('<html>')), '<html>', 'a text by its own name is one')
  },
)

void t.test('R13: an unsupported file type is named', async t => {
  const cases: [string, string][] = [
    ['49492a0008000000', 'a TIFF image'],
    ['4d4d002a00000008', 'a TIFF image'],
    ['424d360c000000000000360000', 'a BMP image'],
    ['00000018667479706865696300', 'a HEIC image'],
    ['0000001c667479706176696600', 'an AVIF image'],
    ['00000100010010100000', 'an icon'],
    ['504b030414000600', 'a ZIP archive, as DOCX and XLSX files are'],
    ['d0cf11e0a1b11ae1', 'an Office file of an old format'],
    ['1f8b0800000000000003', 'gzip data'],
  ]
  for (const [hex, kind] of cases) {
    for (const path of ['scan', 'scan.png', 'scan.txt']) {
      const message = `the file ${path} is ${kind}; only PNG, JPEG, GIF, WebP, PDF and text can be sent`
      t.same(textIn(path, Buffer.from(hex, 'hex')), { type: 'wrong_file_type', message })
    }
  }
  for (const text of ['BM is a village', 'MM*', 'PK', 'II'])
    t.equal(textIn('a.txt', Buffer.from(text)), text)
})

void t.test('R13: text has no NUL bytes', async t => {
  t.match(textIn('a.dat', Buffer.from('some text\0')), {
    type: 'wrong_file_type',
    message: /^the file a\.dat is not a text file: it has a NUL byte at byte offset 9; only PNG/,
  })
})

void t.test('the first invalid byte of a binary file is named', async t => {
  t.match(textIn('a.txt', Buffer.from('caf\xe9 olé', 'latin1')), {
    type: 'invalid_utf8',
    message: /a\.txt .* byte 0xe9 at byte offset 3 is not valid UTF-8/,
  })
})
