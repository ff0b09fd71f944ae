// The client of the examples. It connects to the API at ANTHROPIC_BASE_URL, such as https://api.anthropic.com (which also needs
// ANTHROPIC_API_KEY), or else to an emulator, which costs nothing.
import Anthropic from '@anthropic-ai/sdk'
import { createEmulator, type EmulatorOptions } from 'claude-batch-stream/emulator'

export interface Connection {
  readonly client: Anthropic
  /** Milliseconds between two polls; undefined for the default. */
  readonly poll: number | undefined
  close(): Promise<void>
}

export async function connect(options: EmulatorOptions = {}): Promise<Connection> {
  const baseURL = process.env['ANTHROPIC_BASE_URL']
  if (baseURL !== undefined) {
    const isLocal = baseURL.startsWith('http:')
    // An emulator accepts any key.
    const client = new Anthropic(isLocal ? { apiKey: 'any' } : {})
    return { client, poll: isLocal ? 100 : undefined, close: async () => {} }
  }
  const emulator = await createEmulator({ batchTimeMs: 200, ...options })
  const client = new Anthropic({ apiKey: 'any', baseURL: emulator.url })
  return { client, poll: 100, close: () => emulator.close() }
}
