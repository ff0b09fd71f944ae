import type { Test } from 'tap'
import { SourceRecord, type Problem } from '../../lib/core/flow.ts'
import { nodeDisk, type Disk, type DiskFile } from '../../lib/store/disk.ts'
import type { StoredJob } from '../../lib/store/job.ts'
import { openStoredJob, type StoredJobOptions } from '../../lib/store/open.ts'
import { VirtualClock } from './virtual-clock.ts'

/** Opens a job that is closed when the test is over. Closing it earlier does no harm. */
export async function openFor(
  t: Test,
  dir: string,
  options: Partial<StoredJobOptions> = {},
): Promise<StoredJob> {
  const job = await openStoredJob({ name: 'test', dir, clock: new VirtualClock(), ...options })
  t.teardown(() => job.close().catch(() => {}))
  return job
}

export function record(
  raw: string | object,
  line = 1,
  more: { source?: string; problem?: Problem } = {},
): SourceRecord {
  return new SourceRecord(Buffer.from(typeof raw === 'string' ? raw : JSON.stringify(raw)), {
    line,
    ...more,
  })
}

export function records(count: number): SourceRecord[] {
  return Array.from({ length: count }, (_, i) => record({ n: i }, i + 1))
}

/** A call on a disk, as a test sees it before it is made; what it throws is what the call rejects with. */
export type Watch = (what: string, path: string, position?: number) => void | Promise<void>

/** The machine's disk with a watcher before each call. */
export function watched(watch: Watch, disk: Disk = nodeDisk): Disk {
  const watchFile = (file: DiskFile, path: string): DiskFile => ({
    read: async (into, position) => {
      await watch('read', path, position)
      return await file.read(into, position)
    },
    write: async (bytes, position) => {
      await watch('write', path, position)
      await file.write(bytes, position)
    },
    sync: async () => {
      await watch('sync', path)
      await file.sync()
    },
    truncate: async size => {
      await watch('truncate', path, size)
      await file.truncate(size)
    },
    size: async () => {
      await watch('size', path)
      return await file.size()
    },
    close: () => file.close(),
    ...(file.identity && { identity: file.identity.bind(file) }),
    ...(file.persistentId && { persistentId: file.persistentId.bind(file) }),
  })
  return {
    ...disk,
    open: async (path, how) => {
      await watch('open', path)
      return watchFile(await disk.open(path, how), path)
    },
    readWhole: async path => {
      await watch('readWhole', path)
      return await disk.readWhole(path)
    },
    rename: async (from, to) => {
      await watch('rename', from)
      await disk.rename(from, to)
    },
    remove: async path => {
      await watch('remove', path)
      await disk.remove(path)
    },
    list: async path => {
      await watch('list', path)
      return await disk.list(path)
    },
    syncFolder: async path => {
      await watch('syncFolder', path)
      await disk.syncFolder(path)
    },
  }
}
