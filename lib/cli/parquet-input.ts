// Parquet files are read by random access, so those that come through a pipe are copied to a temporary file first.
import { createReadStream, createWriteStream } from 'node:fs'
import { open, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { SourceRecord } from '../core/flow.ts'
import { typed, type Stage } from '../core/stage.ts'
import { PARQUET_MAGIC, parquetRows, type ParquetOptions } from '../stages/parse/parquet.ts'
import { makeTemporaryFolder, temporaryDisk } from '../store/temporary.ts'
import { isReadable } from './readable.ts'

const NAMES = new Set(['.parquet', '.parq', '.pq'])

/** Whether a file is Parquet, by its name or first bytes. A pipe or device is not touched: what is read of it is gone. */
export async function isParquetFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) return false
  if (NAMES.has(extname(path).toLowerCase())) return true
  // Reading the file later reports why it cannot be read.
  const [start] = await Promise.allSettled([startOf(path)])
  return start.status === 'fulfilled' && start.value.equals(PARQUET_MAGIC)
}

/** As many bytes of a file as `PARQUET_MAGIC` has; zeros where it is shorter. */
async function startOf(path: string): Promise<Buffer> {
  const file = await open(path)
  try {
    const start = Buffer.alloc(PARQUET_MAGIC.length)
    await file.read(start, 0, start.length, 0)
    return start
  } finally {
    await file.close()
  }
}

/** Whether a stream begins like a Parquet file, and the stream as if nothing had been read of it. */
export async function sniffed(
  stream: Readable,
  signal: AbortSignal,
): Promise<{ readonly isParquet: boolean; readonly bytes: Readable }> {
  const chunks: Buffer[] = []
  let bytes = 0
  while (bytes < PARQUET_MAGIC.length && !signal.aborted) {
    // It gives bytes, or text.
    const chunk = stream.read() as Buffer | string | null
    if (chunk === null) {
      if (!(await isReadable(stream, signal))) break
      continue
    }
    chunks.push(Buffer.from(chunk))
    bytes += chunk.length
  }
  const start = Buffer.concat(chunks)
  const isParquet = start.subarray(0, PARQUET_MAGIC.length).equals(PARQUET_MAGIC)
  // What has ended takes nothing back.
  if (stream.readableEnded) return { isParquet, bytes: Readable.from([start]) }
  if (start.length > 0) stream.unshift(start)
  return { isParquet, bytes: stream }
}

/** The rows of a Parquet file. What comes through a pipe or from a device is copied first. */
export function parquetFrom(
  input: Readable | string,
  options: ParquetOptions,
): Stage<never, SourceRecord> {
  return typed(Readable.from(rowsFrom(input, options)))
}

async function* rowsFrom(
  input: Readable | string,
  options: ParquetOptions,
): AsyncGenerator<SourceRecord> {
  if (typeof input === 'string') {
    const found = await stat(input).catch(() => undefined)
    // A file that is missing says so when it is opened.
    if (!found || found.isFile()) return yield* parquetRows(input, options)
  }
  const folder = await makeTemporaryFolder()
  try {
    const path = join(folder, 'input.parquet')
    const bytes = typeof input === 'string' ? createReadStream(input) : input
    await pipeline(bytes, createWriteStream(path, { mode: 0o600 }))
    yield* parquetRows(path, options)
  } finally {
    await temporaryDisk.remove(folder)
  }
}
