import { createHash } from 'node:crypto'
import { BatchStreamError } from '../errors.ts'
import type { DiskFile } from '../job/disk.ts'

const PART = 256 * 1024

/** How far the sending of a body has come. */
export interface Sending {
  /** The last byte has been handed over: from here on the API may hold the batch. */
  whole: boolean
  /** Set when the call is over: nothing more goes out, and nothing is armed any more. */
  over: boolean
}

/**
 * The bytes of a body, the last one held back until `arm` returns. A server that misses the last byte of a body whose
 * length it knows cannot have a batch, so every failure before that moment is simply tried again. A body that is not what was
 * sealed is never sent whole: that is `CBS_STATE`.
 */
export async function* sendBody(
  file: DiskFile,
  { size, hash: wanted }: { readonly size: number; readonly hash: string },
  sending: Sending,
  arm: () => Promise<void>,
  moved: () => void,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256')
  for (let at = 0; at < size - 1;) {
    const part = Buffer.allocUnsafe(Math.min(PART, size - 1 - at))
    const read = await file.read(part, at)
    if (read < part.length) throw cut(size)
    hash.update(part)
    moved()
    yield part
    at += read
  }
  const last = Buffer.allocUnsafe(1)
  if ((await file.read(last, size - 1)) < 1) throw cut(size)
  if (hash.update(last).digest('hex') !== wanted) throw changed()
  if (sending.over) return
  await arm()
  // The answer may have come while the journal was written; then the last byte must not follow it.
  if (sending.over) return
  sending.whole = true
  moved()
  yield last
}

function changed(): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    "a batch's body on disk was changed since it was sealed; it was not sent: see `claude-batch-stream doctor`",
  )
}

function cut(size: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `a batch's body on disk is shorter than the ${size} bytes of its journal; it was not sent: see \`claude-batch-stream doctor\``,
  )
}
