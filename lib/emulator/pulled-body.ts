import { ConnectionReset } from './wire.ts'

/** The request body of the in-process `fetch`, pulled chunk by chunk as by a socket. */
export class PulledBody {
  /** The error that the caller's body threw. */
  broken: unknown
  readonly #parts: AsyncIterator<unknown> | Iterator<unknown>
  readonly #declared: number
  readonly #signal: AbortSignal
  #bytes = 0
  #done = false

  /** Sets the headers that fetch sets: the length of a body that is not streamed, the type of a string. */
  constructor(body: unknown, headers: Headers, signal: AbortSignal) {
    const whole = wholeBody(body)
    if (whole) headers.set('content-length', String(whole.length))
    if (typeof body === 'string' && !headers.has('content-type'))
      headers.set('content-type', 'text/plain;charset=UTF-8')
    this.#parts = whole ? [whole].values() : streamed(body)[Symbol.asyncIterator]()
    this.#declared = Number(headers.get('content-length') ?? Infinity)
    this.#signal = signal
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const { done, value } = await unlessAborted(this.#next(), this.#signal)
      if (done) return
      yield value
    }
  }

  async #next(): Promise<{ readonly done: boolean; readonly value: Uint8Array }> {
    try {
      const { done = false, value } = await this.#parts.next()
      this.#done = done
      const bytes =
        typeof value === 'string'
          ? Buffer.from(value)
          : value instanceof Uint8Array
            ? value
            : Buffer.alloc(0)
      this.#bytes += bytes.length
      return { done, value: bytes }
    } catch (cause) {
      this.#done = true
      this.broken = cause
      throw new ConnectionReset()
    }
  }

  /**
   * Called once the reply is ready. A completely sent body is read to its end, as the network does, since its author may
   * wait for that. After an early reply nothing more is read.
   */
  leave(): void {
    if (this.#done) return
    this.#done = true
    if (this.#bytes >= this.#declared) void this.#drain()
    else void Promise.resolve(this.#parts.return?.()).catch(() => {})
  }

  async #drain(): Promise<void> {
    try {
      while (!(await this.#parts.next()).done);
    } catch {
      // Everything was sent; errors of the body no longer matter.
    }
  }
}

function wholeBody(body: unknown): Buffer | undefined {
  if (body === null) return Buffer.alloc(0)
  if (typeof body === 'string') return Buffer.from(body)
  if (body instanceof ArrayBuffer) return Buffer.from(body)
  return ArrayBuffer.isView(body)
    ? Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    : undefined
}

function streamed(body: unknown): AsyncIterable<unknown> {
  if (typeof body === 'object' && body !== null && Symbol.asyncIterator in body) {
    // The line above checks the one member that is used.
    return body as AsyncIterable<unknown>
  }
  // Response accepts all other bodies that fetch takes, and then always has a stream.
  return new Response(body as Blob).body as AsyncIterable<unknown>
}

/** The result of some work, or a ConnectionReset if the signal aborts first. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new ConnectionReset())
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
