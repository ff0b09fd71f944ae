import type { Readable, Writable } from 'node:stream'

/**
 * Many items as one chunk, between neighbouring built-in stages only: a block of bytes and where each item lies in it, so that
 * an item costs no object and no call unless it is read.
 *
 * The contract for a stage that gives pages: call `push(page)` wherever it would push items. Where the reader agreed to
 * pages it receives the page; everywhere else (a second pipe, a `data` or `readable` listener, `for await`, a stage of a user's)
 * `StageTransform` and `Chain` push its items one by one. A page owns its memory, holds at least one item, at most
 * `PAGE_ITEMS` items and `PAGE_BYTES` bytes (a longer item is a page of its own), and is pushed at the latest when the
 * chunk that it came from is used up.
 *
 * The contract for a stage that takes pages: set `takesPages` among its options. It receives pages and single items in any
 * mixture and order, and treats a page exactly as its items. A Writable that is no stage calls `takePages(this)` once.
 *
 * Types do not change: a page is an iterable of what the stage's type says.
 */
export abstract class Page<T> implements Iterable<T> {
  abstract [Symbol.iterator](): Iterator<T>
}

/** The most items and bytes of one page. */
export const PAGE_ITEMS = 256
export const PAGE_BYTES: number = 256 * 1024

/** Streams that can give pages, and what starts and stops it. */
const givers: WeakMap<Readable, (gives: boolean) => void> = new WeakMap()

/** Says that a stream can give pages; `give` is called when it starts to and when it stops. */
export function offerPages(source: Readable, give: (gives: boolean) => void): void {
  givers.set(source, give)
}

/** Makes a stream ask for pages whenever it is piped into. */
export function takePages(taker: Writable): void {
  taker.on('pipe', (source: Readable) => {
    if (agreeOnPages(source)) narrow(taker)
  })
}

/**
 * Makes a source give pages to its only reader, which has attached its one listener. Whoever attaches later ends this: what is
 * buffered goes to the reader that agreed, or is taken apart where that one is gone.
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

/** Makes one chunk fill the buffer of a stream that receives pages: as many items as before would be megabytes. */
export function narrow(taker: Writable): void {
  buffers(taker)._writableState.highWaterMark = 1
}

function readersOf(source: Readable): number {
  return source.listenerCount('data') + source.listenerCount('readable')
}

function takeApart(source: Readable): void {
  const items: unknown[] = []
  for (let left = source.readableLength; left > 0; left--) {
    // A listener that is still there, which agreed to pages, receives each chunk.
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

/** Node has no public way to change how much a stream buffers once it exists, and only piping tells what its chunks are. */
function buffers(stream: Readable | Writable): Buffers {
  // Every version of Node keeps both numbers here.
  return stream as unknown as Buffers
}

/** Tests run everything with single items by this property of `globalThis`; false switches pages off. */
export const PAGES_SWITCH: symbol = Symbol.for('claude-batch-stream.pages')

function isSwitchedOff(): boolean {
  return Reflect.get(globalThis, PAGES_SWITCH) === false
}
