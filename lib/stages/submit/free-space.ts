import { BatchStreamError } from '../../core/errors.ts'
import type { StoredJob } from '../../store/job.ts'

/** Answers seldom have more than a few times the bytes of what was asked; short questions may, so a little is always wanted. */
const ANSWERS_PER_BYTE = 4
const ALWAYS = 1_000_000

/**
 * Makes sure that the answers of a batch will fit on the disk before the batch is paid for.
 *
 * @throws BatchStreamError `CBS_DISK` where they may not, or where the free space is unknown
 */
export async function ensureFreeSpace(job: StoredJob, bodyBytes: number): Promise<void> {
  const wanted = ALWAYS + ANSWERS_PER_BYTE * bodyBytes
  const free = await job.store.disk.free(job.store.folder)
  if (free >= wanted) return
  throw new BatchStreamError(
    'CBS_DISK',
    `${job.store.folder} has ${megabytes(free)} MB free, and the answers of the next batch may take ${megabytes(wanted)} MB: free some space, then resume the job`,
  )
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
