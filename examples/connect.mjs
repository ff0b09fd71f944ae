// The client of the examples. They ask the emulator, so that nobody pays for trying them, unless ANTHROPIC_BASE_URL says
// whom to ask: https://api.anthropic.com for the real one (with ANTHROPIC_API_KEY).
import Anthropic from '@anthropic-ai/sdk'
import { createEmulator } from 'claude-batch-stream/emulator'

/** Gives a client, how often to look at its batches (undefined: as the stages think fit), and what closes it. */
export async function connect(options = {}) {
  if (process.env.ANTHROPIC_BASE_URL) {
    const local = process.env.ANTHROPIC_BASE_URL.startsWith('http:')
    // An emulator takes any key.
    const client = new Anthropic({ maxRetries: 0, ...(local && { apiKey: 'any' }) })
    return { client, pollMs: local ? 100 : undefined, close: async () => {} }
  }
  const emulator = await createEmulator({ batchTimeMs: 200, ...options })
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url, maxRetries: 0 })
  return { client, pollMs: 100, close: () => emulator.close() }
}
