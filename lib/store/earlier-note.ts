import { join } from 'node:path'
import { BatchStreamError } from '../core/errors.ts'
import { replaceFile, type Disk } from './disk.ts'
import type { JobOnDisk } from './inspect.ts'

/** A job whose answers another one reuses. */
export interface EarlierJob {
  readonly name: string
  /** The random prefix of its custom_ids: another job may have its name by now. */
  readonly run: string
}

/** The jobs whose answers a job reuses. They must stay until it has copied what it needs of them. */
export interface EarlierNote {
  /** The option that chose them. */
  readonly reuse: string
  readonly jobs: readonly EarlierJob[]
}

/** The name of the note in a job's folder. */
const NAME = 'earlier.json'

/** @throws BatchStreamError `CBS_STATE` if it was changed */
export async function readEarlierNote(
  disk: Disk,
  folder: string,
): Promise<EarlierNote | undefined> {
  const path = join(folder, NAME)
  const bytes = await disk.readWhole(path)
  if (!bytes) return undefined
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new BatchStreamError('CBS_STATE', `${path} is damaged`, { cause })
  }
}

export async function writeEarlierNote(
  disk: Disk,
  folder: string,
  note: EarlierNote,
): Promise<void> {
  await replaceFile(disk, join(folder, NAME), Buffer.from(`${JSON.stringify(note)}\n`))
}

/** The names of the unfinished jobs that reuse each job, by the run of the reused one. */
export async function reusers(
  disk: Disk,
  jobs: readonly JobOnDisk[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>()
  for (const { name, folder, state } of jobs) {
    if (state?.finished) continue
    for (const { run } of (await readEarlierNote(disk, folder))?.jobs ?? [])
      found.set(run, [...(found.get(run) ?? []), name])
  }
  return found
}
