import { handle } from './handle.ts'
import { PulledBody, unlessAborted } from './pulled-body.ts'
import { responseTo } from './response.ts'
import type { Service } from './service.ts'
import type { Reply, WireRequest } from './wire.ts'

/**
 * A `fetch` that calls the emulator without a socket. It behaves like the network: a streamed body is pulled chunk by
 * chunk, a body that throws breaks the connection, and an early reply arrives before the body's end.
 */
export function fetchInto(service: Service, closing: AbortSignal): typeof fetch {
  return async (input, init) => {
    const call = new FetchCall(input, init)
    const signal = call.signal ? AbortSignal.any([call.signal, closing]) : closing
    if (closing.aborted) throw failed(new Error('the emulator is closed'))
    try {
      return await call.follow(service, signal)
    } catch (error) {
      call.signal?.throwIfAborted()
      throw error instanceof TypeError ? error : failed(call.broken ?? error)
    }
  }
}

function failed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause })
}

/** Redirects that are followed, as in fetch. */
const MOST_REDIRECTS = 20

/** One call of fetch, redirects included. */
class FetchCall {
  readonly signal: AbortSignal | undefined
  /** The error that the caller's body threw. */
  broken: unknown
  readonly #request: Request | undefined
  readonly #init: RequestInit
  readonly #headers: Headers
  #url: URL
  #method: string

  constructor(input: string | URL | Request, init: RequestInit = {}) {
    this.#request = input instanceof Request ? input : undefined
    this.#init = init
    this.#url = new URL(input instanceof Request ? input.url : input)
    this.#method = (init.method ?? this.#request?.method ?? 'GET').toUpperCase()
    this.#headers = new Headers(init.headers ?? this.#request?.headers)
    this.signal = init.signal ?? this.#request?.signal
  }

  async follow(service: Service, signal: AbortSignal): Promise<Response> {
    for (let i = 0; i <= MOST_REDIRECTS; i++) {
      const reply = await this.#send(service, signal)
      const { location } = reply.headers
      if (location === undefined || reply.status < 300 || reply.status > 399)
        return responseTo(reply, signal)
      const mode = this.#init.redirect ?? this.#request?.redirect ?? 'follow'
      if (mode === 'manual') return responseTo(reply, signal)
      if (mode === 'error') throw failed(new Error('unexpected redirect'))
      this.#url = new URL(location, this.#url)
      if (this.#url.origin !== service.origin)
        throw failed(new Error(`the emulator is not at ${this.#url.origin}`))
      if (reply.status < 307) this.#method = 'GET'
    }
    throw failed(new Error('redirect count exceeded'))
  }

  async #send(service: Service, signal: AbortSignal): Promise<Reply> {
    signal.throwIfAborted()
    const given = this.#method === 'GET' ? null : (this.#init.body ?? this.#request?.body ?? null)
    const body = new PulledBody(given, this.#headers, signal)
    const request: WireRequest = {
      method: this.#method,
      url: this.#url,
      header: name => this.#headers.get(name),
      body: body.chunks(),
      signal,
    }
    try {
      // An aborted client does not wait for the API.
      return await unlessAborted(handle(service, request), signal)
    } finally {
      this.broken = body.broken
      body.leave()
    }
  }
}
