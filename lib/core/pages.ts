import type { Readable, Writable } from 'node:stream'

/**
 * Many items as one chunk, between neighboring built-in stages only: a block of bytes and the place of each item, so that an item
 * costs no object and no call unless it is read.
 *
 * A stage that produces pages calls `push(page)` instead of pushing items. A reader that agreed to pages receives the page. In
 * all other cases (a second pipe, a `data` or `readable` listener, `for await`, a user's stage) `StageTransform` and `Chain` push
 * its items one by one. A page owns its memory, has at least one item, and at most `PAGE_ITEMS` items and `PAGE_BYTES` bytes (a
 * longer item is a page of its own). It is pushed no later than the end of the chunk that it came from.
 *
 * A stage that accepts pages sets `takesPages` in its options. It receives pages and single items in any order and treats a
 * page exactly like its items. A Writable that is not a stage calls `takePages(this)` once.
 *
 * Types do not change: a page is an iterable of the stage's item type.
 */
export abstract class Page<T> implements Iterable<T> {
  abstract [Symbol.iterator](): Iterator<T>
}

/** The most items and bytes of one page. */
export const PAGE_ITEMS = 256
export const PAGE_BYTES: number = 256 * 1024

/** Streams that can produce pages, with the function that starts and stops it. */
const givers: WeakMap<Readable, (gives: boolean) => void> = new WeakMap()

/** Registers a stream that can produce pages. `give` is called when it starts and when it stops. */
export function offerPages(source: Readable, give: (gives: boolean) => void): void {
  givers.set(source, give)
}

/** Makes a stream request pages from every source that is piped into it. */
export function takePages(taker: Writable): void {
  taker.on('pipe', (source: Readable) => {
    if (agreeOnPages(source)) narrow(taker)
  })
}

/**
 * Makes a source produce pages for its only reader, which has attached its one listener. A second listener ends this: buffered
 * pages go to the first reader, or are split into items if that reader is gone.
 */
export function agreeOnPages(source: Readable): boolean {
  const give = givers.get(source)
  if (!give || isSwitchedOff() || readersOf(source) !== 1) return false
  const items = source.readableHighWaterMark
  const change = (event: string | symbol): void => {
    if (event !== 'data' && event !== 'readable') return
    source.off('newListener', change)
    source.off('removeListener', change)
    give(false)
    buffers(source)._readableState.highWaterMark = items
    takeApart(source)
  }
  source.on('newListener', change)
  source.on('removeListener', change)
  give(true)
  buffers(source)._readableState.highWaterMark = 1
  return true
}

/** Makes one chunk fill the buffer of a stream that receives pages, since the usual number of chunks would be megabytes. */
export function narrow(taker: Writable): void {
  buffers(taker)._writableState.highWaterMark = 1
}

function readersOf(source: Readable): number {
  return source.listenerCount('data') + source.listenerCount('readable')
}

function takeApart(source: Readable): void {
  const items: unknown[] = []
  for (let left = source.readableLength; left > 0; left--) {
    // The listener that agreed to pages, if it is still there, receives each chunk.
    const isRead = source.listenerCount('data') > 0
    const chunk: unknown = source.read()
    if (chunk !== null && !isRead) items.push(...(chunk instanceof Page ? chunk : [chunk]))
  }
  for (const item of items.reverse()) source.unshift(item)
}

interface Buffers {
  readonly _readableState: { highWaterMark: number }
  readonly _writableState: { highWaterMark: number }
}

/** Node has no public way to change the buffer size of an existing stream, and its chunks are known only when it is piped. */
function buffers(stream: Readable | Writable): Buffers {
  // Every supported version of Node keeps both numbers here.
  return stream as unknown as Buffers
}

/** The property of `globalThis` that switches pages off if it is false, so that tests can run with single items. */
export const PAGES_SWITCH: symbol = Symbol.for('claude-batch-stream.pages')

function isSwitchedOff(): boolean {
  return Reflect.get(globalThis, PAGES_SWITCH) === false
}
