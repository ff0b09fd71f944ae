import { BatchStreamError } from '../../core/errors.ts'
import type { StoredJob } from '../../store/job.ts'

/** Answers are rarely more than a few times as long as their requests; short requests are the exception, hence the minimum. */
const ANSWERS_PER_BYTE = 4
const MIN_FREE_BYTES = 1_000_000

/**
 * Checks that the answers of a batch will fit on the disk, before the batch is paid for.
 *
 * @throws BatchStreamError `CBS_DISK` if they may not fit, or if the free space is unknown
 */
export async function ensureFreeSpace(job: StoredJob, bodyBytes: number): Promise<void> {
  const needed = MIN_FREE_BYTES + ANSWERS_PER_BYTE * bodyBytes
  const free = await job.store.disk.free(job.store.folder)
  if (free >= needed) return
  throw new BatchStreamError(
    'CBS_DISK',
    `${job.store.folder} has ${megabytes(free)} MB free, and the answers of the next batch may take ${megabytes(needed)} MB: free some space, then resume the job`,
  )
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
