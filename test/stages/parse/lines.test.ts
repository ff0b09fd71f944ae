import t from 'tap'
import { Lines } from '../../../lib/stages/parse/lines.ts'
import { cuts } from './feeding.ts'

type Line = [number: number, text: string | undefined, tooLong: boolean]

function lines(chunks: Iterable<Buffer>, maxRecordBytes = 1_000_000): Line[] {
  const found: Line[] = []
  const reader = new Lines({ maxRecordBytes })
  const take = (): void => {
    while (reader.next()) {
      const bytes = reader.bytes.subarray(reader.from, reader.to)
      const text = reader.text()
      if (text !== undefined && text !== bytes.toString())
        throw new Error(`${text} is not ${bytes}`)
      found.push([reader.number, text, reader.tooLong])
    }
  }
  for (const chunk of chunks) {
    reader.write(chunk)
    take()
  }
  reader.finish()
  take()
  return found
}

const numbered = (...texts: string[]): Line[] =>
  texts.map((text, index) => [index + 1, text, false])

t.test('LF, CRLF and a lone CR end a line, and the last one needs no end (I06)', async t => {
  const inputs: [string, string[]][] = [
    ['a\nb\n', ['a', 'b']],
    ['a\r\nb\r\n', ['a', 'b']],
    ['a\rb\r', ['a', 'b']],
    ['a\nb', ['a', 'b']],
    ['a\r\n\r\nb', ['a', '', 'b']],
    ['a\n\rb\r\r\n\nc', ['a', '', 'b', '', '', 'c']],
    ['\n', ['']],
    ['', []],
    ['\r\r\r', ['', '', '']],
    ['é😀\nä\r\n', ['é😀', 'ä']],
  ]
  for (const [input, expected] of inputs) {
    for (const chunks of cuts(Buffer.from(input))) {
      t.same(
        lines(chunks),
        numbered(...expected),
        `${JSON.stringify(input)} in ${chunks.length} chunks`,
      )
    }
  }
})

t.test(
  'a byte order mark is not part of the first line, however the bytes arrive (I01)',
  async t => {
    for (const chunks of cuts(Buffer.from('\ufeffa,b\n\ufeffc\n')))
      t.same(lines(chunks), numbered('a,b', '\ufeffc'))
    for (const chunks of cuts(Buffer.from('\ufeff'))) t.same(lines(chunks), [])
  },
)

const utf32 = (text: string): Buffer =>
  Buffer.from(Uint32Array.from([...text].map(character => character.codePointAt(0) ?? 0)).buffer)

t.test('an input of NUL bytes is rejected', async t => {
  for (const size of [1, 3, 8, 20]) {
    for (const chunks of cuts(Buffer.alloc(size))) {
      t.throws(() => lines(chunks), { code: 'CBS_INPUT', message: /begins with NUL bytes/ })
    }
  }
})

t.test('UTF-16 and UTF-32 are rejected with and the command that converts it (I02)', async t => {
  const le = Buffer.from('{"a":1}\n', 'utf16le')
  const be = Buffer.from(le).swap16()
  const cases: [Buffer, string][] = [
    [Buffer.concat([Buffer.from([0xff, 0xfe]), le]), 'UTF-16'],
    [Buffer.concat([Buffer.from([0xfe, 0xff]), be]), 'UTF-16'],
    [le, 'UTF-16LE'],
    [be, 'UTF-16BE'],
    [Buffer.from('ab', 'utf16le'), 'UTF-16LE'],
    [utf32('\ufeffab'), 'UTF-32'],
    [utf32('\ufeffab').swap32(), 'UTF-32'],
    [utf32('ab'), 'UTF-32LE'],
    [utf32('ab').swap32(), 'UTF-32BE'],
    [utf32('a'), 'UTF-32LE'],
  ]
  for (const [input, encoding] of cases) {
    for (const chunks of cuts(input)) {
      t.throws(() => lines(chunks), { code: 'CBS_INPUT', message: `iconv -f ${encoding} -t UTF-8` })
    }
  }
  const named = new Lines({ maxRecordBytes: 10, source: 'data.csv' })
  t.throws(() => named.write(Buffer.concat([Buffer.from([0xff, 0xfe]), le])), {
    message:
      'data.csv is UTF-16 and must be UTF-8; convert it first: iconv -f UTF-16 -t UTF-8 data.csv',
    place: { source: 'data.csv', line: 1 },
  })
  t.same(lines([Buffer.from('a\0b\0\0c\n')]), numbered('a\0b\0\0c'), 'NUL bytes alone are none')
})

t.test('invalid UTF-8 has no text, and spoils only its own line', async t => {
  const input = Buffer.concat([Buffer.from('é\nab'), Buffer.from([0xe9]), Buffer.from('\nü\n')])
  for (const chunks of cuts(input)) {
    t.same(lines(chunks), [
      [1, 'é', false],
      [2, undefined, false],
      [3, 'ü', false],
    ])
  }
})

t.test(
  'a line over the limit keeps its start, and the next line is read normally (I12)',
  async t => {
    const long = 'x'.repeat(10_000)
    const input = Buffer.from(`a\n${long}\r\nb\n${long}`)
    for (const size of [1, 7, 4096, input.length]) {
      const chunks = Array.from({ length: Math.ceil(input.length / size) }, (_, index) =>
        input.subarray(index * size, (index + 1) * size),
      )
      const found = lines(chunks, 5000)
      t.same(
        found.map(([number, text, tooLong]) => [number, text?.slice(0, 1000), tooLong]),
        [
          [1, 'a', false],
          [2, 'x'.repeat(1000), true],
          [3, 'b', false],
          [4, 'x'.repeat(1000), true],
        ],
        `in chunks of ${size}`,
      )
    }
  },
)

t.test('a line exactly at the limit is not too long, one byte more is', async t => {
  for (const size of [1, 100]) {
    const cut = (text: string): Buffer[] =>
      Buffer.from(text).length > size
        ? ([...cuts(Buffer.from(text))][0] ?? [])
        : [Buffer.from(text)]
    t.same(lines(cut('12345\r\n'), 5), [[1, '12345', false]])
    t.same(lines(cut('123456\r\n'), 5), [[1, '123456', true]])
  }
})

t.test('an endless line takes bounded memory (I12)', async t => {
  const reader = new Lines({ maxRecordBytes: 100_000 })
  const chunk = Buffer.alloc(1_000_000, 'x')
  const before = process.memoryUsage().arrayBuffers
  for (let index = 0; index < 500; index++) {
    reader.write(chunk)
    t.equal(reader.next() && 'a line', false)
  }
  globalThis.gc?.()
  t.ok(process.memoryUsage().arrayBuffers - before < 10_000_000, 'half a gigabyte went through')
  reader.write(Buffer.from('\nb\n'))
  t.equal(reader.next(), true)
  t.equal(reader.tooLong, true)
  t.equal(reader.bytes.length, 4000)
  t.equal(reader.next(), true)
  t.equal(reader.text(), 'b')
  t.equal(reader.number, 2)
})

t.test('a long line in tiny chunks, and a chunk of CRs, take linear time', async t => {
  const started = process.cpuUsage()
  const byte = Buffer.from('x')
  t.equal(lines(Array.from({ length: 300_000 }, () => byte))[0]?.[1]?.length, 300_000)
  t.equal(lines([Buffer.alloc(300_000, '\r')]).length, 300_000)
  const { user, system } = process.cpuUsage(started)
  t.ok(user + system < 5_000_000, `took ${user + system} us`)
})
