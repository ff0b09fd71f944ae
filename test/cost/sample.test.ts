import t from 'tap'
import type { MessageParams } from '../../lib/core/flow.ts'
import { partsOf } from '../../lib/cost/parts.ts'
import { Sample, type TokenSampleOptions } from '../../lib/cost/sample.ts'

function request(
  content: MessageParams['messages'][number]['content'],
  model = 'm',
): MessageParams {
  return { model, max_tokens: 9, messages: [{ role: 'user', content }] }
}

/** A sample of these requests, and the requests that were counted for it. */
async function sampled(
  requests: readonly MessageParams[],
  options: Partial<TokenSampleOptions> = {},
): Promise<{ sample: Sample; counted: MessageParams[]; early: number }> {
  const counted: MessageParams[] = []
  const count: TokenSampleOptions['count'] = async params => {
    counted.push(params)
    return JSON.stringify(params).length / 4
  }
  const sample = new Sample({ count, ...options })
  for (const params of requests) {
    const json = JSON.stringify(params)
    await sample.add(params, partsOf(params, json), json.length)
  }
  return { sample, counted, early: counted.length }
}

t.test('the given number of requests is counted, each once', async t => {
  const requests = Array.from({ length: 3000 }, (_, i) => request(`number ${i}`))
  const { sample, counted, early } = await sampled(requests, { size: 50 })
  t.equal(early, 0, 'nothing is counted before the end')
  const calibration = await sample.calibrate()
  t.equal(new Set(counted).size, 50)
  t.same(sample.counted, { requests: 50, of: 3000 })
  t.match(calibration.text('m'), { per: 0.25 })
  t.ok(calibration.text('m').error < 0.001)
  const places = counted.map(params => requests.indexOf(params))
  t.ok(Math.min(...places) < 600 && Math.max(...places) > 2400, 'they lie all over the input')
  const again = await sampled(requests, { size: 50 })
  await again.sample.calibrate()
  t.same(new Set(again.counted), new Set(counted), 'the same input gives the same sample')
})

t.test('few requests are all counted, so there is no error', async t => {
  const { sample } = await sampled([request('a'), request('b')])
  const calibration = await sample.calibrate()
  t.equal(calibration.text('m').error, 0)
  t.same(sample.counted, { requests: 2, of: 2 })
})

t.test('requests that exceed the memory limit are counted at once', async t => {
  const large = Array.from({ length: 20 }, () => request('x'.repeat(1000)))
  const { sample, early } = await sampled(large, { size: 10, held: 3000 })
  t.ok(early >= 8, `${early}`)
  await sample.calibrate()
  t.same(sample.counted, { requests: 10, of: 20 })
})

t.test('each model, and requests with media, are sampled separately', async t => {
  const source = { type: 'base64' as const, media_type: 'image/png' as const, data: 'AAAA' }
  const image = request([{ type: 'image', source }])
  const { sample } = await sampled([request('a'), image, request('a', 'other')])
  const { text, media } = await sample.calibrate()
  t.equal(text('m').per, 0.25)
  t.equal(media('m')?.per, JSON.stringify(image).length / 4, 'tokens of a whole request')
  t.equal(media('other'), undefined)
  t.equal(text('third').per, 1 / 3.5, 'what was not there stays a guess')
})

t.test('a request that the counter rejects is left out', async t => {
  const source = { type: 'url' as const, url: 'https://example.org/a.png' }
  const requests = [request([{ type: 'image', source }]), request('a'), request('b')]
  const { sample, counted } = await sampled(requests)
  await sample.calibrate()
  t.equal(counted.length, 2)
  const refusing = await sampled(requests, { count: async () => undefined })
  const calibration = await refusing.sample.calibrate()
  t.same(refusing.sample.counted, { requests: 0, of: 2 })
  t.equal(calibration.text('m').error, 0.3)
})
