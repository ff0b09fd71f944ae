import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import type { Disk } from './disk.ts'

/** How the name of a deleted job begins until all its files are gone; no job has such a name. */
const DELETED = '.deleted-'

/**
 * Deletes the folder of a job whose lock the caller holds. It loses its name first, in one step: nobody can open a job of
 * which half is gone, or make one of that name whose files are deleted with it.
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
