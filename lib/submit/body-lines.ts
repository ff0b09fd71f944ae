import { BatchStreamError } from '../errors.ts'
import type { Job } from '../job/job.ts'

const PART = 256 * 1024
const NEWLINE = 0x0a
const COMMA = 0x2c

/** The requests of a sealed batch as they stand in its body: one on a line, a comma behind all but the last. */
export async function* lines(job: Job, number: number): AsyncGenerator<Buffer> {
  const file = await job.disk.open(job.path(number, 'body'), 'read')
  try {
    const { requests } = job.batch(number)
    let held = Buffer.alloc(0)
    let at = 0
    // The first line opens the body.
    for (let line = -1; line < requests;) {
      const end = held.indexOf(NEWLINE)
      if (end === -1) {
        const part = Buffer.allocUnsafe(Math.max(PART, held.length))
        const read = await file.read(part, at)
        if (read === 0)
          throw new BatchStreamError(
            'CBS_STATE',
            `the body of batch ${number} on disk is shorter than its journal says: see \`claude-batch-stream doctor\``,
          )
        at += read
        held = Buffer.concat([held, part.subarray(0, read)])
        continue
      }
      if (line >= 0) yield held.subarray(0, held[end - 1] === COMMA ? end - 1 : end)
      held = held.subarray(end + 1)
      line += 1
    }
  } finally {
    await file.close()
  }
}
