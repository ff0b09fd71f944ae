// The folder of a job whose journal is in a ledger. It is a cache, any part of which may be lost with its machine.
import type { Sealed, SummedFile } from '../core/job/event.ts'
import type { BatchState, JobState } from '../core/job/state.ts'
import { replaceFile, type Disk } from './disk.ts'
import { batchPath } from './batch-path.ts'
import { LEDGER_MARK } from './inspect.ts'
import type { StoredJob } from './job.ts'
import { packFiles, unpackFiles } from './postgres/packed-files.ts'
import { Records } from './records.ts'
import type { Shared } from './shared.ts'
import { readSummed, type BatchFiles } from './sums.ts'

/** The small files of a batch that is being sealed, packed for the ledger. */
export async function packedFilesOf(files: BatchFiles, batch: Sealed): Promise<Uint8Array> {
  const all = new Map<SummedFile, Buffer>()
  for (const what of namesOf(batch)) {
    const bytes = await readSummed(files, batch, what)
    if (bytes) all.set(what, bytes)
  }
  return packFiles(all)
}

function namesOf({ sums = {} }: Pick<Sealed, 'sums'>): SummedFile[] {
  // Its keys are those of the type.
  return Object.keys(sums) as SummedFile[]
}

/**
 * Empties a folder that another owner than the last one filled, since its content may be older than the ledger. Result sets that the
 * ledger knows stay: the API keeps them for 29 days only.
 */
export async function prepareCache(
  disk: Disk,
  folder: string,
  { run, batches }: Pick<JobState, 'run' | 'batches'>,
  epoch: number,
): Promise<void> {
  const text = await disk.readWhole(`${folder}/${LEDGER_MARK}`)
  const mark = text?.toString('utf8')
  if (mark !== markOf(run, epoch - 1)) {
    const isOfRun = mark?.includes(JSON.stringify(run)) === true
    const kept = isOfRun ? await resultSetsIn(disk, folder, batches) : new Set<string>()
    for (const name of ['records.jsonl', 'records.index']) await disk.remove(`${folder}/${name}`)
    for (const name of await disk.list(`${folder}/batches`))
      if (!kept.has(name)) await disk.remove(`${folder}/batches/${name}`)
  }
  await disk.makeFolder(`${folder}/batches`)
  await replaceFile(disk, `${folder}/${LEDGER_MARK}`, Buffer.from(markOf(run, epoch)))
}

/** The names of the files of complete result sets. Their lines have checksums. */
async function resultSetsIn(
  disk: Disk,
  folder: string,
  batches: JobState['batches'],
): Promise<ReadonlySet<string>> {
  const names = new Set<string>()
  for (const { number, fetched } of batches.values()) {
    const size = await disk.stat(batchPath(folder, number, 'results'))
    if (size === undefined || size !== fetched?.bytes) continue
    for (const what of ['results', 'lines']) names.add(`${number}.${what}`)
  }
  return names
}

function markOf(run: string, epoch: number): string {
  return `${JSON.stringify({ run, epoch })}\n`
}

/** Restores the small files of batches that are not in the folder. */
export async function restoreFiles(
  files: BatchFiles,
  { batches }: Pick<JobState, 'batches'>,
  filesOf: (number: number) => Promise<Uint8Array | undefined>,
): Promise<void> {
  for (const batch of batches.values()) {
    const names = batch.phase === 'void' ? [] : namesOf(batch)
    const missing: SummedFile[] = []
    for (const what of names)
      if ((await files.disk.stat(files.path(batch.number, what))) === undefined) missing.push(what)
    const packed = missing.length > 0 ? await filesOf(batch.number) : undefined
    if (!packed) continue
    for (const [what, bytes] of unpackFiles(packed))
      if (missing.includes(what))
        await replaceFile(files.disk, files.path(batch.number, what), bytes)
  }
}

/** The spooled records; none if they are incomplete, since they are then read again from the input. */
export async function openCachedRecords(
  disk: Disk,
  folder: string,
  { spooled, sources }: Pick<JobState, 'spooled' | 'sources'>,
): Promise<Records> {
  if (await Records.areWhole(disk, folder, spooled))
    return await Records.open(disk, folder, spooled, sources)
  return await Records.open(disk, folder, { records: 0, bytes: 0 }, sources)
}

/** Drops unsent batches whose bodies are lost: their records are batched again. */
export async function dropLostBodies(
  job: StoredJob,
  shared: Pick<Shared, 'releaseQueue'>,
): Promise<void> {
  for (const batch of [...job.state.batches.values()]) {
    if (batch.phase !== 'sealed') continue
    if (await hasBody(job, batch)) await shared.releaseQueue(batch.number, false)
    else await job.note({ type: 'split', number: batch.number, into: [] }, true)
  }
}

/** Whether the body of a batch is on this disk. A batch without requests is never sent and needs none. */
export async function hasBody(
  { store }: Pick<StoredJob, 'store'>,
  { number, requests, bytes }: Pick<BatchState, 'number' | 'requests' | 'bytes'>,
): Promise<boolean> {
  return requests === 0 || (await store.disk.stat(store.path(number, 'body'))) === bytes
}
