import t from 'tap'
import type { MessageParams } from '../../lib/flow.ts'
import { Estimate } from '../../lib/money/estimate.ts'
import { givenPrice, listPrice } from '../../lib/money/price.ts'
import { usdNumber } from '../../lib/money/usd.ts'

function params(more: Partial<MessageParams> = {}, bytes = 350): MessageParams {
  const model = 'claude-haiku-5-5'
  const messages = [{ role: 'user' as const, content: '' }]
  const bare = { model, max_tokens: 1024, messages, ...more }
  const content = 'x'.repeat(Math.max(0, bytes - JSON.stringify(bare).length))
  return { ...bare, messages: [{ role: 'user', content }] }
}

function estimated(requests: readonly MessageParams[], options = {}): Estimate {
  const estimate = new Estimate({ priceOf: listPrice, ...options })
  for (const one of requests) estimate.add(one, JSON.stringify(one))
  return estimate
}

t.test('nothing costs nothing', async t => {
  t.same(estimated([]).figures(), {
    requests: 0,
    tokens: { input: 0, output: 0, output_worst: 0 },
    usd: { expected: 0, worst: 0, synchronous: 0 },
  })
})

t.test('it counts bytes for tokens, and answers of a hundred tokens', async t => {
  const estimate = estimated([params(), params()])
  t.same(estimate.figures(), {
    requests: 2,
    tokens: { input: 200, output: 200, output_worst: 2048 },
    usd: {
      expected: 0.00006,
      worst: 0.000547,
      synchronous: 0.00012,
    },
  })
  t.equal(
    estimate.describe(),
    'about 200 input and 200 output tokens: $0.0000600 expected, at worst $0.000547 (synchronous calls: $0.000120)',
  )
})

t.test('answers are as long as somebody says, and never longer than max_tokens', async t => {
  t.equal(estimated([params()], { answerTokens: 500 }).figures().tokens.output, 500)
  t.equal(estimated([params({ max_tokens: 16 })]).figures().tokens.output, 16)
})

t.test('counted tokens take the place of the guess', async t => {
  const estimate = estimated([params()])
  t.equal(estimate.figures(2).tokens.input, 175)
  t.equal(usdNumber(estimate.expected(2) ?? 0n), 0.00003375)
  t.match(estimate.describe(2), 'about 175 input')
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

t.test('one model without a price leaves the dollars unknown, never the tokens', async t => {
  const estimate = estimated([params(), params({ model: 'claude-fable-5-2' })])
  t.same(estimate.figures().usd, { expected: null, worst: null, synchronous: null })
  t.equal(estimate.figures().tokens.output, 200)
  t.equal(
    estimate.describe(),
    'about 200 input and 200 output tokens; price unknown for claude-fable-5-2: --price IN,OUT gives it',
  )
  // 350 tokens at half a dollar, 1024 at two and a half, per million.
  const given = estimated([params({ model: 'x' })], { priceOf: givenPrice('1,5') })
  t.equal(given.worst, 350n * 500_000_000n + 1024n * 2_500_000_000n)
})

t.test('what has no bound is said to have none', async t => {
  const source = { type: 'url' as const, url: 'https://example.org/a.png' }
  const messages: MessageParams['messages'] = [
    { role: 'user', content: [{ type: 'image', source }] },
  ]
  const estimate = estimated([{ ...params(), messages }])
  t.equal(estimate.figures().usd.worst, null)
  t.match(estimate.describe(), /at worst no bound: what an address brings into the prompt/)
})

t.test('the worst is never below the expected', async t => {
  for (const bytes of [100, 1000, 340_000, 360_000]) {
    for (const max_tokens of [1, 99, 100, 64_000]) {
      const estimate = estimated([params({ max_tokens }, bytes)])
      t.ok((estimate.worst ?? 0n) >= (estimate.expected() ?? 1n), `${bytes} ${max_tokens}`)
    }
  }
})
