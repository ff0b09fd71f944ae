import type { Readable } from 'node:stream'

/** Waits until there is something to read; false at the end, and when the signal aborts. */
export function isReadable(stream: Readable, signal?: AbortSignal): Promise<boolean> {
  if (stream.errored) {
    // The rejection reports the error; its event may come later, without another listener.
    stream.on('error', () => {})
    return Promise.reject(stream.errored)
  }
  if (stream.readableEnded || stream.destroyed) return Promise.resolve(false)
  return new Promise((resolve, reject) => {
    const leave = (settle: () => void) => (): void => {
      stream.off('readable', readable).off('end', end).off('error', failed).off('close', end)
      signal?.removeEventListener('abort', end)
      settle()
    }
    const readable = leave(() => resolve(true))
    const end = leave(() => resolve(false))
    const failed = (error: Error): void => leave(() => reject(error))()
    // An error comes before the close, so that this one is an end.
    stream.on('readable', readable).on('end', end).on('error', failed).on('close', end)
    signal?.addEventListener('abort', end)
  })
}
