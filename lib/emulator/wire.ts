/** A request that reached the emulator, through a socket or its in-process `fetch`. */
export interface WireRequest {
  readonly method: string
  readonly url: URL
  /** A header by its lower-case name; null if absent. */
  readonly header: (name: string) => string | null
  /** The body as it arrives. It throws if the connection breaks. */
  readonly body: AsyncIterator<Uint8Array>
  /** Aborts when the client disconnects or the emulator closes; it also ends a stall. */
  readonly signal: AbortSignal
}

/** A reply. A body that throws resets the connection. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | AsyncIterable<Buffer>
}

/** The connection broke, by a fault script or by the client, so no reply can be sent. */
export class ConnectionReset extends Error {
  readonly code = 'ECONNRESET'

  constructor() {
    super('the connection was reset')
  }
}

/** The body of a request, to be read once. Bytes that `lookAhead` read come again. */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #ahead: Uint8Array[] = []

  constructor(source: AsyncIterator<Uint8Array>) {
    this.#source = source
  }

  /** Waits until this many bytes have arrived, or the body has ended. */
  async lookAhead(bytes: number): Promise<void> {
    let here = 0
    while (here < bytes) {
      const { done, value } = await this.#source.next()
      if (done) return
      this.#ahead.push(value)
      here += value.length
    }
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    yield* this.#ahead
    for (;;) {
      const { done, value } = await this.#source.next()
      if (done) return
      yield value
    }
  }

  /** The whole body; null if it has more than `most` bytes. */
  async whole(most: number): Promise<Buffer | null> {
    const parts: Uint8Array[] = []
    let bytes = 0
    for await (const part of this) {
      bytes += part.length
      if (bytes > most) return null
      parts.push(part)
    }
    return Buffer.concat(parts)
  }

  /** Stops reading. */
  async leave(): Promise<void> {
    await this.#source.return?.()
  }
}
