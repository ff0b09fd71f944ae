import { Readable, Transform } from 'node:stream'
import { createInflateRaw, gzipSync } from 'node:zlib'
import t from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import type { InputNote } from '../../../lib/stages/parse/note.ts'
import { unpack, type UnpackOptions } from '../../../lib/stages/parse/unpack.ts'
import { cuts } from './feeding.ts'

interface Unpacked {
  readonly text: string
  readonly error: BatchStreamError | undefined
}

async function unpacked(
  chunks: Iterable<Uint8Array>,
  options: UnpackOptions = {},
): Promise<Unpacked> {
  const pieces: Buffer[] = []
  const stage = unpack(options)
  Readable.from(chunks, { objectMode: false }).pipe(stage)
  try {
    for await (const piece of stage) pieces.push(piece)
  } catch (error) {
    if (!(error instanceof BatchStreamError)) throw error
    return { text: Buffer.concat(pieces).toString(), error }
  }
  return { text: Buffer.concat(pieces).toString(), error: undefined }
}

t.test('gzip is detected by its first bytes and may have several members', async t => {
  const input = Buffer.concat([gzipSync('one\n'), gzipSync('two\n'), gzipSync('')])
  for (const chunks of cuts(input))
    t.same(await unpacked(chunks), { text: 'one\ntwo\n', error: undefined })
})

t.test('anything else passes unchanged, also what is too short to tell', async t => {
  for (const input of ['', 'a', '\u001f', 'abc', 'plain text\n']) {
    for (const chunks of cuts(Buffer.from(input)))
      t.same(await unpacked(chunks), { text: input, error: undefined })
  }
})

t.test('truncated gzip gives all that can be read, then an error (I16)', async t => {
  const text = Array.from({ length: 20_000 }, (_, index) => `line ${index * 7919}\n`).join('')
  const whole = gzipSync(text)
  for (const size of [whole.length - 1, whole.length - 9, 40_000, 100, 12, 3, 2]) {
    const cut = whole.subarray(0, size)
    const { text: got, error } = await unpacked([cut], { source: 'a.csv.gz' })
    t.match(error, { code: 'CBS_INPUT', place: { source: 'a.csv.gz' } })
    t.equal(
      error?.message,
      `the gzip bytes of a.csv.gz break off within its first ${size} bytes; get the whole file and run it again`,
    )
    t.ok(text.startsWith(got))
    if (size > 100) t.ok(got.length > size, `${got.length} characters of ${size} bytes`)
    if (size === whole.length - 1) t.equal(got, text)
  }
})

t.test('a slow reader of truncated gzip gets all that can be read', async t => {
  // Far more than the streams hold, so that some is waiting when the input ends.
  const text = 'x'.repeat(3_000_000)
  const stage = unpack()
  stage.end(gzipSync(text).subarray(0, -4))
  let length = 0
  await t.rejects(
    async () => {
      for await (const piece of stage) {
        length += piece.length
        await new Promise(resolve => setImmediate(resolve))
      }
    },
    { code: 'CBS_INPUT', message: /^the gzip bytes of the input break off/ },
  )
  t.equal(length, 3_000_000)
})

t.test('damaged gzip is an error with its cause', async t => {
  const damaged = gzipSync('some text')
  damaged[12] = 0xff
  const { error } = await unpacked([damaged])
  t.match(error, { code: 'CBS_INPUT', message: /^the gzip bytes of the input are damaged \(.+\)/ })
  t.ok(error?.cause instanceof Error)
})

t.test(
  'R14: bytes after gzip are dropped and reported, and the decompressed bytes are kept',
  async t => {
    const packed = Buffer.concat([gzipSync('one\n'), gzipSync('two\n')])
    const text = 'one\ntwo\n'
    const cases: [Buffer, string][] = [
      [Buffer.alloc(512), '512 zero bytes'],
      [Buffer.from('garbage, longer than a header'), '29 bytes'],
      [Buffer.from('\0\0garbage'), '9 bytes'],
      [Buffer.from('\x1fx'), '2 bytes'],
      [Buffer.concat([Buffer.alloc(3), gzipSync('lost')]), '27 bytes'],
      [Buffer.from('\n'), '1 byte'],
    ]
    for (const [behind, what] of cases) {
      for (const chunks of cuts(Buffer.concat([packed, behind]))) {
        const notes: string[] = []
        const onNote = ({ message }: InputNote): unknown => notes.push(message)
        t.same(await unpacked(chunks, { source: 'a.gz', onNote }), { text, error: undefined })
        t.same(
          notes.map(note => note.replace('they are', 'are')),
          [`a.gz has ${what} after its gzip data, which are ignored`],
        )
      }
    }
    const { error } = await unpacked([packed, Buffer.alloc(9)], {
      onNote: () => {
        throw new Error('boom')
      },
    })
    t.match(error, { code: 'CBS_STAGE', message: '`onNote` failed: boom' })
  },
)

t.test('R14: a truncated last member is not trailing garbage', async t => {
  const members = [gzipSync('one\n'), gzipSync('two\n')]
  for (let size = 1; size < (members[1]?.length ?? 0); size++) {
    const cut = members[1]?.subarray(0, size) ?? Buffer.alloc(0)
    for (const chunks of [[Buffer.concat([members[0] ?? cut, cut])], [members[0] ?? cut, cut]]) {
      const { text, error } = await unpacked(chunks)
      t.match(error?.message, /^the gzip bytes of the input break off within/, `${size} bytes`)
      t.match(text, /^one\n(t?w?o?\n?)$/)
    }
  }
})

t.test('a gzip header with all optional fields is read', async t => {
  const plain = gzipSync('text\n')
  const header = Buffer.from(plain.subarray(0, 10))
  header[3] = 2 + 4 + 8 + 16
  const more = [Buffer.from([3, 0, 1, 2, 3]), Buffer.from('a.csv\0'), Buffer.from('of me\0ab')]
  const input = Buffer.concat([header, ...more, plain.subarray(10)])
  for (const chunks of cuts(input))
    t.same(await unpacked(chunks), { text: 'text\n', error: undefined })
})

t.test('a member with a wrong checksum, length or header is damaged', async t => {
  const member = gzipSync('some text')
  const changed = (at: number, byte: number): Buffer => {
    const copy = Buffer.from(member)
    copy[at < 0 ? copy.length + at : at] = byte
    return copy
  }
  const unending = Buffer.concat([changed(3, 8).subarray(0, 10), Buffer.alloc(1_100_000, 'x')])
  for (const [input, why] of [
    [changed(-8, 1), 'incorrect data check'],
    [changed(-4, 1), 'incorrect length check'],
    [changed(2, 7), 'incorrect header check'],
    [changed(3, 0x80), 'incorrect header check'],
    [unending, 'incorrect header check'],
  ] as const) {
    const { error } = await unpacked([input])
    t.match(error, { code: 'CBS_INPUT', message: `are damaged (${why})` })
  }
})

t.test('a gzip bomb is read in constant memory (I18)', async t => {
  const bomb = gzipSync(Buffer.alloc(300_000_000))
  const before = process.memoryUsage().rss
  const stage = unpack()
  Readable.from([bomb], { objectMode: false }).pipe(stage)
  let length = 0
  let most = 0
  for await (const piece of stage) {
    length += piece.length
    most = Math.max(most, process.memoryUsage().rss - before)
  }
  t.equal(length, 300_000_000)
  t.ok(most < 100_000_000, `${most} bytes more`)
})

t.test('a reader that pauses gets every member in order', async t => {
  const parts = Array.from({ length: 20 }, (_, at) => String.fromCharCode(97 + at).repeat(70_000))
  const stage = unpack()
  stage.end(Buffer.concat(parts.map(part => gzipSync(part))))
  await new Promise(resolve => setTimeout(resolve, 50))
  const pieces: Buffer[] = []
  for await (const piece of stage) {
    pieces.push(piece)
    if (pieces.length % 10 === 0) await new Promise(resolve => setTimeout(resolve, 1))
  }
  t.ok(Buffer.concat(pieces).toString() === parts.join(''))
})

t.test('zstd is decompressed if Node supports it; otherwise the error says how', async t => {
  const zstd = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3])
  const seen: number[] = []
  const createZstdDecompress = (): Transform =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        seen.push(...chunk)
        done(null, 'unpacked')
      },
    })
  t.same(await unpacked([zstd], { zlib: { createInflateRaw, createZstdDecompress } }), {
    text: 'unpacked',
    error: undefined,
  })
  t.same(seen, [...zstd])
  const { error } = await unpacked([zstd], { source: 'a.csv.zst', zlib: { createInflateRaw } })
  t.match(error, {
    code: 'CBS_INPUT',
    message: /cannot unpack; pipe it through: zstd -dc a\.csv\.zst$/,
  })
  t.match(
    (await unpacked([zstd.subarray(0, 4)], { zlib: { createInflateRaw } })).error?.message,
    /zstd -dc$/,
  )
})

t.test('a reader that stops also stops decompression', async t => {
  let destroyed = false
  const inner = new Transform({
    transform: (_chunk, _encoding, done) => done(null, Buffer.alloc(100_000)),
    destroy: (error, done) => {
      destroyed = true
      done(error)
    },
  })
  const inflater = Object.assign(inner, { bytesWritten: 0 })
  const stage = unpack({ zlib: { createInflateRaw: () => inflater } })
  stage.write(gzipSync('x'))
  for await (const _ of stage) break
  t.ok(destroyed)
})

t.test('I18 a gzip bomb is reported once; plain bytes and low ratios are not', async t => {
  const count = async (bytes: Buffer, source?: string): Promise<string[]> => {
    const said: string[] = []
    const stage = unpack({ source, onHighCompressionRatio: sentence => said.push(sentence) })
    stage.end(bytes)
    for await (const _ of stage);
    return said
  }
  const bomb = gzipSync(Buffer.alloc(150_000_000))
  t.same(await count(bomb, 'a.gz'), ['a.gz unpacks to more than 100 times its size'])
  t.same(await count(bomb), ['the input unpacks to more than 100 times its size'])
  t.same(await count(gzipSync(Buffer.alloc(50_000_000))), [], 'below 100 MB nobody is bothered')
})

t.test(
  'onHighCompressionRatio that throws or returns a promise ends the stream with CBS_STAGE',
  async t => {
    const bomb = gzipSync(Buffer.alloc(150_000_000))
    const failures: readonly [() => void, RegExp][] = [
      [
        () => {
          throw new Error('boom')
        },
        /^`onHighCompressionRatio` failed: boom/,
      ],
      [
        () => Promise.reject(new Error('boom')),
        /^`onHighCompressionRatio` returned a promise, but must be synchronous/,
      ],
    ]
    for (const [onHighCompressionRatio, message] of failures) {
      const stage = unpack({ onHighCompressionRatio })
      stage.end(bomb)
      const all = async (): Promise<void> => {
        for await (const _ of stage);
      }
      await t.rejects(all(), { code: 'CBS_STAGE', message })
    }
  },
)
