import { once } from 'node:events'
import t from 'tap'
import type { Result } from '../../../lib/core/results/result.ts'
import { rawRow, writeRaw, type WriteRawOptions } from '../../../lib/stages/write/raw.ts'
import { said, without } from './made.ts'

async function textOf(results: readonly Result[], options?: WriteRawOptions): Promise<string> {
  const stream = writeRaw(options)
  let text = ''
  stream.on('data', chunk => (text += String(chunk)))
  for (const result of results) stream.write(result)
  stream.end()
  await once(stream, 'end')
  return text
}

t.test("the API's own lines are emitted byte for byte", async t => {
  const odd = said('x')
  Object.defineProperty(odd, 'raw', { value: Buffer.from('{ "custom_id" :"r-1", "n":1.0 }') })
  t.equal(await textOf([odd, odd]), '{ "custom_id" :"r-1", "n":1.0 }\n'.repeat(2))
})

t.test('results without a line are left out and reported to onMissing', async t => {
  const missing: Result[] = []
  const rejected = without('rejected')
  t.equal(
    await textOf([rejected, without('unanswered')], { onMissing: result => missing.push(result) }),
    '',
  )
  t.equal(missing.length, 2)
  t.equal(missing[0], rejected)
  t.equal(await textOf([rejected]), '', 'without a callback, too')
  t.equal(rawRow(rejected), undefined)
})

t.test('an onMissing that throws ends the pipeline', async t => {
  const stream = writeRaw({
    onMissing: () => {
      throw new Error('no thanks')
    },
  })
  const failed = once(stream, 'error')
  stream.write(without('rejected'))
  t.match(await failed, [{ code: 'CBS_STAGE', message: /no thanks/ }])
})

t.test('an async onMissing is refused, since it is not awaited', async t => {
  const stream = writeRaw({ onMissing: async () => Promise.reject(new Error('late')) })
  const failed = once(stream, 'error')
  stream.write(without('rejected'))
  t.match(await failed, [{ code: 'CBS_STAGE', message: /`onMissing` returned a promise/ }])
})

t.test('an onMissing that is not a function is rejected', async t => {
  // @ts-expect-error a function is wanted
  t.throws(() => writeRaw({ onMissing: true }), {
    code: 'CBS_OPTION',
    message: '`onMissing` must be a function, got true',
  })
})
