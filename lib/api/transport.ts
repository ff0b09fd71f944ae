import * as http from 'node:http'
import * as https from 'node:https'
import { pipeline, type Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'

type Fetch = typeof globalThis.fetch

/** What decides whether this transport may stand in for a client's own way of calling. */
interface Caller {
  readonly fetch: unknown
  readonly fetchOptions?: unknown
}

/**
 * Whether nobody has chosen how this client calls: no fetch, fetch options or dispatcher of the user's. Where that cannot be
 * told, the answer is no and the client's own fetch is used.
 */
export function mayReplaceFetch({ fetch, fetchOptions }: Caller): boolean {
  if (fetch !== globalThis.fetch || fetchOptions !== undefined) return false
  return isNodeFetch(globalThis.fetch) && isDefaultDispatcher()
}

/** Node's own fetch loads this module of Node; one that a tracer or a test has put in its place does not. */
function isNodeFetch(fetch: Fetch): boolean {
  return Function.prototype.toString.call(fetch).includes('internal/deps/undici')
}

/** Where every copy of undici, Node's own too, keeps the dispatcher of all calls. */
const DISPATCHER = Symbol.for('undici.globalDispatcher.1')

/** A dispatcher is made when it is first needed, or when an `undici` is imported: as an Agent without options. */
function isDefaultDispatcher(): boolean {
  const dispatcher: unknown = Reflect.get(globalThis, DISPATCHER)
  if (dispatcher === undefined) return true
  if (!(dispatcher instanceof Object) || dispatcher.constructor.name !== 'Agent') return false
  // Interceptors are added by a proxy around an Agent that has another `dispatch`.
  if (Reflect.get(dispatcher, 'dispatch') !== dispatcher.constructor.prototype.dispatch)
    return false
  const key = Object.getOwnPropertySymbols(dispatcher).find(
    ({ description }) => description === 'options',
  )
  const options: unknown = key && Reflect.get(dispatcher, key)
  return Object.values(Object(options)).every(value => value === undefined || value === Infinity)
}

/** Downloads may share connections. An upload never does: one that its server has just closed could swallow a last byte. */
const AGENTS = {
  'http:': new http.Agent({ keepAlive: true }),
  'https:': new https.Agent({ keepAlive: true }),
}

/**
 * A `fetch` over node:http(s), for the creates and downloads of a batch alone: half the CPU of Node's fetch, and no buffer of
 * a body is queued. The body is a stream whose parts may be written over once the next one is asked for; it is sent until the
 * reply comes, and no further. Redirects are not followed, and a body is decoded. Reply and error are those of `fetch`.
 */
export const leanFetch: Fetch = (input, init = {}) =>
  new Promise<Response>((resolve, reject) => {
    const url = new URL(String(input))
    const { signal } = init
    if (signal?.aborted) return reject(signal.reason)
    // The SDK gives a stream, or nothing.
    const body = (init.body ?? undefined) as AsyncIterable<Uint8Array> | undefined
    const headers = new Headers(init.headers)
    if (!headers.has('accept-encoding')) headers.set('accept-encoding', 'gzip, deflate')
    const isPlain = url.protocol === 'http:'
    const request = (isPlain ? http : https).request(url, {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(headers),
      agent: body ? false : AGENTS[isPlain ? 'http:' : 'https:'],
    })
    const call: Call = { request, isReplied: false }
    let reply: Readable | undefined
    const stop = (cause: unknown): void => {
      // Node takes whatever was thrown; its types want an error.
      reply?.destroy(cause as Error)
      request.destroy(cause as Error)
      reject(cause)
    }
    // The signal is of this call alone, so that the listener need not be removed.
    signal?.addEventListener('abort', () => stop(signal.reason), { once: true })
    request.on('error', reject)
    request.on('response', message => {
      call.isReplied = true
      try {
        reply = decoded(message)
        resolve(responseOf(message, reply))
      } catch (cause) {
        stop(cause)
      }
    })
    if (!body) request.end()
    else send(call, body).catch(stop)
  })

interface Call {
  readonly request: http.ClientRequest
  isReplied: boolean
}

/** Sends a body part by part, each once the one before has left the process. */
async function send(call: Call, body: AsyncIterable<Uint8Array>): Promise<void> {
  const { request } = call
  let proceed = (): void => {}
  // A request that fails before it is connected never calls back for what it was given.
  request.once('close', () => proceed())
  for await (const part of body) {
    // A reply before the last byte decides: nothing that follows could change it.
    if (request.destroyed || call.isReplied) return
    await new Promise<void>(resolve => {
      proceed = resolve
      request.write(part, () => resolve())
    })
  }
  request.end()
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
}

/** The body as it was before it was encoded; an encoding that was not asked for stays. */
function decoded(message: http.IncomingMessage): Readable {
  const encodings = (message.headers['content-encoding'] ?? '').toLowerCase().split(',')
  let body: Readable = message
  for (const encoding of encodings.reverse()) {
    const decoder = DECODERS[encoding.trim()]?.()
    if (!decoder) break
    // An error of either ends both, and reaches the reader of the last one.
    body = pipeline(body, decoder, () => {})
  }
  // A reply that is broken before it is read must not end the process.
  return body.on('error', () => {})
}

const taken = new WeakSet<Readable>()
const bodies = new WeakMap<Response, Readable>()

function responseOf({ statusCode, rawHeaders }: http.IncomingMessage, body: Readable): Response {
  const headers = new Headers()
  // Names and values take turns.
  for (let at = 0; at < rawHeaders.length; at += 2)
    headers.append(String(rawHeaders[at]), String(rawHeaders[at + 1]))
  const isBare = statusCode === 204 || statusCode === 205 || statusCode === 304
  if (isBare) body.resume()
  const response = new Response(isBare ? null : lazily(body), {
    status: Number(statusCode),
    headers,
  })
  if (!isBare) bodies.set(response, body)
  return response
}

/** A body that is read on demand; the Node stream under it can be taken instead. */
function lazily(body: Readable): ReadableStream<Uint8Array> {
  let parts: AsyncIterator<Uint8Array> | undefined
  return new ReadableStream(
    {
      async pull(controller) {
        parts ??= body[Symbol.asyncIterator]()
        const { done, value } = await parts.next()
        if (done) controller.close()
        else controller.enqueue(value)
      },
      cancel() {
        // Node cancels the body of a Response that was collected as garbage.
        if (!taken.has(body)) body.destroy()
      },
    },
    { highWaterMark: 0 },
  )
}

/** The body of a reply to read from: the stream of Node where this module made the reply, without the web stream around it. */
export function takeBody(response: Response): AsyncIterable<Uint8Array> | null {
  const body = bodies.get(response)
  if (!body) return response.body
  taken.add(body)
  return body
}
