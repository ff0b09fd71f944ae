import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import type { Test } from 'tap'

/** The body of a 404 of the API. */
export const NOT_FOUND: string = JSON.stringify({
  type: 'error',
  error: { type: 'not_found_error', message: 'Not found' },
})

/** What an API that lies does with a request. */
export interface Lies {
  /** Answers it, where it returns true; the others are answered by the emulator. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** Changes the body of the emulator's answer. */
  readonly change?: (path: string, body: string) => string
}

/** Starts an API that lies in front of the emulator at `target`; returns its URL. */
export async function lyingApi(t: Test, target: string, lies: Lies): Promise<string> {
  const server = createServer((request, response) => {
    if (!lies.answer?.(request, response)) void forward(target, lies, request, response)
  })
  await new Promise<void>(resolve => void server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  // A server that listens on a port has an address of this type.
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function forward(
  target: string,
  { change = (_, body) => body }: Lies,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { url = '/', method = 'GET' } = request
  const {
    host: _,
    connection: _2,
    'accept-encoding': _3,
    'content-length': _4,
    ...headers
  } = request.headers
  const body = await buffer(request)
  const answer = await fetch(new URL(url, target), {
    method,
    // No header that is forwarded comes twice.
    headers: headers as Record<string, string>,
    ...(body.length > 0 && { body }),
  })
  const text = change(url, await answer.text())
  const date = answer.headers.get('date')
  response.writeHead(answer.status, { 'content-type': 'application/json', ...(date && { date }) })
  response.end(text)
}
