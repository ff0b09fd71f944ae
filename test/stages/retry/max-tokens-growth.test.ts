import t from 'tap'
import type { EndedBatch } from '../../../lib/core/flow.ts'
import { SourceRecord } from '../../../lib/core/flow.ts'
import { Result } from '../../../lib/core/results/result.ts'
import { MaxTokensGrowth } from '../../../lib/stages/retry/retry.ts'
import { maxTokensAfter } from '../../../lib/stages/template/max-tokens.ts'

const cut = (ordinal: number | undefined, fields: object = { text: 'a' }): Result => {
  const raw = Buffer.from(JSON.stringify(fields))
  const message = { content: [], stop_reason: 'max_tokens' }
  const line = { custom_id: 'x', result: { type: 'succeeded', message } }
  return new Result({
    // Nothing of the batch is read here.
    batch: {} as EndedBatch,
    customId: null,
    record: ordinal === undefined ? undefined : new SourceRecord(raw, { line: 1, ordinal }),
    raw: Buffer.from(JSON.stringify(line)),
    last: false,
  })
}

void t.test('max_tokens is doubled up to the limit of the model, and never lowered', async t => {
  const params = { model: 'm', max_tokens: 100 }
  t.equal(maxTokensAfter(params, 0, 1000), 100)
  t.equal(maxTokensAfter(params, 3, 1000), 800)
  t.equal(maxTokensAfter(params, 4, 1000), 1000)
  t.equal(maxTokensAfter(params, 4, 50), 100)
  t.equal(maxTokensAfter(params, 4, undefined), 100)
  t.equal(
    maxTokensAfter(params, 1, model => (model === 'm' ? 150 : 0)),
    150,
  )
})

void t.test('each try doubles max_tokens again for the answers that it truncated', async t => {
  const longer = new MaxTokensGrowth({ prompt: '{{text}}', maxTokens: 100, maxTokensLimit: 350 })
  for (const [ordinal, helps] of [
    [1, true],
    [1, true],
    [1, false],
  ] as const) {
    t.equal(longer.canGrow(cut(ordinal)), helps)
    longer.noteRetry(cut(ordinal))
    longer.startAttempt()
  }
  t.equal(longer.doublings(1), 2)
  t.equal(longer.doublings(2), 0)
})

void t.test('a result without a record or without retries left is passed on', async t => {
  const longer = new MaxTokensGrowth({ prompt: '{{text}}', maxTokensLimit: 9999 })
  for (const result of [cut(undefined), cut(1, { other: 'a' })]) {
    t.notOk(longer.canGrow(result))
    longer.noteRetry(result)
  }
  longer.startAttempt()
  t.equal(longer.doublings(1), 0)
})
