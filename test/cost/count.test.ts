import { Readable } from 'node:stream'
import t from 'tap'
import { each, from } from '../../lib/core/chain.ts'
import { counted } from '../../lib/cost/count.ts'
import { CostLedger } from '../../lib/cost/ledger.ts'
import { listPrice } from '../../lib/cost/price.ts'
import type { Result } from '../../lib/core/results/result.ts'

t.test('every answer is added to the ledger and passed on unchanged', async t => {
  const ledger = new CostLedger(listPrice)
  // The ledger reads nothing else of a result.
  const answers = [1, 2, 3].map(
    n => ({ usage: { output_tokens: n }, model: 'claude-haiku-4-5' }) as unknown as Result,
  )
  const seen: Result[] = []
  for await (const result of each(from(Readable.from(answers), counted(ledger)))) seen.push(result)
  t.same(seen, answers)
  t.equal(ledger.tokens.output, 6)
  t.equal(ledger.spent, 6n * 2_500_000_000n)
})
