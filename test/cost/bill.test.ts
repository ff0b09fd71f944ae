import t from 'tap'
import { Bill } from '../../lib/cost/ledger.ts'
import { sumOf } from '../../lib/cost/cost.ts'
import { CostLedger } from '../../lib/cost/ledger.ts'
import { listPrice } from '../../lib/cost/price.ts'
import { randomUsages } from './usages.ts'

t.test('the classes add up to the ledger, to the last digit', async t => {
  const bill = new Bill(listPrice)
  const ledger = new CostLedger(listPrice)
  for (const one of randomUsages(3000, 5)) {
    bill.add(one)
    ledger.add(one)
  }
  t.equal(sumOf(bill.batch), ledger.spent)
  t.equal(sumOf(bill.synchronous), ledger.synchronous)
  for (const amount of Object.values(bill.batch)) t.ok(amount > 0n)
})

t.test('each class costs what its own tokens cost', async t => {
  const bill = new Bill(listPrice)
  const model = 'claude-haiku-4-5'
  // Every prompt has a token.
  const no = { input_tokens: 1, output_tokens: 0 }
  bill.add({ usage: { ...no, input_tokens: 1_000_000 }, model })
  bill.add({ usage: { ...no, output_tokens: 1_000_000 }, model })
  bill.add({ usage: null, model })
  bill.add({ usage: { ...no, input_tokens: 5 }, model: null })
  bill.add({ usage: { input_tokens: 5 }, model })
  bill.add({ usage: { ...no, server_tool_use: { web_search_requests: 2 } }, model })
  const none = { write5m: 0n, write1h: 0n, read: 0n, searches: 2n * 10n ** 13n }
  t.same(bill.batch, { ...none, input: 1_000_002n * 5n * 10n ** 8n, output: 25n * 10n ** 14n })
  t.same(bill.synchronous, { ...none, input: 1_000_002n * 10n ** 9n, output: 5n * 10n ** 15n })
})
