import Anthropic from '@anthropic-ai/sdk'
import type { Test } from 'tap'
import { createEmulator, type Emulator, type EmulatorOptions } from '../../lib/emulator/index.ts'

/** A clock that stands still until a test advances it. */
export class HandClock {
  time: number = Date.parse('2026-11-20T12:00:00Z')

  now(): number {
    return this.time
  }

  turn(ms: number): void {
    this.time += ms
  }
}

/** The emulator as a client reaches it, with the official SDK. */
export interface Bench {
  readonly emulator: Emulator
  readonly client: Anthropic
  readonly clock: HandClock
  readonly fetch: typeof fetch
}

export type Transport = 'http' | 'in process'

export async function bench(
  t: Test,
  transport: Transport,
  options: EmulatorOptions = {},
): Promise<Bench> {
  const clock = new HandClock()
  const emulator = await createEmulator({
    clock,
    batchTimeMs: 1000,
    ...options,
    ...(transport === 'in process' ? { port: null } : {}),
  })
  t.teardown(() => emulator.close())
  const fetchIt = transport === 'http' ? fetch : emulator.fetch
  const client = clientFor(emulator, transport)
  return { emulator, client, clock, fetch: fetchIt }
}

export function clientFor(emulator: Emulator, transport: Transport, apiKey = 'sk-test'): Anthropic {
  const inside = transport === 'http' ? {} : { fetch: emulator.fetch }
  return new Anthropic({ apiKey, baseURL: emulator.url, maxRetries: 0, ...inside })
}

/** Runs a test through the socket and through the in-process fetch, which must behave the same. */
export function both(
  t: Test,
  name: string,
  run: (t: Test, transport: Transport) => Promise<void>,
): void {
  for (const transport of ['http', 'in process'] as const) {
    void t.test(`${name} (${transport})`, test => run(test, transport))
  }
}

export type Request = Anthropic.Messages.Batches.BatchCreateParams.Request

/** A request with this text. `more` may contain what the SDK's types forbid. */
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

/** This many requests with the ids r-0, r-1 and so on. */
export function asks(count: number): Request[] {
  return Array.from({ length: count }, (_, i) => ask(`r-${i}`, `question ${i}`))
}

export type Line = Anthropic.Messages.Batches.MessageBatchIndividualResponse

/** The result lines of a batch, read with the SDK's decoder. */
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

/** The reason of a rejected promise. */
export async function rejection(promise: PromiseLike<unknown>): Promise<unknown> {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it did not reject')
}

/** A create with a streamed body; with a length it has that content-length. */
export function streamed(body: AsyncIterable<Uint8Array>, length?: number): RequestInit {
  const size = length === undefined ? {} : { 'content-length': String(length) }
  // Without it fetch rejects a streamed body; the types do not know it.
  const half = { duplex: 'half' }
  return {
    ...half,
    method: 'POST',
    headers: { ...JSON_HEADERS, ...size },
    // Node's fetch accepts any async iterable; its types name only ReadableStream.
    body: body as unknown as ReadableStream,
  }
}

/** A body in two parts, everything but the last byte and the last byte, with a callback in between. */
export async function* held(body: Buffer, between: () => Promise<void>): AsyncGenerator<Buffer> {
  yield body.subarray(0, -1)
  await between()
  yield body.subarray(-1)
}

/** The body of a create with these requests. */
export function bodyOf(requests: readonly Request[]): Buffer {
  return Buffer.from(JSON.stringify({ requests }))
}
