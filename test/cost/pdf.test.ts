import { deflateSync } from 'node:zlib'
import t from 'tap'
import { pdfSize } from '../../lib/cost/pdf.ts'

const PAGE = '<</Type /Page /Parent 2 0 R>>'

/** A file of these objects; a stream is its dictionary and its content. */
function pdf(...objects: (string | readonly [dictionary: string, content: Buffer])[]): Buffer {
  const parts = objects.map((one, index) =>
    Buffer.concat([
      Buffer.from(`${index + 1} 0 obj\n`),
      ...(typeof one === 'string'
        ? [Buffer.from(one)]
        : [Buffer.from(`<<${one[0]}>>\nstream\r\n`), one[1], Buffer.from('\nendstream')]),
      Buffer.from('\nendobj\n'),
    ]),
  )
  return Buffer.concat([Buffer.from('%PDF-1.7\n'), ...parts, Buffer.from('%%EOF\n')])
}

const TEXT = Buffer.from('BT (Hello) Tj ET'.repeat(100))
const deflated = deflateSync(TEXT)

t.test('pages and the bytes of their text are counted, however they are stored', async t => {
  const objects = Buffer.from(`${PAGE} ${PAGE} <</Type/Pages/Count 3>>`)
  const file = pdf(
    PAGE,
    ['/Filter /FlateDecode', deflated],
    ['/Filter[/Fl]', deflated],
    ['/Length 1600', TEXT],
    ['/Type/ObjStm /N 3 /Filter/FlateDecode', deflateSync(objects)],
  )
  // A line end belongs to what is stored as it is.
  t.same(pdfSize(file), { pages: 3, text: 3 * TEXT.length + 1 + objects.length })
})

t.test('images, fonts and metadata have no text', async t => {
  const file = pdf(
    PAGE,
    ['/Subtype /Image /Filter /DCTDecode', Buffer.alloc(9000, 1)],
    ['/Length1 9000 /Filter /FlateDecode', deflateSync(Buffer.alloc(9000))],
    ['/Type /Metadata /Subtype /XML', Buffer.alloc(9000, 1)],
    ['/Filter /FlateDecode', deflated],
  )
  t.same(pdfSize(file), { pages: 1, text: TEXT.length })
})

t.test('what pages share may be on each of them', async t => {
  const file = pdf(PAGE, PAGE, ['/Subtype /Form /Filter /FlateDecode', deflated])
  t.same(pdfSize(file), { pages: 2, text: 2 * TEXT.length })
})

t.test('no more pages are counted than the API takes', async t => {
  t.equal(pdfSize(pdf(...Array<string>(700).fill(PAGE)))?.pages, 600)
})

t.test('a file that cannot be read has no size', async t => {
  const whole = pdf(PAGE, ['/Filter /FlateDecode', deflated])
  for (const [why, file] of [
    ['encrypted', pdf(PAGE, '<</Encrypt 9 0 R>>')],
    ['another filter', pdf(PAGE, ['/Filter [/ASCII85Decode /FlateDecode]', deflated])],
    ['a filter elsewhere', pdf(PAGE, ['/Filter 7 0 R', deflated])],
    ['damaged', pdf(PAGE, ['/Filter /FlateDecode', Buffer.from('no')])],
    ['cut', whole.subarray(0, whole.indexOf('endstream'))],
    ['too large', pdf(PAGE, ['/Filter /FlateDecode', deflateSync(Buffer.alloc(65_000_000))])],
    ['no page', pdf(['/Filter /FlateDecode', deflated])],
  ] as const)
    t.equal(pdfSize(file), undefined, why)
})
