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
    ['/N 4 /Filter /FlateDecode', deflateSync(Buffer.alloc(9000))],
    ['/Type /Metadata /Subtype /XML', Buffer.alloc(9000, 1)],
    '<</FontFile2 3 0 R>> [/ICCBased 4 0 R]',
    ['/Filter /FlateDecode', deflated],
  )
  t.same(pdfSize(file), { pages: 1, text: TEXT.length })
})

t.test('what a page names as its content is text, whatever it says of itself', async t => {
  const page = '<</Type/Page /Contents 2 0 R>>'
  for (const says of ['/Subtype /Image', '/Length1 0', '/Subtype /XML'])
    t.equal(pdfSize(pdf(page, [says, TEXT]))?.text, TEXT.length + 1, says)
})

t.test('content that pages share is counted for each of them', async t => {
  const page = '<</Type/Page /Contents 3 0 R>>'
  const again = '<</Type/Page /Contents [3 0 R 3 0 R]>>'
  t.same(pdfSize(pdf(page, again, ['/Filter/Fl', deflated])), { pages: 2, text: 3 * TEXT.length })
})

/** A stream that draws these, as often as they are named. */
function drawing(...names: string[]): readonly [string, Buffer] {
  return ['/Filter/Fl', deflateSync(Buffer.from(names.map(name => `/${name} Do`).join(' ')))]
}

t.test('a part is counted as often as it is drawn, also by other parts', async t => {
  const file = pdf(
    '<</Type/Page /Contents 2 0 R /Resources <</XObject <</A 3 0 R /Image 9 0 R>>>>>>',
    drawing('A', 'A', 'Image'),
    drawing('B', 'B', 'B'),
    '<</XObject <</B 5 0 R /C 5 0 R>>>>',
    ['/Subtype/Form /Filter/Fl', deflated],
  )
  const parts = '/A Do /A Do /Image Do'.length + 2 * '/B Do /B Do /B Do'.length
  t.same(pdfSize(file), { pages: 1, text: parts + 6 * TEXT.length })
})

t.test('parts that draw themselves, or reach too deep, have more text than any prompt', async t => {
  const itself = pdf(PAGE, drawing('A'), '<</A 2 0 R>>')
  t.ok(Number(pdfSize(itself)?.text) > 1_000_000)
  const chain = Array.from({ length: 5000 }, (_, i) => drawing(`X${i + 1}`))
  // Each is drawn by the next one.
  const names = chain.map((_, i) => `/X${i + 2} ${i + 2} 0 R`).join(' ')
  t.ok(Number(pdfSize(pdf(PAGE, ...chain, names))?.text) > 1_000_000)
})

t.test('pages are those of the tree, also without a type', async t => {
  const tree = '<</Type/Pages /Kids [2 0 R 3 0 R 4 0 R]>>'
  t.equal(pdfSize(pdf(tree, '<</Parent 1 0 R>>', PAGE, PAGE))?.pages, 3)
})

t.test('a file of any text takes linear time', async t => {
  for (const piece of [
    '1',
    '/a',
    '/1',
    '/Kids[',
    '/Kids [1 0 R ',
    '/Filter[',
    '/Contents ',
    '1 0 ',
    ' ',
    '/A Do ',
  ]) {
    const text = Buffer.from(piece.repeat(2_000_000 / piece.length))
    const began = process.cpuUsage()
    pdfSize(pdf(PAGE, text.toString(), ['', text]))
    // Quadratic time would be hours.
    t.ok(process.cpuUsage(began).user < 10_000_000, piece)
  }
})

t.test('a stream outside any object is text, too', async t => {
  const stream = `stream\n${TEXT.toString()}endstream\n`
  t.same(pdfSize(Buffer.from(`%PDF-1.7\n${PAGE}${stream}`)), { pages: 1, text: TEXT.length })
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
    ['too much text', pdf(PAGE, ['/Filter /FlateDecode', deflateSync(Buffer.alloc(1_000_001))])],
    ['too much text in all', pdf(PAGE, ['', Buffer.alloc(600_000)], ['', Buffer.alloc(600_000)])],
    ['too many objects', pdf(['/Type/ObjStm /Filter/Fl', deflateSync(Buffer.alloc(16_000_001))])],
    ['no page', pdf(['/Filter /FlateDecode', deflated])],
    ['a page twice', pdf('<</Kids [2 0 R 2 0 R]>>', PAGE)],
    ['a tree in another object', pdf('<</Kids 3 0 R>>', PAGE, '[2 0 R]')],
    ['contents in another object', pdf('<</Type/Page /Contents 2 0 R>>', '[3 0 R]', ['', TEXT])],
    ['damaged objects', pdf(PAGE, ['/Type/ObjStm /Filter /FlateDecode', Buffer.from('no')])],
  ] as const)
    t.equal(pdfSize(file), undefined, why)
})
