import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { wrapError } from '../core/errors.ts'
import { nodeDisk, type Disk } from './disk.ts'

/** Temporary folders of this process; leftovers are removed at exit. */
const folders: Set<string> = new Set()

function removeAll(): void {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
}

/** Makes a folder that is removed when the process exits. */
export async function makeTemporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'claude-batch-stream-')).catch(cause => {
    throw wrapError('CBS_DISK', `cannot make a folder in ${tmpdir()}`, cause)
  })
  if (folders.size === 0) process.on('exit', removeAll)
  folders.add(folder)
  return folder
}

/** A disk without fsync, for data that need not survive a power failure. */
export const temporaryDisk: Disk = {
  ...nodeDisk,
  syncFolder: async () => {},
  open: async (path, how) => withoutSync(await nodeDisk.open(path, how)),
  remove: async path => {
    await nodeDisk.remove(path)
    if (folders.delete(path) && folders.size === 0) process.off('exit', removeAll)
  },
}

function withoutSync<File extends { sync(): Promise<void> }>(file: File): File {
  file.sync = async () => {}
  return file
}
