import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Disk } from './disk.ts'

/** Prefix of a deleted job's folder until all its files are gone. No job name starts like this. */
const DELETED = '.deleted-'

/**
 * Deletes the folder of a job whose lock the caller holds. The folder is renamed first, atomically: no process can open a
 * half-deleted job, or create one of the same name whose files would be deleted with it.
 */
export async function deleteJob(disk: Disk, folder: string): Promise<void> {
  const deleted = join(dirname(folder), `${DELETED}${randomBytes(6).toString('hex')}`)
  await disk.rename(folder, deleted)
  await disk.remove(deleted)
}

/** Finishes deletions that a crash interrupted. */
export async function finishDeletions(disk: Disk, dir: string): Promise<void> {
  for (const name of await disk.list(join(dir, 'jobs')))
    if (name.startsWith(DELETED)) await disk.remove(join(dir, 'jobs', name))
}
