import type { Emulator } from '../../../lib/emulator/index.ts'
import type { Gate } from './gate.ts'

/** How a call fails. Those that end in `after` still take effect at the API. */
export type CallFault =
  | 'reset before'
  | 'reset half way'
  | 'reset after'
  | '500 before'
  | '500 after'
  | '529 after'
  | '429 before'
  | 'page of a proxy before'
  | 'page of a proxy after'
  | 'silence before'
  | 'silence after'
  | 'reply cut'
  | 'reply stalls'

export const CALL_FAULTS: readonly CallFault[] = [
  'reset before',
  'reset half way',
  'reset after',
  '500 before',
  '500 after',
  '529 after',
  '429 before',
  'page of a proxy before',
  'page of a proxy after',
  'silence before',
  'silence after',
  'reply cut',
  'reply stalls',
]

/** The fault of the `at`th call. */
export interface NetworkFault {
  readonly at: number
  readonly how: CallFault
}

/**
 * The connection of one process to the API. Each call, each part of a body and each part of a reply is a step of the process.
 * When the process dies, its connections break; the API still processes what it has received completely, and `settled` waits for that.
 */
export class Network {
  calls = 0
  /** The call that failed. */
  struckAt: string | undefined
  readonly #emulator: Emulator
  readonly #gate: Gate
  readonly #fault: NetworkFault | undefined
  readonly #under: Set<Promise<unknown>> = new Set()

  constructor(emulator: Emulator, gate: Gate, fault?: NetworkFault) {
    this.#emulator = emulator
    this.#gate = gate
    this.#fault = fault
  }

  /** Resolves when the API has processed what it received. */
  async settled(): Promise<void> {
    while (this.#under.size > 0) await Promise.allSettled(this.#under)
  }

  readonly fetch: typeof fetch = async (input, init = {}) => {
    // Read before the first wait, so that calls are counted in the order in which they are made.
    const call = (this.calls += 1)
    const what = `${init.method ?? 'GET'} ${new URL(String(input)).pathname}`
    if (this.#gate.dead) throw broken('the process is dead')
    return await unlessDead(this.#gate, this.#make(String(input), init, what, call))
  }

  async #make(url: string, init: RequestInit, what: string, call: number): Promise<Response> {
    await this.#step(`${what}: begin`)
    const how = this.#fault?.at === call ? this.#fault.how : undefined
    if (how !== undefined) this.struckAt = what
    switch (how) {
      case 'reset before':
        throw broken('ECONNRESET')
      case 'silence before':
        return await silence(init.signal)
      case '500 before':
      case '429 before':
      case 'page of a proxy before':
        await drain(init.body)
        return faked(how)
    }
    const { response, parts } = await this.#send(url, init, what, how === 'reset half way')
    switch (how) {
      case 'reset after':
        throw broken('ECONNRESET')
      case 'silence after':
        return await silence(init.signal)
      case '500 after':
      case '529 after':
      case 'page of a proxy after':
        return faked(how)
    }
    await this.#step(`${what}: answered`)
    return new Response(this.#reply(parts, init.signal, what, how), response)
  }

  /** Sends a call to the API and reads the whole reply, so that nothing is pending when time advances. */
  async #send(
    url: string,
    init: RequestInit,
    what: string,
    breaks: boolean,
  ): Promise<{ response: Response; parts: Buffer[] }> {
    const connection = new AbortController()
    const upload = new Upload(init.body, init.headers)
    this.#gate.onDeath(() => {
      if (!upload.whole) connection.abort()
    })
    const signals = [connection.signal, ...(init.signal ? [init.signal] : [])]
    const body = init.body ? upload.parts(async () => this.#part(what, breaks, connection)) : null
    const answer = async (): Promise<{ response: Response; parts: Buffer[] }> => {
      const options = { ...init, body, signal: AbortSignal.any(signals) }
      // The emulator takes any iterable as a body, which the types of fetch do not know.
      const response = await this.#emulator.fetch(url, options as RequestInit)
      const parts: Buffer[] = []
      if (response.body) for await (const part of response.body) parts.push(Buffer.from(part))
      return { response, parts }
    }
    const under = answer()
    this.#under.add(under)
    under.then(
      () => this.#under.delete(under),
      () => this.#under.delete(under),
    )
    return await under
  }

  async #part(what: string, breaks: boolean, connection: AbortController): Promise<void> {
    if (breaks) {
      connection.abort()
      throw broken('ECONNRESET')
    }
    await this.#step(`${what}: part of the body`)
  }

  #reply(
    parts: readonly Buffer[],
    signal: AbortSignal | null | undefined,
    what: string,
    how: CallFault | undefined,
  ): BodyInit {
    const step = (part: string): Promise<void> => this.#step(`${what}: ${part}`)
    const whole = Buffer.concat(parts)
    const middle = Math.floor(whole.length / 2)
    async function* pieces(): AsyncGenerator<Uint8Array> {
      if (middle > 0) yield whole.subarray(0, middle)
      await step('half of the reply')
      if (how === 'reply cut') throw broken('terminated')
      if (how === 'reply stalls') await silence(signal)
      yield whole.subarray(middle)
    }
    // Response takes any iterable of bytes, which its types do not know.
    return pieces() as unknown as BodyInit
  }

  async #step(what: string): Promise<void> {
    await this.#gate.pass({ kind: 'http', what })
  }
}

/** Tracks the upload of a body. */
class Upload {
  /** Whether the API has all of it, and may act on it. */
  whole = false
  readonly #body: AsyncIterable<unknown> | undefined
  readonly #size: number

  constructor(body: unknown, headers: HeadersInit | undefined) {
    const streamed = typeof body === 'object' && body !== null && Symbol.asyncIterator in body
    // The line above checked the only member that is used; other bodies are a single part.
    this.#body = streamed ? (body as AsyncIterable<unknown>) : undefined
    this.#size = Number(new Headers(headers).get('content-length') ?? Infinity)
    if (!streamed) this.whole = true
  }

  async *parts(before: () => Promise<void>): AsyncGenerator<unknown> {
    let sent = 0
    for await (const part of this.#body ?? []) {
      await before()
      // The bodies of our client are streams of bytes.
      sent += (part as Uint8Array).length
      if (sent >= this.#size) this.whole = true
      yield part
    }
  }
}

function unlessDead<T>(gate: Gate, work: Promise<T>): Promise<T> {
  // A dead process cannot act on this; it only keeps the SDK from holding a timer for it.
  return new Promise((resolve, reject) => {
    gate.onDeath(() => reject(broken('the process is dead')))
    work.then(resolve, reject)
  })
}

function silence(signal: AbortSignal | null | undefined): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(signal?.reason)
    if (signal?.aborted) stop()
    signal?.addEventListener('abort', stop)
  })
}

async function drain(body: unknown): Promise<void> {
  if (typeof body !== 'object' || body === null || !(Symbol.asyncIterator in body)) return
  // As in Upload.
  for await (const _part of body as AsyncIterable<unknown>);
}

function faked(how: CallFault): Response {
  if (how.startsWith('page')) {
    return new Response('<html>Sign in to the network</html>', {
      status: 200,
      headers: { 'content-type': 'text/html' },
    })
  }
  const status = Number.parseInt(how)
  const type = { 429: 'rate_limit_error', 500: 'api_error', 529: 'overloaded_error' }[status]
  const headers = status === 429 ? { 'retry-after': '5' } : {}
  return Response.json({ type: 'error', error: { type, message: 'a fault' } }, { status, headers })
}

function broken(message: string): TypeError {
  return new TypeError('fetch failed', { cause: new Error(message) })
}
