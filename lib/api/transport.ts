import * as http from 'node:http'
import * as https from 'node:https'
import type { OnReadOpts, Socket } from 'node:net'
import { finished, pipeline, Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { freeMemory } from '../core/free-memory.ts'
import { MalformedReply } from './sdk-error.ts'

type Fetch = typeof globalThis.fetch

/** The members of a client that decide whether this transport may replace its fetch. */
interface TransportClient {
  readonly fetch: unknown
  readonly fetchOptions?: unknown
}

/**
 * Whether the user left the transport at its default: no fetch, fetch options or dispatcher. If in doubt this is false and
 * the client's own fetch is used.
 */
export function mayReplaceFetch({ fetch, fetchOptions }: TransportClient): boolean {
  if (fetch !== globalThis.fetch || fetchOptions !== undefined) return false
  return isNodeFetch(globalThis.fetch) && isDefaultDispatcher()
}

/** Node's own fetch loads this internal module; a replacement by a tracer or a test does not. */
function isNodeFetch(fetch: Fetch): boolean {
  return Function.prototype.toString.call(fetch).includes('internal/deps/undici')
}

/** Where every copy of undici, including Node's own, keeps the global dispatcher. */
const DISPATCHER = Symbol.for('undici.globalDispatcher.1')

/** The default dispatcher is an Agent without options, created on first use or when `undici` is imported. */
function isDefaultDispatcher(): boolean {
  const dispatcher: unknown = Reflect.get(globalThis, DISPATCHER)
  if (dispatcher === undefined) return true
  if (!(dispatcher instanceof Object) || dispatcher.constructor.name !== 'Agent') return false
  // Adding interceptors wraps the Agent and replaces `dispatch`.
  if (Reflect.get(dispatcher, 'dispatch') !== dispatcher.constructor.prototype.dispatch)
    return false
  const key = Object.getOwnPropertySymbols(dispatcher).find(
    ({ description }) => description === 'options',
  )
  const options: unknown = key && Reflect.get(dispatcher, key)
  return Object.values(Object(options)).every(value => value === undefined || value === Infinity)
}

/** As long as Node's fetch keeps an idle connection. A firewall may drop one that idles between two polls, without a word. */
const IDLE_MS = 4000

/** How much is read from a connection at once. */
const READ_BYTES = 256 * 1024

/**
 * Makes a connection read into one buffer. Node would allocate 64 KB for each read, and V8 counts those when it decides to
 * collect the whole heap. Node's HTTP parser copies what it passes on, so the buffer can be overwritten by the next read.
 */
function readsIntoOneBuffer(): { onread: OnReadOpts } {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  return {
    onread: {
      buffer,
      callback(this: Socket, size) {
        // The HTTP client listens to this event; with `onread` the connection itself does not emit it.
        this.emit('data', buffer.subarray(0, size))
        return true
      },
    },
  }
}

type Connection = ReturnType<http.Agent['createConnection']>

/** Connections of these agents. The parts of a body that comes from one belong to its reader. */
const own = new WeakSet<NonNullable<Connection>>()

function asOwn(connection: Connection): Connection {
  if (connection) own.add(connection)
  return connection
}

class HttpAgent extends http.Agent {
  override createConnection(...[options, done]: Parameters<http.Agent['createConnection']>) {
    return asOwn(super.createConnection({ ...options, ...readsIntoOneBuffer() }, done))
  }
}

class HttpsAgent extends https.Agent {
  override createConnection(...[options, done]: Parameters<https.Agent['createConnection']>) {
    return asOwn(super.createConnection({ ...options, ...readsIntoOneBuffer() }, done))
  }
}

/** Requests without a body share connections. Uploads do not: a kept connection that its server has just closed could lose a last byte. */
const AGENTS = {
  'http:': new HttpAgent({ keepAlive: true, timeout: IDLE_MS }),
  'https:': new HttpsAgent({ keepAlive: true, timeout: IDLE_MS }),
}

/**
 * A `fetch` over node:http(s). It takes half the CPU of Node's fetch for a large body and queues no part of it. It also spares the
 * process Node's second HTTP parser, which V8 compiles at the first reply (0.15 s of CPU, 30 MB). A body is text, or an async
 * iterable whose part may be overwritten once the next one is requested; sending stops as soon as a reply arrives. Redirects are
 * not followed, and encoded bodies are decoded. Replies and errors are those of `fetch`.
 */
export const leanFetch: Fetch = (input, init = {}) =>
  new Promise<Response>((resolve, reject) => {
    const url = new URL(String(input))
    const { signal } = init
    if (signal?.aborted) return reject(signal.reason)
    const headers = new Headers(init.headers)
    const body = bodyOf(init.body, headers)
    // Not deflate: some servers send it without the zlib header that the name means.
    if (!headers.has('accept-encoding')) headers.set('accept-encoding', 'gzip')
    const isPlain = url.protocol === 'http:'
    const request = (isPlain ? http : https).request(url, {
      method: init.method ?? 'GET',
      headers: Object.fromEntries(headers),
      agent: body ? false : AGENTS[isPlain ? 'http:' : 'https:'],
    })
    const call: PendingCall = { request, isReplied: false }
    let reply: Readable | undefined
    const stop = (cause: unknown): void => {
      // Node accepts any thrown value here; its types want an error.
      reply?.destroy(cause as Error)
      request.destroy(cause as Error)
      reject(cause)
    }
    const onAbort = (): void => stop(signal?.reason)
    // The signal may depend on one that outlives the call, which would then keep the reply in memory.
    const unlisten = (): void => signal?.removeEventListener('abort', onAbort)
    signal?.addEventListener('abort', onAbort)
    request.on('error', reject)
    request.on('close', () => {
      if (!reply) unlisten()
      // Node closes the connection after an upgrade that was not requested, without an error.
      reject(new Error('the connection was closed without a reply'))
    })
    request.on('response', message => {
      call.isReplied = true
      try {
        reply = decoded(message)
        finished(reply, unlisten)
        resolve(responseOf(message, reply))
      } catch (cause) {
        stop(cause)
      }
    })
    if (!body) request.end()
    else send(call, body).catch(stop)
  })

type Body = AsyncIterable<Uint8Array> | readonly Uint8Array[]

/** The SDK sends text, a stream with a content-length of its own, or nothing. */
function bodyOf(body: RequestInit['body'], headers: Headers): Body | undefined {
  if (typeof body !== 'string') return (body ?? undefined) as Body | undefined
  const bytes = Buffer.from(body)
  headers.set('content-length', String(bytes.length))
  return [bytes]
}

interface PendingCall {
  readonly request: http.ClientRequest
  isReplied: boolean
}

/** Sends a body part by part, each after the previous one has left the process. */
async function send(call: PendingCall, body: Body): Promise<void> {
  const { request } = call
  let proceed = (): void => {}
  // If the request fails before it is connected, write never calls back.
  request.once('close', () => proceed())
  for await (const part of body) {
    // A reply before the last byte is final: sending more cannot change it.
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

/** The most encodings of a body: each takes a decoder's memory. Source: undici, which has the same limit. */
const MAX_ENCODINGS = 5

/** The decoded body. An encoding that was not requested stays. */
function decoded(message: http.IncomingMessage): Readable {
  const encodings = (message.headers['content-encoding'] ?? '').toLowerCase().split(',')
  if (encodings.length > MAX_ENCODINGS)
    throw new MalformedReply(`the reply has ${encodings.length} encodings`)
  let body: Readable = message
  for (const encoding of encodings.reverse()) {
    const decoder = DECODERS[encoding.trim()]?.()
    if (!decoder) break
    // An error of either stream ends both and reaches the reader.
    body = pipeline(body, decoder, () => {})
  }
  // An error before anyone reads the body must not end the process.
  return body.on('error', () => {})
}

const taken = new WeakSet<Readable>()
const bodies = new WeakMap<Response, Readable>()

function responseOf({ statusCode, rawHeaders }: http.IncomingMessage, body: Readable): Response {
  const headers = new Headers()
  // Names and values alternate.
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

/** A web stream that reads on demand; `takeBody` can take the Node stream underneath instead. */
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
        // Node cancels the body of a garbage-collected Response.
        if (!taken.has(body)) body.destroy()
      },
    },
    { highWaterMark: 0 },
  )
}

/** The body of a reply. If this module made the reply, it is the Node stream, without the web stream around it. */
export function takeBody(response: Response): AsyncIterable<Uint8Array> | null {
  const body = bodies.get(response)
  if (!body) return response.body
  taken.add(body)
  return body
}

/**
 * Gives each part of a body to `take` until that says false. A part is valid until `take` has returned, or until its promise is
 * settled, which pauses the body. Rejects if the body breaks off, or with what `take` throws.
 */
export async function eachPart(
  body: AsyncIterable<Uint8Array>,
  take: (part: Uint8Array) => boolean | Promise<boolean>,
): Promise<void> {
  if (body instanceof Readable) return await eachChunk(body, take)
  for await (const part of body) if (!(await take(part))) return
}

/** The async iterator of a Node stream would join all parts that wait, in new memory, and cost a promise for each. */
function eachChunk(
  body: Readable,
  take: (part: Uint8Array) => boolean | Promise<boolean>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isStopped = false
    // The body may end while its last part is still being taken.
    let last: Promise<void> | undefined
    // A decoder continues to write into the memory of its parts.
    const isOwn = body instanceof http.IncomingMessage && own.has(body.socket)
    const free = (part: Uint8Array): void => {
      if (isOwn) freeMemory(part)
    }
    const next = (isWanted: boolean): void => {
      isStopped = !isWanted
      if (isStopped) body.destroy()
      else body.resume()
    }
    // Node accepts any thrown value here; its types want an error.
    const fail = (cause: unknown): void => void body.destroy(cause as Error)
    body.on('data', (part: Uint8Array) => {
      if (body.destroyed) return
      try {
        const wanted = take(part)
        if (wanted === true) return free(part)
        if (wanted === false) return next(false)
        body.pause()
        last = wanted.then(isWanted => {
          free(part)
          next(isWanted)
        })
        last.catch(fail)
      } catch (cause) {
        fail(cause)
      }
    })
    finished(body, error => {
      if (error && !isStopped) reject(error)
      else resolve(last)
    })
  })
}
