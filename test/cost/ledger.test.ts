import t from 'tap'
import { rowCost } from '../../lib/cost/row-cost.ts'
import { addTokens } from '../../lib/cost/cost.ts'
import { CostLedger } from '../../lib/cost/ledger.ts'
import { givenPrice, listPrice } from '../../lib/cost/price.ts'
import { randomUsages } from './usages.ts'

t.test('an empty ledger has spent nothing', async t => {
  const ledger = new CostLedger(listPrice)
  t.equal(ledger.spent, 0n)
  t.equal(String(ledger), 'spent $0.00 (synchronous calls: $0.00)')
})

t.test('sums are exact over many lines of all classes', async t => {
  const ledger = new CostLedger(listPrice)
  let twentieths = 0n
  let list = 0n
  for (const one of randomUsages(5000, 99)) {
    ledger.add(one)
    twentieths += one.twentieths
    list += one.list
  }
  t.equal((ledger.spent ?? 0n) * 20n, twentieths * 1000n)
  t.equal((ledger.synchronous ?? 0n) * 20n, list * 1000n)
})

t.test('what a reused answer of an unnamed model had cost is unknown', async t => {
  const usage = { input_tokens: 1, output_tokens: 1 }
  const ledger = new CostLedger(listPrice)
  ledger.add({ usage: null, model: 'claude-haiku-5-5', savedUsage: usage })
  t.equal(typeof ledger.saved, 'bigint')
  ledger.add({ usage: null, model: null, savedUsage: usage })
  ledger.add({ usage: null, model: 'claude-haiku-5-5', savedUsage: usage })
  t.equal(ledger.saved, undefined)
  t.equal(ledger.spent, 0n)
})

t.test('an answer without usage cost nothing unless it was billed', async t => {
  const ledger = new CostLedger(listPrice)
  ledger.add({ usage: null, model: null })
  ledger.add({ usage: null, model: null, isBilled: false })
  t.equal(ledger.spent, 0n)
  ledger.add({ usage: null, model: 'claude-haiku-5-5', isBilled: true })
  t.equal(ledger.spent, undefined)
  t.equal(ledger.synchronous, undefined)
  t.equal(String(ledger), 'cost unknown: 1 answer has no valid token counts')
})

t.test('a usage without valid counts makes the sum unknown', async t => {
  const ledger = new CostLedger(listPrice)
  const model = 'claude-haiku-5-5'
  ledger.add({ usage: { input_tokens: 9, output_tokens: 1 }, model })
  t.equal(typeof ledger.spent, 'bigint')
  ledger.add({ usage: {}, model })
  ledger.add({ usage: { input_tokens: 9, output_tokens: -1 }, model: null })
  t.equal(ledger.spent, undefined)
  t.equal(ledger.unmeasured, 2)
  t.same(ledger.unpriced, [])
  ledger.add({ usage: { input_tokens: 9, output_tokens: 1 }, model: 'claude-mythos-preview' })
  t.equal(
    String(ledger),
    'cost unknown: 2 answers have no valid token counts; price unknown for claude-mythos-preview: give it with `price`',
  )
  t.equal(ledger.tokens.input, 27)
})

t.test('each class of tokens is counted separately', async t => {
  const ledger = new CostLedger(listPrice)
  const usage = {
    input_tokens: 1,
    output_tokens: 2,
    cache_creation_input_tokens: 7,
    cache_creation: { ephemeral_5m_input_tokens: 3, ephemeral_1h_input_tokens: 4 },
    cache_read_input_tokens: 5,
  }
  for (let i = 0; i < 3; i++) ledger.add({ usage, model: 'claude-haiku-5-5' })
  t.same(ledger.tokens, { input: 3, output: 6, write5m: 9, write1h: 12, read: 15 })
  t.same(addTokens(ledger.tokens, ledger.tokens).read, 30)
})

t.test('one model without a price makes the sum unknown, and is named', async t => {
  const ledger = new CostLedger(listPrice)
  ledger.add({ usage: { input_tokens: 9, output_tokens: 0 }, model: 'claude-haiku-5-5' })
  ledger.add({ usage: { input_tokens: 9, output_tokens: 0 }, model: 'claude-mythos-preview' })
  ledger.add({ usage: { input_tokens: 9, output_tokens: 0 }, model: null })
  t.equal(ledger.spent, undefined)
  t.equal(ledger.synchronous, undefined)
  t.equal(
    String(ledger),
    'price unknown for claude-mythos-preview, a model without a name: give it with `price`',
  )
  t.equal(ledger.tokens.input, 27, 'tokens are counted all the same')
})

t.test('an answer without an output token is not free, unless it is a refusal', async t => {
  const answer = { usage: { input_tokens: 9, output_tokens: 0 }, model: 'claude-haiku-5-5' }
  for (const [status, isKnown] of [
    ['succeeded', false],
    ['incomplete', false],
    ['refused', true],
  ] as const) {
    const ledger = new CostLedger(listPrice)
    ledger.add({ ...answer, status })
    t.equal(ledger.spent !== undefined, isKnown, status)
    t.equal(rowCost(listPrice)({ ...answer, status }) !== 'null', isKnown, status)
  }
})

t.test('a given price applies to every model', async t => {
  const ledger = new CostLedger(givenPrice('2,10'))
  ledger.add({
    usage: { input_tokens: 1_000_000, output_tokens: 0 },
    model: 'claude-mythos-preview',
  })
  t.equal(String(ledger), 'spent $1.00 (synchronous calls: $2.00)')
})

t.test('only the first few models without a price are named', async t => {
  const ledger = new CostLedger(listPrice)
  for (let i = 0; i < 1000; i++)
    ledger.add({
      usage: { input_tokens: 1, output_tokens: 0 },
      model: `m${i}${'x'.repeat(10_000)}`,
    })
  t.equal(ledger.unpriced.length, 10)
  t.equal(ledger.unpriced[0]?.length, 100)
  t.equal(ledger.spent, undefined)
})
