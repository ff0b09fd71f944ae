import type { Readable } from 'node:stream'

/**
 * Destroys a stream with an error, but only when what it holds has been read: destroyed at once, it would take good items
 * with it that its reader has not come to.
 */
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
