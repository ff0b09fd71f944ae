import { join } from 'node:path'
import { replaceFile } from '../store/disk.ts'
import type { StoredJob } from '../store/job.ts'
import { RETRY_NOTE } from './job-work.ts'

/**
 * The number of the last batch that a retry does not count as its own. It is kept in the job until the retry is over, so
 * that one which was interrupted goes on, and prints again what it had printed.
 */
export async function beginRetry(job: StoredJob): Promise<number> {
  const known = await job.store.disk.readWhole(noteOf(job))
  if (known) {
    const { after }: { after: number } = JSON.parse(known.toString('utf8'))
    return after
  }
  const after = Math.max(0, ...job.state.batches.keys())
  await replaceFile(job.store.disk, noteOf(job), Buffer.from(`${JSON.stringify({ after })}\n`))
  return after
}

export async function endRetry(job: StoredJob): Promise<void> {
  await job.store.disk.remove(noteOf(job))
}

function noteOf(job: StoredJob): string {
  return join(job.store.folder, RETRY_NOTE)
}
