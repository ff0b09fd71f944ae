import t from 'tap'
import { costByClass, costOf, costsOf, tokensOf } from '../../lib/cost/cost.ts'
import { givenPrice, listPrice } from '../../lib/cost/price.ts'
import type { Usage } from '../../lib/core/results/result.ts'
import { parseUsd } from '../../lib/cost/usd.ts'
import { randomUsages } from './usages.ts'

const usd = (text: string): bigint => parseUsd(text) as bigint
const HAIKU = 'claude-haiku-5-5'

t.test('a batch costs half the list price', async t => {
  const usage = { input_tokens: 1_000_000, output_tokens: 1_000_000, service_tier: 'batch' }
  t.equal(costOf(usage, 'claude-opus-5-5', listPrice), usd('12'))
  t.equal(costsOf(usage, 'claude-opus-5-5', listPrice)?.synchronous, usd('24'))
})

t.test('cache writes and reads have prices of their own', async t => {
  const usage = {
    input_tokens: 0,
    output_tokens: 0,
    cache_creation_input_tokens: 3_000_000,
    cache_read_input_tokens: 10_000_000,
    cache_creation: { ephemeral_5m_input_tokens: 1_000_000, ephemeral_1h_input_tokens: 2_000_000 },
  }
  t.equal(costOf(usage, 'claude-opus-5-5', listPrice), usd('2.5') + usd('8') + usd('1'))
})

t.test('a usage of no prompt does not say what was billed', async t => {
  const zeros = { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0 }
  for (const usage of [
    zeros,
    { ...zeros, output_tokens: 100 },
    { ...zeros, server_tool_use: { web_search_requests: 1 } },
  ])
    t.equal(costOf(usage, HAIKU, listPrice), undefined)
  for (const usage of [
    { ...zeros, cache_read_input_tokens: 1 },
    { ...zeros, cache_creation: { ephemeral_5m_input_tokens: 1 } },
    { ...zeros, input_tokens: 1 },
  ])
    t.ok(costOf(usage, HAIKU, listPrice))
})

t.test('compactions are billed besides the other tokens, at the same prices', async t => {
  const none = { input_tokens: 1_000_000, output_tokens: 0 }
  const entry = { type: 'message', input_tokens: 1_000_000, output_tokens: 0 }
  const compaction = { type: 'compaction', input_tokens: 1_000_000, output_tokens: 1_000_000 }
  const price = (iterations: unknown): bigint | undefined =>
    costOf({ ...none, iterations }, 'claude-opus-5-5', listPrice)
  for (const iterations of [null, [], [entry], ['odd']]) t.equal(price(iterations), usd('2'))
  t.equal(price([compaction, entry, compaction]), usd('26'))
  for (const iterations of [
    'odd',
    [{ ...compaction, input_tokens: -1 }],
    [{ ...entry, type: 'advisor_message' }],
  ])
    t.equal(price(iterations), undefined)
})

t.test('cache writes without a split count as one-hour writes, which cost more', async t => {
  const none = { input_tokens: 0, output_tokens: 0 }
  const whole = { ...none, cache_creation_input_tokens: 1_000_000, cache_creation: null }
  t.equal(costOf(whole, 'claude-opus-5-5', listPrice), usd('4'))
  const part = {
    cache_creation_input_tokens: 1_000_000,
    cache_creation: { ephemeral_5m_input_tokens: 400_000 },
  }
  t.same(tokensOf(part), { input: 0, output: 0, write5m: 400_000, write1h: 600_000, read: 0 })
})

t.test('a long prompt has a higher price for all its tokens, cached ones included', async t => {
  const at = (more: number): bigint | undefined =>
    costOf(
      { input_tokens: 50_000, cache_read_input_tokens: 50_000 + more, output_tokens: 1000 },
      HAIKU,
      listPrice,
    )
  t.equal(at(0), usd('0.0025') + usd('0.00025') + usd('0.00025'))
  t.equal(at(1), usd('0.0125') + usd('0.001250025') + usd('0.00125'))
})

t.test('inference in the US costs a tenth more', async t => {
  const usage = { input_tokens: 10_000, output_tokens: 1_000_000, inference_geo: 'us' }
  t.equal(costOf(usage, HAIKU, listPrice), usd('0.27555'))
  t.equal(costOf({ ...usage, inference_geo: 'global' }, HAIKU, listPrice), usd('0.2505'))
})

t.test('web searches cost the same in a batch', async t => {
  const usage = {
    server_tool_use: { web_search_requests: 3 },
    input_tokens: 100,
    output_tokens: 0,
  }
  t.equal(costOf(usage, HAIKU, listPrice), usd('0.030005'))
  t.equal(costsOf(usage, HAIKU, listPrice)?.synchronous, usd('0.03001'))
})

t.test('a line that was not billed as a batch costs the full price', async t => {
  for (const [service_tier, cost] of [
    ['batch', '3'],
    [undefined, '3'],
    [null, '3'],
    ['standard', '6'],
    ['priority', '6'],
  ] as const)
    t.equal(
      costOf(
        { service_tier, input_tokens: 1_000_000, output_tokens: 1_000_000 },
        'claude-haiku-4-5',
        listPrice,
      ),
      usd(cost),
    )
})

const USED = { input_tokens: 10, output_tokens: 5 }

t.test(
  'the cost is unknown if a count is missing or invalid, and such a count adds no tokens',
  async t => {
    for (const [members, tokens] of [
      [{ input_tokens: undefined }, { input: 0, output: 5 }],
      [{ output_tokens: null }, { input: 10, output: 0 }],
      [{ input_tokens: '10' }, { input: 0 }],
      [{ output_tokens: -5 }, { output: 0 }],
      [{ output_tokens: 2.5 }, { output: 0 }],
      [{ input_tokens: Infinity }, { input: 0 }],
      [{ input_tokens: 100_000_001 }, { input: 0 }],
      [{ cache_read_input_tokens: -1 }, { read: 0 }],
      [{ cache_creation_input_tokens: NaN }, { write5m: 0 }],
      [{ cache_creation: { ephemeral_1h_input_tokens: '7' } }, { write1h: 0 }],
      [{ cache_creation: 7 }, { write1h: 0 }],
      [{ cache_creation: [] }, { write1h: 0 }],
      [{ server_tool_use: { web_search_requests: 0.5 } }, {}],
    ] as const) {
      const usage: Usage = { ...USED, ...members }
      t.equal(costOf(usage, HAIKU, listPrice), undefined, JSON.stringify(members))
      t.equal(costsOf(usage, HAIKU, listPrice)?.synchronous, undefined)
      t.equal(costByClass(usage, HAIKU, listPrice), undefined)
      t.match(tokensOf(usage), tokens)
    }
  },
)

t.test('counts other than input and output may be missing', async t => {
  const cost = costOf(USED, HAIKU, listPrice)
  t.equal(cost, usd('0.00000175'))
  for (const members of [
    { cache_creation: null, cache_read_input_tokens: null, server_tool_use: null },
    { cache_creation: {}, cache_creation_input_tokens: null, server_tool_use: {} },
    { other_tokens: 'many' },
  ])
    t.equal(costOf({ ...USED, ...members }, HAIKU, listPrice), cost)
})

t.test('the cost of an unknown model is unknown unless a price is given', async t => {
  const usage = { input_tokens: 1_000_000, output_tokens: 1_000_000 }
  t.equal(costOf(usage, 'claude-mythos-preview', listPrice), undefined)
  t.equal(costsOf(usage, 'claude-mythos-preview', listPrice)?.synchronous, undefined)
  t.equal(costOf(usage, 'claude-mythos-preview', givenPrice('10,50')), usd('30'))
})

t.test('over 20,000 random usages the sum equals that of independent arithmetic', async t => {
  let ours = 0n
  let list = 0n
  const theirs = { batch: 0n, list: 0n }
  for (const { usage, model, twentieths, list: listed } of randomUsages(20_000, 7)) {
    ours += costOf(usage, model, listPrice) as bigint
    list += costsOf(usage, model, listPrice)?.synchronous as bigint
    theirs.batch += twentieths
    theirs.list += listed
  }
  // Twentieths of a micro-dollar per million tokens against femtodollars: 1 femtodollar is 20 of these per thousand.
  t.equal(ours * 20n, theirs.batch * 1000n)
  t.equal(list * 20n, theirs.list * 1000n)
  t.ok(ours > 0n)
})
