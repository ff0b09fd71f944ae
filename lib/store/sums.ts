// Checksums of a batch's small files, since the records of its requests must not be read from a changed file.
import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../core/errors.ts'
import type { AppendTarget } from './append-file.ts'
import type { BatchFile } from './batch-path.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { Sealed, SummedFile } from '../core/job/event.ts'

/** Access to the files of a job's batches. */
export interface BatchFiles {
  readonly disk: Disk
  path(number: number, what: BatchFile): string
}

/** What is needed to verify a batch's files. */
export type SummedBatch = Pick<Sealed, 'number' | 'sums'>

/** Computes the checksum of an append-only file while it is written. */
export function summing(file: DiskFile): {
  readonly file: AppendTarget
  readonly sum: () => number
} {
  let sum = 0
  const write = async (bytes: Uint8Array, position: number): Promise<void> => {
    sum = crc32(bytes, sum)
    await file.write(bytes, position)
  }
  const summed = { write, sync: () => file.sync(), close: () => file.close() }
  return { file: summed, sum: () => sum }
}

/**
 * The whole content of a batch's file; undefined if the batch has no such file.
 *
 * @throws BatchStreamError `CBS_STATE` if it is missing or was changed
 */
export async function readSummed(
  files: BatchFiles,
  { number, sums }: SummedBatch,
  what: SummedFile,
): Promise<Buffer | undefined> {
  const sum = sums?.[what]
  if (sum === undefined) return undefined
  const path = files.path(number, what)
  const bytes = await files.disk.readWhole(path)
  if (!bytes) throw damaged(path, 'is gone')
  if (crc32(bytes) !== sum) throw damaged(path, CHANGED)
  return bytes
}

/** Bytes verified at a time. */
const PART = 256 * 1024

/**
 * Verifies and opens a batch's file for the duration of `use`.
 *
 * @throws BatchStreamError `CBS_STATE` if it is missing or was changed
 */
export async function openSummed<T>(
  files: BatchFiles,
  { number, sums }: SummedBatch,
  what: SummedFile,
  use: (file: DiskFile) => Promise<T>,
): Promise<T> {
  const file = await openStored(files.disk, files.path(number, what))
  try {
    const part = Buffer.allocUnsafe(PART)
    let sum = 0
    for (let at = 0, read = -1; read !== 0; at += read) {
      read = await file.read(part, at)
      sum = crc32(part.subarray(0, read), sum)
    }
    if (sum !== sums?.[what]) throw damaged(files.path(number, what), CHANGED)
    return await use(file)
  } finally {
    await file.close()
  }
}

/**
 * Opens a file that the job has stored, for reading.
 *
 * @throws BatchStreamError `CBS_STATE` if it is missing
 */
export async function openStored(disk: Disk, path: string): Promise<DiskFile> {
  return await disk.open(path, 'read').catch(async (cause: unknown) => {
    // Not by the error of opening it: other disks than Node's have errors of their own.
    throw (await disk.stat(path)) === undefined ? damaged(path, 'is gone') : cause
  })
}

const CHANGED = 'was changed since the batch was sealed'

function damaged(path: string, how: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the file ${path} of the job ${how}: see \`claude-batch-stream doctor\``,
  )
}
