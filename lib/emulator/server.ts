import { once } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { wrapError } from '../core/errors.ts'
import { handle } from './handle.ts'
import type { Service } from './service.ts'
import type { Reply, WireRequest } from './wire.ts'

/** The origin without a socket: an address that no server can listen on. */
const NO_SOCKET = 'http://127.0.0.1:0'

/** Serves the API on a port of 127.0.0.1; 0 picks a free one, null opens none. */
export async function listen(service: Service, port: number | null): Promise<Server | undefined> {
  service.origin = NO_SOCKET
  if (port === null) return undefined
  // Imported lazily because node:http loads Node's fetch, which writes global symbols.
  const { createServer } = await import('node:http')
  // A client may hold back an upload for any time and reuse a connection late.
  const options = { requestTimeout: 0, keepAliveTimeout: 120_000 }
  const server = createServer(
    options,
    (incoming, outgoing) => void serve(service, incoming, outgoing),
  )
  server.listen(port, '127.0.0.1')
  await once(server, 'listening').catch(cause => {
    throw wrapError('CBS_OPTION', `the emulator cannot listen on \`port\` ${port}`, cause)
  })
  // The address of a server on a port is an AddressInfo.
  service.origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return server
}

async function serve(
  service: Service,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  const { socket } = incoming
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  // Errors of the client's end are not errors of the emulator.
  outgoing.on('error', () => {})
  incoming.on('error', () => {})
  try {
    const reply = await handle(service, wireRequest(service, incoming, gone.signal))
    await send(reply, outgoing)
    // The rest of a body that got an early reply is read and discarded, as by the API.
    incoming.resume()
  } catch {
    socket.resetAndDestroy()
  }
}

function wireRequest(
  service: Service,
  incoming: IncomingMessage,
  signal: AbortSignal,
): WireRequest {
  return {
    // Server requests always have both.
    method: incoming.method as string,
    url: new URL(incoming.url as string, service.origin),
    header: name => incoming.headers[name]?.toString() ?? null,
    // Leaving the loop must not close the connection: the reply still goes out on it.
    body: incoming.iterator({ destroyOnReturn: false })[Symbol.asyncIterator](),
    signal,
  }
}

async function send(reply: Reply, outgoing: ServerResponse): Promise<void> {
  const { status, headers, body } = reply
  outgoing.writeHead(status, headers)
  if (body instanceof Uint8Array) {
    outgoing.end(body)
    return
  }
  let sent = 0
  for await (const chunk of body) {
    sent += chunk.length
    if (outgoing.destroyed) return
    if (!outgoing.write(chunk)) await drained(outgoing)
  }
  outgoing.end()
  // The body is shorter than its content-length; end the connection so that the client notices.
  if (sent < Number(headers['content-length'] ?? 0)) outgoing.socket?.end()
}

/** Resolves when more can be written, or nothing ever can. */
function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      outgoing.off('drain', done)
      outgoing.off('close', done)
      resolve()
    }
    outgoing.on('drain', done)
    outgoing.on('close', done)
  })
}
