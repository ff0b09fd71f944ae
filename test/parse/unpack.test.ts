import { Readable, Transform } from 'node:stream'
import { gzipSync } from 'node:zlib'
import t from 'tap'
import { BatchStreamError } from '../../lib/errors.ts'
import { unpack, type UnpackOptions } from '../../lib/parse/unpack.ts'
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

t.test('gzip is known by its first bytes and may have several members', async t => {
  const input = Buffer.concat([gzipSync('one\n'), gzipSync('two\n'), gzipSync('')])
  for (const chunks of cuts(input))
    t.same(await unpacked(chunks), { text: 'one\ntwo\n', error: undefined })
})

t.test('anything else passes as it is, also what is too short to tell', async t => {
  for (const input of ['', 'a', '\u001f', 'abc', 'plain text\n']) {
    for (const chunks of cuts(Buffer.from(input)))
      t.same(await unpacked(chunks), { text: input, error: undefined })
  }
})

t.test('a cut gzip gives all that can be read, then an error that says so (I16)', async t => {
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

t.test('a slow reader of a cut gzip gets all that can be read', async t => {
  const text = 'x'.repeat(300_000)
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
  t.equal(length, 300_000)
})

t.test('damaged gzip is an error with its cause', async t => {
  const damaged = gzipSync('some text')
  damaged[12] = 0xff
  const { error } = await unpacked([damaged])
  t.match(error, { code: 'CBS_INPUT', message: /^the gzip bytes of the input are damaged \(.+\)/ })
  t.ok(error?.cause instanceof Error)
})

t.test('zeros behind a gzip, as tapes pad it, are left out', async t => {
  const zeros = Buffer.alloc(512)
  const { text, error } = await unpacked([gzipSync('one\n'), zeros, zeros])
  t.same([text, error], ['one\n', undefined])
})

t.test('a gzip bomb goes through in flat memory (I18)', async t => {
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

t.test('zstd is unpacked where Node can, and elsewhere the error says how', async t => {
  const zstd = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3])
  const createGunzip = (): Transform => new Transform()
  const seen: number[] = []
  const createZstdDecompress = (): Transform =>
    new Transform({
      transform(chunk: Buffer, _encoding, done) {
        seen.push(...chunk)
        done(null, 'unpacked')
      },
    })
  t.same(await unpacked([zstd], { zlib: { createGunzip, createZstdDecompress } }), {
    text: 'unpacked',
    error: undefined,
  })
  t.same(seen, [...zstd])
  const { error } = await unpacked([zstd], { source: 'a.csv.zst', zlib: { createGunzip } })
  t.match(error, {
    code: 'CBS_INPUT',
    message: /cannot unpack; pipe it through: zstd -dc a\.csv\.zst$/,
  })
  t.match(
    (await unpacked([zstd.subarray(0, 4)], { zlib: { createGunzip } })).error?.message,
    /zstd -dc$/,
  )
})

t.test('a reader that stops ends what unpacks', async t => {
  let destroyed = false
  const inner = new Transform({
    transform: (_chunk, _encoding, done) => done(null, Buffer.alloc(100_000)),
    destroy: (error, done) => {
      destroyed = true
      done(error)
    },
  })
  const stage = unpack({ zlib: { createGunzip: () => inner } })
  stage.write(gzipSync('x'))
  for await (const _ of stage) break
  t.ok(destroyed)
})

t.test('I18 a gzip bomb is told of, once; plain bytes and mild ratios are not', async t => {
  const count = async (bytes: Buffer, source?: string): Promise<string[]> => {
    const said: string[] = []
    const stage = unpack({ source, onBomb: sentence => said.push(sentence) })
    stage.end(bytes)
    for await (const _ of stage);
    return said
  }
  const bomb = gzipSync(Buffer.alloc(150_000_000))
  t.same(await count(bomb, 'a.gz'), ['a.gz unpacks to more than 100 times its size'])
  t.same(await count(bomb), ['the input unpacks to more than 100 times its size'])
  t.same(await count(gzipSync(Buffer.alloc(50_000_000))), [], 'below 100 MB nobody is bothered')
})

t.test('what onBomb throws ends the stream with CBS_STAGE, and not the process', async t => {
  const onBomb = (): never => {
    throw new Error('boom')
  }
  const stage = unpack({ onBomb })
  stage.end(gzipSync(Buffer.alloc(150_000_000)))
  const all = async (): Promise<void> => {
    for await (const _ of stage);
  }
  await t.rejects(all(), { code: 'CBS_STAGE', message: '`onBomb` failed: boom' })
})
