import { once } from 'node:events'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import t from 'tap'
import { BatchStreamError } from '../../../lib/core/errors.ts'
import type { Result } from '../../../lib/core/results/result.ts'
import { jsonlRow, writeJsonl } from '../../../lib/stages/write/jsonl.ts'
import { answered, record, said, without } from './made.ts'

async function chunksOf(results: readonly Result[], options = {}): Promise<string[]> {
  const chunks: string[] = []
  const stream = writeJsonl(options)
  stream.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  for (const result of results) stream.write(result)
  stream.end()
  await once(stream, 'end')
  return chunks
}

t.test('each result is one chunk, one line', async t => {
  const chunks = await chunksOf([
    said('a', '{"id":1}'),
    said('b', '{"id":2}'),
    without('unanswered', '{"id":3}'),
  ])
  t.equal(chunks.length, 3)
  for (const [index, chunk] of chunks.entries()) {
    t.ok(chunk.endsWith('}\n'))
    t.match(JSON.parse(chunk), { id: index + 1 })
  }
})

t.test('the response alone is JSON, or null if there is none', async t => {
  const chunks = await chunksOf(
    [said('a "b"\n'), without('rejected'), answered({ type: 'expired' })],
    { emit: 'response' },
  )
  t.same(chunks, ['"a \\"b\\"\\n"\n', 'null\n', 'null\n'])
})

t.test('rows can omit the meta field', async t => {
  t.same(await chunksOf([said('a', '{"id":1}')], { metaField: 'none', responseField: 'r' }), [
    '{"id":1,"r":"a"}\n',
  ])
})

t.test('no results, no bytes', async t => {
  t.same(await chunksOf([]), [])
})

t.test('a row is the same with and without the stream', async t => {
  const result = said('a')
  t.same([jsonlRow()(result).toString()], await chunksOf([result]))
})

t.test('a slow reader holds the results back', async t => {
  const large = 'x'.repeat(50_000)
  let given = 0
  let most = 0
  let taken = 0
  const results = function* () {
    for (; given < 200; given++) {
      most = Math.max(most, given - taken)
      yield said(large)
    }
  }
  const slow = new Writable({
    highWaterMark: 1,
    write(_chunk, _encoding, done) {
      taken++
      setImmediate(done)
    },
  })
  await pipeline(results, writeJsonl(), slow)
  t.equal(taken, 200)
  t.ok(most < 50, `at most ${most} rows were under way`)
})

t.test('invalid options are rejected at once', async t => {
  t.throws(() => writeJsonl({ responseField: '' }), {
    code: 'CBS_OPTION',
    message: /`responseField` must be the name of a field/,
  })
  t.throws(() => writeJsonl({ metaField: '' }), { code: 'CBS_OPTION', message: /`metaField`/ })
  t.throws(() => writeJsonl({ metaField: 'response' }), {
    code: 'CBS_OPTION',
    message: /another name than/,
  })
  // @ts-expect-error no such shape of a row
  t.throws(() => writeJsonl({ emit: 'all' }), {
    code: 'CBS_OPTION',
    message: "`emit` must be 'merged' or 'response', got \"all\"",
  })
  // @ts-expect-error a name is text
  t.throws(() => writeJsonl({ responseField: 3 }), { code: 'CBS_OPTION' })
  // @ts-expect-error a name is text
  t.throws(() => writeJsonl({ metaField: 3 }), { code: 'CBS_OPTION' })
})

t.test('an unreadable result ends the pipeline with a BatchStreamError', async t => {
  const broken = said('x')
  Object.defineProperty(broken, 'raw', { value: Buffer.from('{"cut') })
  const failed: unknown = await chunksOf([])
    .then(() => pipeline([broken], writeJsonl(), new Writable()))
    .catch((error: unknown) => error)
  t.ok(failed instanceof BatchStreamError)
  t.match(failed, { code: 'CBS_STATE', message: 'a kept result line is damaged' })
})

t.test('records of different lengths do not mix up rows', async t => {
  const rows = Array.from({ length: 300 }, (_, n) =>
    said(String(n), record(`{"n":${n},"pad":"${'é'.repeat(n)}"}`)),
  )
  for (const [n, chunk] of (await chunksOf(rows)).entries())
    t.match(JSON.parse(chunk), { n, response: String(n) })
})
