// The client of the examples. It connects to the emulator, so that trying them costs nothing, unless ANTHROPIC_BASE_URL names
// another API: https://api.anthropic.com for the real one (with ANTHROPIC_API_KEY).
import Anthropic from '@anthropic-ai/sdk'
import { createEmulator, type EmulatorOptions } from 'claude-batch-stream/emulator'

export interface Connection {
  readonly client: Anthropic
  /** Ms between two polls; undefined for the default. */
  readonly poll: number | undefined
  close(): Promise<void>
}

export async function connect(options: EmulatorOptions = {}): Promise<Connection> {
  const baseURL = process.env['ANTHROPIC_BASE_URL']
  if (baseURL !== undefined) {
    const isLocal = baseURL.startsWith('http:')
    // An emulator takes any key.
    const client = new Anthropic(isLocal ? { apiKey: 'any' } : {})
    return { client, poll: isLocal ? 100 : undefined, close: async () => {} }
  }
  const emulator = await createEmulator({ batchTimeMs: 200, ...options })
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url })
  return { client, poll: 100, close: () => emulator.close() }
}
