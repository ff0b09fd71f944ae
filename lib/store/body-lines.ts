import { createHash } from 'node:crypto'
import { BatchStreamError } from '../core/errors.ts'
import type { StoredJob } from './job.ts'

const PART = 256 * 1024
const NEWLINE = 0x0a
const COMMA = 0x2c

/**
 * The requests of a sealed batch as they are in its body: one per line, with a comma after all but the last. A body that
 * differs from the sealed one is `CBS_STATE`, at the latest after its last line.
 */
export async function* lines(job: StoredJob, number: number): AsyncGenerator<Buffer> {
  const { requests, hash: wanted } = job.batch(number)
  const file = await job.store.disk.open(job.store.path(number, 'body'), 'read')
  const hash = createHash('sha256')
  let at = 0
  const next = async (size: number): Promise<Buffer> => {
    const part = Buffer.allocUnsafe(size)
    const read = await file.read(part, at)
    at += read
    hash.update(part.subarray(0, read))
    return part.subarray(0, read)
  }
  try {
    let held = Buffer.alloc(0)
    // The first line opens the body.
    for (let line = -1; line < requests;) {
      const end = held.indexOf(NEWLINE)
      if (end === -1) {
        const part = await next(Math.max(PART, held.length))
        if (part.length === 0) throw damaged(number)
        held = Buffer.concat([held, part])
        continue
      }
      if (line >= 0) yield held.subarray(0, held[end - 1] === COMMA ? end - 1 : end)
      held = held.subarray(end + 1)
      line += 1
    }
    // The end of the body.
    await next(PART)
    if (hash.digest('hex') !== wanted) throw damaged(number)
  } finally {
    await file.close()
  }
}

function damaged(number: number): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the body of batch ${number} on disk was changed since it was sealed: see \`claude-batch-stream doctor\``,
  )
}
