import { pipeline, Readable } from 'node:stream'
import { constants, createGunzip } from 'node:zlib'
import { unlessAborted } from './pulled-body.ts'
import { ConnectionReset, type Reply } from './wire.ts'

/** Statuses that cannot have a body. */
const EMPTY = [204, 304]

/** The reply as a Response of fetch. Its body is read on demand and gunzipped if needed. */
export function responseTo(reply: Reply, signal: AbortSignal): Response {
  const { status, headers } = reply
  if (EMPTY.includes(status)) return new Response(null, { status, headers })
  const whole = complete(reply)
  const body = headers['content-encoding'] === 'gzip' ? unpacked(whole) : whole
  return new Response(streamOf(body, signal), { status, headers })
}

/** The chunks of a body. A body shorter than its content-length is a broken connection. */
async function* complete({ body, headers }: Reply): AsyncGenerator<Buffer> {
  let bytes = 0
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    bytes += chunk.length
    yield chunk
  }
  if (bytes < Number(headers['content-length'] ?? 0)) throw new ConnectionReset()
}

function unpacked(body: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  // As in fetch, a truncated stream is not an error: it yields what can be decompressed.
  const plain = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH })
  // The reader of `plain` gets the error; pipeline closes the other end.
  pipeline(Readable.from(body), plain, () => {})
  return plain
}

function streamOf(body: AsyncIterable<Buffer>, signal: AbortSignal): ReadableStream<Uint8Array> {
  const chunks = body[Symbol.asyncIterator]()
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { done, value } = await unlessAborted(chunks.next(), signal)
          if (done) controller.close()
          else controller.enqueue(value)
        } catch (cause) {
          void chunks.return?.()
          controller.error(signal.aborted ? signal.reason : new TypeError('terminated', { cause }))
        }
      },
      async cancel() {
        await chunks.return?.()
      },
    },
    // Nothing is read ahead of demand.
    { highWaterMark: 0 },
  )
}
