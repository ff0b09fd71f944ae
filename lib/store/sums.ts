// The checksums of a batch's small files: which records it asks about must not be read from a file that was changed.
import { crc32 } from 'node:zlib'
import { BatchStreamError } from '../core/errors.ts'
import type { AppendTarget } from './append-file.ts'
import type { BatchFile } from './batch-files.ts'
import type { Disk, DiskFile } from './disk.ts'
import type { Sealed, SummedFile } from '../core/job/event.ts'

/** Where the files of a job's batches lie. */
export interface BatchFiles {
  readonly disk: Disk
  path(number: number, what: BatchFile): string
}

/** What a batch's files are checked by. */
export type SummedBatch = Pick<Sealed, 'number' | 'sums'>

/** Sums up what is written to a file that only grows. */
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
 * The whole of a batch's file; undefined where the batch has none of its kind.
 *
 * @throws BatchStreamError `CBS_STATE` where it is gone or was changed
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

/** Bytes that are checked at a time. */
const PART = 256 * 1024

/**
 * Opens a batch's file once it has been checked, for as long as `use` takes.
 *
 * @throws BatchStreamError `CBS_STATE` where it is gone or was changed
 */
export async function openSummed<T>(
  files: BatchFiles,
  { number, sums }: SummedBatch,
  what: SummedFile,
  use: (file: DiskFile) => Promise<T>,
): Promise<T> {
  const path = files.path(number, what)
  if ((await files.disk.look(path)) === undefined) throw damaged(path, 'is gone')
  const file = await files.disk.open(path, 'read')
  try {
    const part = Buffer.allocUnsafe(PART)
    let sum = 0
    for (let at = 0, read = -1; read !== 0; at += read) {
      read = await file.read(part, at)
      sum = crc32(part.subarray(0, read), sum)
    }
    if (sum !== sums?.[what]) throw damaged(path, CHANGED)
    return await use(file)
  } finally {
    await file.close()
  }
}

const CHANGED = 'was changed since the batch was sealed'

function damaged(path: string, how: string): BatchStreamError {
  return new BatchStreamError(
    'CBS_STATE',
    `the file ${path} of the job ${how}: see \`claude-batch-stream doctor\``,
  )
}
