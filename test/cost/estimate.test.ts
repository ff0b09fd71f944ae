import t from 'tap'
import type { MessageParams } from '../../lib/core/flow.ts'
import type { Calibration } from '../../lib/cost/calibration.ts'
import { Estimate } from '../../lib/cost/estimate.ts'
import { givenPrice, listPrice, type PriceOf } from '../../lib/cost/price.ts'
import { usdNumber } from '../../lib/cost/usd.ts'

function params(more: Partial<MessageParams> = {}, bytes = 350): MessageParams {
  const model = 'claude-haiku-5-5'
  const messages = [{ role: 'user' as const, content: '' }]
  const bare = { model, max_tokens: 1024, messages, ...more }
  const content = 'x'.repeat(Math.max(0, bytes - JSON.stringify(bare).length))
  return { ...bare, messages: [{ role: 'user', content }] }
}

function withImage(data: string): MessageParams {
  const source = { type: 'base64' as const, media_type: 'image/png' as const, data }
  return { ...params(), messages: [{ role: 'user', content: [{ type: 'image', source }] }] }
}

function estimated(requests: readonly MessageParams[], priceOf: PriceOf = listPrice): Estimate {
  const estimate = new Estimate(priceOf)
  for (const one of requests) estimate.add(one, JSON.stringify(one))
  return estimate
}

/** A calibration with these tokens per byte of text and per request with an image. */
function counted(perByte: number, perImage?: number, error = 0): Calibration {
  return {
    text: () => ({ per: perByte, error }),
    media: () => (perImage === undefined ? undefined : { per: perImage, error }),
  }
}

t.test('no requests cost nothing', async t => {
  t.same(estimated([]).figures(), {
    requests: 0,
    tokens: { input: 0, input_error: 0, cached: 0, output: 0, output_worst: 0 },
    unknown: 0,
    usd: { least: 0, expected: 0, worst: 0, synchronous: 0 },
  })
})

t.test('by default, tokens are guessed from bytes and answers have 100 tokens', async t => {
  const estimate = estimated([params(), params()])
  t.same(estimate.figures(), {
    requests: 2,
    tokens: { input: 200, input_error: 0.3, cached: 0, output: 200, output_worst: 2048 },
    unknown: 0,
    usd: {
      // Seven tenths of the input, and two answers of one token.
      least: 0.0000075,
      expected: 0.00006,
      // In the US.
      worst: 0.0006017,
      synchronous: 0.00012,
    },
  })
  t.equal(
    estimate.describe(),
    'about 200 input and 200 output tokens: $0.0000600 expected, at least $0.00000750, at worst $0.000602 (synchronous calls: $0.000120)',
  )
})

t.test('no answer is expected to be longer than max_tokens', async t => {
  t.equal(estimated([params({ max_tokens: 16 })]).figures().tokens.output, 16)
})

t.test('counted tokens replace the guess', async t => {
  const estimate = estimated([params()])
  t.equal(estimate.figures(counted(0.5)).tokens.input, 175)
  t.equal(usdNumber(estimate.expected(counted(0.5)) ?? 0n), 0.00003375)
  t.equal(estimate.figures(counted(0.5, 0, 0.04)).tokens.input_error, 0.04)
})

t.test('models, long prompts and US inference have prices of their own', async t => {
  const of = (...requests: MessageParams[]): number =>
    usdNumber(estimated(requests).expected() ?? 0n)
  const haiku = params({}, 3500)
  const opus = params({ model: 'claude-opus-5-5' }, 3500)
  const long = params({}, 400_000)
  const us = params({ inference_geo: 'us' }, 3500)
  t.equal(of(haiku), 0.000075)
  t.equal(of(opus), 0.003)
  t.equal(of(long), 0.0286965)
  t.equal(of(us), 0.0000825)
  t.equal(of(haiku, opus, haiku), 0.00315)
})

t.test('counted tokens decide whether a prompt is long', async t => {
  const estimate = estimated([params({}, 300_000)])
  const dear = estimate.expected(counted(0.5)) ?? 0n
  const cheap = estimate.expected(counted(0.25)) ?? 0n
  t.ok(dear > 9n * cheap, 'five times the price for twice the tokens')
})

t.test('one model without a price makes the dollars unknown, never the tokens', async t => {
  const estimate = estimated([params(), params({ model: 'claude-mythos-preview' })])
  t.same(estimate.figures().usd, { least: null, expected: null, worst: null, synchronous: null })
  t.equal(estimate.figures().tokens.output, 200)
  t.equal(
    estimate.describe(),
    'about 200 input and 200 output tokens: price unknown for claude-mythos-preview: give it with `price`',
  )
  // 350 tokens at half a dollar, 1024 at two and a half, per million, and a tenth more in the US.
  const given = estimated([params({ model: 'x' })], givenPrice('1,5'))
  t.equal(given.worst, ((350n * 500_000_000n + 1024n * 2_500_000_000n) * 11n) / 10n)
})

t.test('a request without a bound has no worst case and no expected cost', async t => {
  const source = { type: 'url' as const, url: 'https://example.org/a.png' }
  const messages: MessageParams['messages'] = [
    { role: 'user', content: [{ type: 'image', source }] },
  ]
  const estimate = estimated([{ ...params(), messages }])
  t.match(estimate.figures(counted(0.5)), { unknown: 1, usd: { expected: null, worst: null } })
  t.match(
    estimate.describe(),
    /expected cost unknown: 1 of 1 requests have an unknown number of tokens; at least \$[\d.]+, at worst no bound: the size of content from a URL is unknown before the request is sent/,
  )
})

t.test('the bytes of an image are not tokens: without counting, they are unknown', async t => {
  const estimate = estimated([withImage('A'.repeat(1_000_000)), params()])
  const guessed = estimate.figures()
  t.ok(guessed.tokens.input < 250, `${guessed.tokens.input} tokens of text`)
  t.match(guessed, { unknown: 1, usd: { expected: null, synchronous: null } })
  t.ok((guessed.usd.worst ?? 0) > 0.05, 'its bytes are a bound all the same')
  const figures = estimate.figures(counted(0.5, 1600))
  t.equal(figures.tokens.input, 1600 + 175)
  t.match(figures, { unknown: 0, usd: { expected: 0.00013875 } })
})

t.test('a cached prefix costs one write, and reads for most of the rest', async t => {
  const system: MessageParams['system'] = [
    { type: 'text', text: 'x'.repeat(10_000), cache_control: { type: 'ephemeral', ttl: '1h' } },
  ]
  const requests = Array.from({ length: 1000 }, () => params({ system }, 11_000))
  const plain = Array.from({ length: 1000 }, () => params({ system: 'x'.repeat(10_050) }, 11_000))
  const cached = estimated(requests).figures(counted(0.25))
  const without = estimated(plain).figures(counted(0.25))
  t.ok(cached.tokens.cached > 2_500_000 && cached.tokens.cached < cached.tokens.input)
  // The hit rate is unknown: far cheaper at best, somewhat cheaper as expected.
  t.ok((cached.usd.least ?? 1) < (without.usd.least ?? 0) / 3)
  t.ok((cached.usd.expected ?? 1) < (without.usd.expected ?? 0))
  t.ok((cached.usd.worst ?? 0) > (without.usd.worst ?? 0))
  const [five] = requests
  const short = { ...five, system: [{ ...system[0], cache_control: { type: 'ephemeral' } }] }
  const once = (one: unknown): bigint =>
    // The same request except for the cache lifetime.
    estimated([one as MessageParams]).expected(counted(0.25)) ?? 0n
  t.ok(once(short) < once(five), 'five minutes are cheaper to write than an hour')
})

t.test('a prefix that is too short for the model is not cached', async t => {
  const of = (model: string, words: number): number => {
    const text = 'word '.repeat(words)
    const system: MessageParams['system'] = [
      { type: 'text', text, cache_control: { type: 'ephemeral' } },
    ]
    return estimated([params({ model, system } as Partial<MessageParams>, 9000)]).figures().tokens
      .cached
  }
  t.equal(of('claude-haiku-5-5', 300), 0)
  t.ok(of('claude-haiku-5-5', 400) > 512)
  t.equal(of('claude-opus-4-7', 1400), 0)
  t.ok(of('claude-opus-4-7', 1500) > 2048)
})

t.test('prefixes that never repeat are all written', async t => {
  const of = (text: (i: number) => string): number => {
    const requests = Array.from({ length: 1500 }, (_, i) =>
      params({ system: [{ type: 'text', text: text(i), cache_control: { type: 'ephemeral' } }] }),
    )
    return estimated(requests).figures().usd.expected ?? 0
  }
  const long = 'be brief '.repeat(250)
  t.ok(of(i => `${long}${i + 1000}`) > of(() => `${long}1000`))
})

t.test('the worst case is never below the expected cost, and the least never above it', async t => {
  for (const bytes of [100, 1000, 340_000, 360_000]) {
    for (const max_tokens of [1, 99, 100, 64_000]) {
      const { usd } = estimated([params({ max_tokens }, bytes)]).figures()
      t.ok((usd.worst ?? 0) >= (usd.expected ?? 1), `${bytes} ${max_tokens}`)
      t.ok((usd.least ?? 1) <= (usd.expected ?? 0), `${bytes} ${max_tokens}`)
    }
  }
})
