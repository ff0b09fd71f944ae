import t from 'tap'
import { costOf } from '../../lib/cost/cost.ts'
import { givenPrice, listPrice } from '../../lib/cost/price.ts'
import { parseUsd } from '../../lib/cost/usd.ts'
import { worstOf, type PricedRequest } from '../../lib/cost/worst.ts'

const HAIKU = 'claude-haiku-5-5'

function worst(asked: object, priceOf = listPrice): ReturnType<typeof worstOf> {
  // The tests pass the members that are read.
  return worstOf(asked as PricedRequest, JSON.stringify(asked), priceOf)
}

function request(more: object = {}): object {
  const messages = [{ role: 'user', content: 'Is this "type":"url" or "cache_control": a text?' }]
  return { model: HAIKU, max_tokens: 1000, messages, inference_geo: 'global', ...more }
}

t.test('the worst case is a token per byte and an answer of max_tokens, at half price', async t => {
  const bytes = JSON.stringify(request()).length
  const usage = { input_tokens: bytes, output_tokens: 1000, service_tier: 'batch' }
  t.equal(worst(request()), costOf(usage, HAIKU, listPrice))
})

t.test('non-ASCII characters count with all their bytes', async t => {
  const one = worst(request({ system: 'é' })) as bigint
  const two = worst(request({ system: 'é€' })) as bigint
  t.equal(two - one, 3n * ((parseUsd('0.05') as bigint) / 1_000_000n))
})

t.test('a prompt that may be long has the long price', async t => {
  const long = worst(request({ system: 'x'.repeat(100_000) })) as bigint
  t.ok(long > (parseUsd('0.25') as bigint) / 10n, 'five times the short rate')
})

t.test('a cached prompt may be written for an hour', async t => {
  const system = [{ type: 'text', text: 'x', cache_control: { type: 'ephemeral' } }]
  const json = JSON.stringify(request({ system }))
  const usage = {
    input_tokens: 0,
    cache_creation: { ephemeral_1h_input_tokens: json.length },
    output_tokens: 1000,
    service_tier: 'batch',
  }
  t.equal(worst(request({ system })), costOf(usage, HAIKU, listPrice))
})

t.test("tools and schemas add the API's own prompt text, and US inference a tenth", async t => {
  const plain = worst(request({ tools: undefined })) as bigint
  t.ok(
    (worst(request({ tools: [{ name: 'f', input_schema: {} }] })) as bigint) > plain + 10n ** 10n,
  )
  t.ok((worst(request({ output_config: { format: {} } })) as bigint) > plain + 10n ** 10n)
  // A workspace may have the US as its default. Without the price of its bytes, only the place is different.
  const of = (inference_geo?: string): bigint =>
    worstOf({ model: HAIKU, max_tokens: 1000, inference_geo }, '{}', listPrice) as bigint
  for (const place of ['us', undefined]) t.equal(of(place) * 10n, of('global') * 11n)
})

t.test('content that the API adds to a prompt has no bound', async t => {
  const image = (source: object): object =>
    request({ messages: [{ role: 'user', content: [{ type: 'image', source }] }] })
  t.match(worst(image({ type: 'url', url: 'https://example.org/a.png' })), {
    why: /content from a URL/,
  })
  t.match(worst(image({ type: 'file', file_id: 'file_1' })), { why: /a stored file/ })
  t.type(worst(image({ type: 'base64', media_type: 'image/png', data: 'AAAA' })), 'bigint')
  const search = { type: 'web_search_20260209', name: 'web_search' }
  t.match(worst(request({ tools: [{ type: 'custom', name: 'f' }, search] })), { why: /a tool/ })
  t.type(worst(request({ tools: [{ type: 'custom', name: 'f' }] })), 'bigint')
  t.match(worst(request({ tools: [null, search] })), { why: /a tool/ })
  for (const summary of [
    { compaction: { type: 'summarize' } },
    { context_management: { edits: [{ type: 'compact_20260112' }] } },
  ])
    t.match(worst(request(summary)), { why: /a summary of the context/ })
})

t.test('each page of a PDF may have the tokens of an image, and its text counts, too', async t => {
  const tokens = (data: Buffer): bigint => {
    const source = { type: 'base64', media_type: 'application/pdf', data: data.toString('base64') }
    const content = [{ type: 'document', source }]
    const json = JSON.stringify({ messages: [{ role: 'user', content }] })
    const asked = { model: 'x', max_tokens: 1, inference_geo: 'global' }
    const cost = worstOf(asked, json, givenPrice('1,1')) as bigint
    // Half a dollar per million tokens.
    return cost / 500_000_000n - BigInt(json.length) - 1n
  }
  const page = '1 0 obj <</Type/Page>> endobj\n'
  const text = '2 0 obj <</Length 5>> stream\nHello\nendstream endobj\n'
  // And an image more than it has pages.
  t.equal(tokens(Buffer.from(`%PDF-1.7\n${page.repeat(30)}${text}`)), 31n * 5000n + 6n)
  for (const unreadable of ['%PDF-1.7\n', `%PDF-1.7\n${page}/Encrypt`, `junk %PDF-1.7\n${page}`])
    t.equal(tokens(Buffer.from(unreadable)), 1_005_000n)
})

t.test('a model without a price has no bound unless a price is given', async t => {
  t.match(worst(request({ model: 'claude-mythos-preview' })), {
    why: /^price unknown for claude-mythos-preview/,
  })
  t.type(worst(request({ model: 'claude-mythos-preview' }), givenPrice('10,50')), 'bigint')
})
