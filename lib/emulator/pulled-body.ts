import { ConnectionReset } from './wire.ts'

/** The body of a call of the in-process `fetch`, pulled chunk by chunk as a socket would take it. */
export class PulledBody {
  /** What the caller's own body threw. */
  broken: unknown
  readonly #parts: AsyncIterator<unknown> | Iterator<unknown>
  readonly #declared: number
  readonly #signal: AbortSignal
  #bytes = 0
  #done = false

  /** Sets the headers that fetch sets: the length of a body that is not streamed, the type of a text. */
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
   * The answer is there. A body that was sent whole is read to its end, as the network does it, since its author may wait for
   * that; of one that was answered early no more is taken.
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
      // Everything had been sent; what the body does after that is its own affair.
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
    // The line above has looked for the one member that is used.
    return body as AsyncIterable<unknown>
  }
  // Response knows all the other kinds of body that fetch takes; with one it always has a stream.
  return new Response(body as Blob).body as AsyncIterable<unknown>
}

/** The result of some work, unless the signal aborts first: then a ConnectionReset. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new ConnectionReset())
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}
