import t from 'tap'
import { listPrice } from '../../lib/cost/price.ts'
import { answerCost, rowCost } from '../../lib/cost/row-cost.ts'

t.test('usage of an unnamed model has an unknown cost', async t => {
  const costOf = rowCost(listPrice)
  const usage = { input_tokens: 10, output_tokens: 1 }
  t.equal(costOf({ usage, model: null }), 'null')
  t.notMatch(costOf({ usage, model: 'claude-haiku-5-5' }), 'null')
  t.equal(costOf({ usage: null, model: null }), '0')
  t.equal(answerCost(listPrice)({ usage, model: null }), null)
})

t.test('a billed answer without valid token counts has an unknown cost', async t => {
  const model = 'claude-haiku-5-5'
  for (const usage of [null, {}, { input_tokens: 10, output_tokens: '1' }]) {
    t.equal(rowCost(listPrice)({ usage, model, isBilled: true }), 'null')
    t.equal(answerCost(listPrice)({ usage, model, isBilled: true }), null)
  }
  t.equal(rowCost(listPrice)({ usage: null, model, isBilled: false }), '0')
})
