// Unit tests of your own code on the emulator, with injected faults. They need no key, cost nothing and take milliseconds. Run
// them with `node --test`.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Anthropic from '@anthropic-ai/sdk'
import { createEmulator } from 'claude-batch-stream/emulator'
import { runBatches, type AnthropicClient } from 'claude-batch-stream'

/** The code under test: returns the mood of each review. */
async function moodsOf(reviews: { text: string }[], client: AnthropicClient, waits = {}) {
  const moods: string[] = []
  const run = runBatches(reviews, { client, prompt: '{{text}}', order: 'input', ...waits })
  for await (const { value, status } of run) moods.push(value ?? status)
  return moods
}

// Short waits keep the tests fast.
const waits = { poll: 1, settle: 1, backoff: { first: 1, most: 5 } }

test('a broken connection and an overloaded API cost nothing extra', async () => {
  const emulator = await createEmulator({
    batchTimeMs: 1,
    respond: ({ messages: [message] }) => (message?.content === 'Broke' ? 'bad' : 'good'),
    faults: [
      // The API accepts the batch, but its reply is lost: the batch must be found, not sent again.
      { on: 'create', nth: 1, when: 'after', reset: true },
      { on: 'results', nth: 1, status: 529 },
    ],
  })
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url })
  try {
    assert.deepEqual(await moodsOf([{ text: 'Broke' }, { text: 'Fine' }], client, waits), [
      'bad',
      'good',
    ])
    const { billed, billedTwice } = await emulator.ledger.totals()
    assert.deepEqual({ billed, billedTwice }, { billed: 2, billedTwice: 0 })
  } finally {
    await emulator.close()
  }
})

test('a request that fails is a row, not an error', async () => {
  const emulator = await createEmulator({
    batchTimeMs: 1,
    respond: () => ({ error: { type: 'invalid_request_error', message: 'too long' } }),
  })
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url })
  try {
    assert.deepEqual(await moodsOf([{ text: 'x' }], client, waits), ['errored'])
  } finally {
    await emulator.close()
  }
})
