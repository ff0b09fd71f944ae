import type { Readable } from 'node:stream'

/** Destroys a stream with an error after its buffered items have been read. Destroying it at once would drop them. */
export function failWhenRead(stream: Readable, error: Error): void {
  if (stream.readableLength === 0) {
    stream.destroy(error)
    return
  }
  const read = stream.read
  stream.read = size => {
    const item: unknown = read.call(stream, size)
    if (stream.readableLength === 0) process.nextTick(() => stream.destroy(error))
    return item
  }
}
