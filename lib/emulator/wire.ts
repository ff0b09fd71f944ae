/** A request as it reached the emulator, through a socket or through its in-process `fetch`. */
export interface WireRequest {
  readonly method: string
  readonly url: URL
  /** A header's value by its lower-case name; null where it is missing. */
  readonly header: (name: string) => string | null
  /** The body as it arrives. It throws when the connection breaks. */
  readonly body: AsyncIterator<Uint8Array>
  /** Aborted when the client has gone or the emulator closes: a stall ends with it. */
  readonly signal: AbortSignal
}

/** An answer. A body that throws means that the connection is reset in the middle of it. */
export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | AsyncIterable<Buffer>
}

/** The connection broke, by a fault script's will or by the client's; no answer can be sent any more. */
export class ConnectionReset extends Error {
  readonly code = 'ECONNRESET'

  constructor() {
    super('the connection was reset')
  }
}

/** The body of a request, to be read once; what was looked at ahead of that comes again. */
export class RequestBody implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterator<Uint8Array>
  readonly #ahead: Uint8Array[] = []

  constructor(source: AsyncIterator<Uint8Array>) {
    this.#source = source
  }

  /** Waits until so many bytes are here, or the body has ended. */
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

  /** The body read whole; null when it has more than `most` bytes. */
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

  /** No more of it will be read. */
  async leave(): Promise<void> {
    await this.#source.return?.()
  }
}
