import Anthropic from '@anthropic-ai/sdk'
import type { Test } from 'tap'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../lib/emulator/index.ts'

/** A clock that stands still until a test turns it. */
export class HandClock {
  time: number = Date.parse('2026-11-20T12:00:00Z')

  now(): number {
    return this.time
  }

  turn(ms: number): void {
    this.time += ms
  }
}

/** The emulator as a client reaches it, and the official SDK in front of it. */
export interface Bench {
  readonly emulator: Emulator
  readonly client: Anthropic
  readonly clock: HandClock
  readonly fetch: typeof fetch
}

export type Jacket = 'http' | 'in process'

export async function bench(
  t: Test,
  jacket: Jacket,
  options: EmulatorOptions = {},
): Promise<Bench> {
  const clock = new HandClock()
  const emulator = await createEmulator({
    clock,
    batchTimeMs: 1000,
    ...options,
    ...(jacket === 'in process' ? { port: null } : {}),
  })
  t.teardown(() => emulator.close())
  const fetchIt = jacket === 'http' ? fetch : emulator.fetch
  const client = clientFor(emulator, jacket)
  return { emulator, client, clock, fetch: fetchIt }
}

export function clientFor(emulator: Emulator, jacket: Jacket, apiKey = 'sk-test'): Anthropic {
  const inside = jacket === 'http' ? {} : { fetch: emulator.fetch }
  return new Anthropic({ apiKey, baseURL: emulator.url, maxRetries: 0, ...inside })
}

/** Runs a test through the socket and through the in-process fetch: they must not differ. */
export function both(t: Test, name: string, run: (t: Test, jacket: Jacket) => Promise<void>): void {
  for (const jacket of ['http', 'in process'] as const) {
    void t.test(`${name} (${jacket})`, test => run(test, jacket))
  }
}

export type Request = Anthropic.Messages.Batches.BatchCreateParams.Request

/** A request that asks this text. `more` may hold what the SDK's types forbid. */
export function ask(custom_id: string, text: string, more: object = {}): Request {
  return {
    custom_id,
    params: {
      model: 'claude-haiku-5-5',
      max_tokens: 100,
      messages: [{ role: 'user', content: text }],
      ...more,
    },
  }
}

/** As many requests with the ids r-0, r-1 and so on. */
export function asks(count: number): Request[] {
  return Array.from({ length: count }, (_, i) => ask(`r-${i}`, `question ${i}`))
}

export type Line = Anthropic.Messages.Batches.MessageBatchIndividualResponse

/** The result lines of a batch by the SDK's own decoder. */
export async function linesOf(client: Anthropic, id: string): Promise<Line[]> {
  const lines: Line[] = []
  for await (const line of await client.messages.batches.results(id)) lines.push(line)
  return lines
}

/** Text of a succeeded line; undefined for any other. */
export function textOf(line: Line | undefined): string | undefined {
  if (line?.result.type !== 'succeeded') return undefined
  return line.result.message.content
    .map(block => (block.type === 'text' ? block.text : ''))
    .join('')
}

export const HEADERS = { authorization: 'Bearer sk-test', 'anthropic-version': '2026-10-21' }
export const JSON_HEADERS = { ...HEADERS, 'content-type': 'application/json' }

/** What a promise rejects with. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it did not reject')
}

/** A create whose body is streamed; with a length it is sent with that content-length. */
export function streamed(body: AsyncIterable<Uint8Array>, length?: number): RequestInit {
  const size = length === undefined ? {} : { 'content-length': String(length) }
  // Without it fetch refuses a streamed body; the types do not know it.
  const half = { duplex: 'half' }
  return {
    ...half,
    method: 'POST',
    headers: { ...JSON_HEADERS, ...size },
    // Node's fetch takes any async iterable; its types name ReadableStream alone.
    body: body as unknown as ReadableStream,
  }
}

/** A body in two parts, all but the last byte and the last byte, with whatever happens between them. */
export async function* held(body: Buffer, between: () => Promise<void>): AsyncGenerator<Buffer> {
  yield body.subarray(0, -1)
  await between()
  yield body.subarray(-1)
}

/** The body of a create of so many requests. */
export function bodyOf(requests: readonly Request[]): Buffer {
  return Buffer.from(JSON.stringify({ requests }))
}
