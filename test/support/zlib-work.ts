import { createGunzip } from 'node:zlib'

interface Handle {
  init(...words: unknown[]): void
  write(...words: unknown[]): void
  onerror(...words: unknown[]): void
}

const busy = new Set<Handle>()
const watched = new WeakSet<Handle>()

/** Whether some compressed bytes are being worked on. Node lists that among its active resources nowhere, so it is watched here. */
export function isZlibBusy(): boolean {
  return busy.size > 0
}

// The handle is Node's own; if a version of it has none, nothing is watched and the tests are as good as they were.
const { _handle: sample } = createGunzip() as unknown as { _handle?: Handle }
if (sample) watch(Object.getPrototypeOf(sample) as Handle)

function watch(type: Handle): void {
  const { init, write } = type
  type.init = function (this: Handle, ...words): void {
    const done = words.findIndex(word => typeof word === 'function')
    const after = words[done] as (...words: unknown[]) => void
    words[done] = function (this: Handle, ...results: unknown[]): void {
      busy.delete(this)
      after.apply(this, results)
    }
    init.apply(this, words)
  }
  type.write = function (this: Handle, ...words): void {
    busy.add(this)
    if (!watched.has(this)) watchErrors(this)
    write.apply(this, words)
  }
}

function watchErrors(handle: Handle): void {
  const { onerror } = handle
  handle.onerror = function (this: Handle, ...why): void {
    busy.delete(this)
    onerror.apply(this, why)
  }
  watched.add(handle)
}
